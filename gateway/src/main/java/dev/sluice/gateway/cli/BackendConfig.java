package dev.sluice.gateway.cli;

import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ExecutionSettings.Threads;
import dev.sluice.runtime.onnx.OnnxOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What the flags `--backend-config=<backend>,<key>=<value>` say together, as Triton spells its settings.
///
/// @param ignored the flags for backends that Sluice does not have
record BackendConfig(
    OptionalInt defaultMaxBatchSize,
    boolean sharedThreads,
    OptionalInt intraOpThreads,
    OptionalInt interOpThreads,
    List<String> ignored) {

  private static final String BACKEND = "onnxruntime";
  private static final Pattern SETTING = Pattern.compile("(?<backend>[^,]*),(?<key>[^=]+)=(?<value>.*)");

  static BackendConfig of(List<String> flags) {
    OptionalInt batch = OptionalInt.empty();
    boolean shared = false;
    OptionalInt intraOp = OptionalInt.empty();
    OptionalInt interOp = OptionalInt.empty();
    List<String> ignored = new ArrayList<>();
    for (String flag : flags) {
      Matcher setting = SETTING.matcher(flag);
      if (!setting.matches()) {
        throw refused(flag, "expected '%s,KEY=VALUE'".formatted(BACKEND));
      }
      String value = setting.group("value");
      if (!setting.group("backend").equals(BACKEND)) {
        ignored.add(flag);
        continue;
      }
      switch (setting.group("key")) {
        case "default-max-batch-size" -> batch = OptionalInt.of(number(flag, value));
        case "enable-global-threadpool" -> shared = flag(flag, value);
        case "intra_op_thread_count" -> intraOp = OptionalInt.of(number(flag, value));
        case "inter_op_thread_count" -> interOp = OptionalInt.of(number(flag, value));
        default ->
            throw refused(
                flag,
                "the keys are default-max-batch-size, enable-global-threadpool, intra_op_thread_count and"
                    + " inter_op_thread_count");
      }
    }
    return new BackendConfig(batch, shared, intraOp, interOp, List.copyOf(ignored));
  }

  OnnxOptions onnxOptions(Device device) {
    try {
      return new OnnxOptions(device, sharedThreads, new Threads(intraOpThreads, interOpThreads, false));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("backend-config: " + e.getMessage(), e);
    }
  }

  private static int number(String flag, String value) {
    if (!value.matches("[0-9]{1,9}")) {
      throw refused(flag, "the value is no whole number of at most nine digits");
    }
    return Integer.parseInt(value);
  }

  private static boolean flag(String flag, String value) {
    return switch (value.toLowerCase(Locale.ROOT)) {
      case "1", "true", "on" -> true;
      case "0", "false", "off" -> false;
      default -> throw refused(flag, "the value is neither 0 nor 1");
    };
  }

  private static IllegalArgumentException refused(String flag, String why) {
    return new IllegalArgumentException("backend-config: '%s': %s".formatted(flag, why));
  }
}
