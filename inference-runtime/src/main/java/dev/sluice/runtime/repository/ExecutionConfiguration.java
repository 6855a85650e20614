package dev.sluice.runtime.repository;

import static java.util.Map.entry;

import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelInstanceGroup;
import dev.sluice.proto.inference.ModelOptimizationPolicy;
import dev.sluice.proto.inference.ModelOptimizationPolicy.ExecutionAccelerators.Accelerator;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ExecutionSettings.GraphLevel;
import dev.sluice.runtime.model.ExecutionSettings.Memory;
import dev.sluice.runtime.model.ExecutionSettings.Placement;
import dev.sluice.runtime.model.ExecutionSettings.Threads;
import dev.sluice.runtime.model.ModelLoadException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// What a `config.pbtxt` says about how its model is computed, in the words that Triton's ONNX Runtime backend reads.
///
/// Settings of ONNX Runtime that make it open further files or libraries are refused: what a model may touch is decided
/// by who runs the server. What has no meaning here is named in the log and left aside, as Triton leaves it aside.
final class ExecutionConfiguration {
  private static final Logger log = LoggerFactory.getLogger(ExecutionConfiguration.class);

  private static final String INTRA_OP = "intra_op_thread_count";
  private static final String INTER_OP = "inter_op_thread_count";
  private static final String EXECUTION_MODE = "execution_mode";
  private static final String ARENA = "enable_mem_arena";
  private static final String PATTERN = "enable_mem_pattern";
  private static final String SHRINKAGE = "memory.enable_memory_arena_shrinkage";
  private static final String DEVICE = "device";
  private static final String STRICT = "gpu.strict";
  /// ONNX Runtime's own name for the same.
  private static final String STRICT_ENTRY = "session.disable_cpu_ep_fallback";
  private static final String CUDA = "cuda";

  /// Prefixes of ONNX Runtime's own settings: what begins so and is not in the list below is refused.
  private static final List<String> ENTRY_PREFIXES = List.of("session.", "optimization.", "mlas.", "ep.");

  /// Those that change how a model is computed and nothing else.
  private static final Set<String> SAFE_ENTRIES =
      Set.of(
          "session.use_device_allocator_for_initializers",
          "session.intra_op.allow_spinning",
          "session.inter_op.allow_spinning",
          "session.force_spinning_stop",
          "session.set_denormal_as_zero",
          "session.disable_prepacking",
          "session.disable_quant_qdq",
          "session.disable_double_qdq_remover",
          "session.enable_quant_qdq_cleanup",
          "session.disable_aot_function_inlining",
          "session.qdqisint8allowed",
          "session.x64quantprecision",
          "session.dynamic_block_base",
          "session.strict_shape_type_inference",
          "session.allow_released_opsets_only",
          "optimization.enable_gelu_approximation",
          "optimization.enable_cast_chain_elimination",
          "optimization.disable_specified_optimizers",
          "mlas.enable_gemm_fastmath_arm64_bfloat16",
          "mlas.use_lut_gemm");

  /// Settings of the CUDA provider, and how their values are written.
  private static final Map<String, Value> CUDA_OPTIONS =
      Map.ofEntries(
          entry("gpu_mem_limit", Value.BYTES),
          entry("arena_extend_strategy", Value.EXTEND_STRATEGY),
          entry("cudnn_conv_algo_search", Value.ALGORITHM_SEARCH),
          entry("cudnn_conv_use_max_workspace", Value.FLAG),
          entry("cudnn_conv1d_pad_to_nc1d", Value.FLAG),
          entry("do_copy_in_default_stream", Value.FLAG),
          entry("use_ep_level_unified_stream", Value.FLAG),
          entry("enable_skip_layer_norm_strict_mode", Value.FLAG),
          entry("prefer_nhwc", Value.FLAG),
          entry("use_tf32", Value.FLAG),
          entry("fuse_conv_bias", Value.FLAG),
          entry("enable_cudnn", Value.FLAG),
          entry("sdpa_kernel", Value.NUMBER),
          entry("tunable_op_enable", Value.FLAG),
          entry("tunable_op_tuning_enable", Value.FLAG),
          entry("tunable_op_max_tuning_duration_ms", Value.NUMBER));

  /// How a value is written here, and how ONNX Runtime wants it.
  private enum Value {
    FLAG,
    NUMBER,
    BYTES,
    EXTEND_STRATEGY,
    ALGORITHM_SEARCH
  }

  private static final List<String> EXTEND_STRATEGIES = List.of("kNextPowerOfTwo", "kSameAsRequested");
  private static final List<String> ALGORITHM_SEARCHES = List.of("EXHAUSTIVE", "HEURISTIC", "DEFAULT");

  private final ModelConfig config;
  private final String label;
  private final Map<String, String> parameters = new TreeMap<>();

  private ExecutionConfiguration(ModelConfig config, String label) {
    this.config = config;
    this.label = label;
    config.getParametersMap().forEach((key, parameter) -> parameters.put(key, parameter.getStringValue()));
  }

  /// Reads the execution settings of a configuration.
  ///
  /// @param label what messages call the configuration, such as `fraud/config.pbtxt`
  static ExecutionSettings of(ModelConfig config, String label) throws ModelLoadException {
    ExecutionConfiguration configuration = new ExecutionConfiguration(config, label);
    try {
      ExecutionSettings settings = configuration.settings();
      configuration.warn();
      return settings;
    } catch (IllegalArgumentException e) {
      throw new ModelLoadException("%s: %s".formatted(label, e.getMessage()), e);
    }
  }

  private ExecutionSettings settings() throws ModelLoadException {
    requireNoLibraries();
    return new ExecutionSettings(
        new Threads(threads(INTRA_OP), threads(INTER_OP), integer(EXECUTION_MODE, 0, 1, 0) == 1),
        graphLevel(),
        new Memory(flag(ARENA, true), flag(PATTERN, true), shrinkage()),
        placement(),
        sessionEntries());
  }

  private void requireNoLibraries() throws ModelLoadException {
    List<String> libraries = config.getModelOperations().getOpLibraryFilenameList();
    if (!libraries.isEmpty()) {
      throw refused("model_operations names the library '%s'; custom operator libraries are never loaded"
          .formatted(libraries.getFirst()));
    }
  }

  private OptionalInt threads(String key) throws ModelLoadException {
    return parameters.containsKey(key)
        ? OptionalInt.of(integer(key, 0, ExecutionSettings.THREADS_MAX, 0))
        : OptionalInt.empty();
  }

  // The numbers are Triton's; any other one asks for everything there, too.
  private GraphLevel graphLevel() {
    return switch (config.getOptimization().getGraph().getLevel()) {
      case -1 -> GraphLevel.BASIC;
      case 1 -> GraphLevel.EXTENDED;
      case 2 -> GraphLevel.NONE;
      default -> GraphLevel.ALL;
    };
  }

  private Set<String> shrinkage() {
    return Stream.of(parameters.getOrDefault(SHRINKAGE, "").split(";"))
        .map(String::strip)
        .filter(device -> !device.isEmpty())
        .collect(Collectors.toUnmodifiableSet());
  }

  private Map<String, String> sessionEntries() throws ModelLoadException {
    Map<String, String> entries = new HashMap<>();
    for (Map.Entry<String, String> parameter : parameters.entrySet()) {
      String key = parameter.getKey();
      if (SAFE_ENTRIES.contains(key)) {
        entries.put(key, parameter.getValue());
      } else if (ENTRY_PREFIXES.stream().anyMatch(key::startsWith) && !key.equals(STRICT_ENTRY)) {
        throw refused(
            "parameter '%s' is not one of the settings of ONNX Runtime that a model may choose, which are %s"
                .formatted(key, new TreeSet<>(SAFE_ENTRIES)));
      }
    }
    return entries;
  }

  // --- the device ---------------------------------------------------------------------------------------------------

  private Placement placement() throws ModelLoadException {
    Set<ModelInstanceGroup.Kind> kinds = new LinkedHashSet<>();
    List<Integer> gpus = new ArrayList<>();
    for (ModelInstanceGroup group : config.getInstanceGroupList()) {
      kinds.add(group.getKind());
      gpus.addAll(group.getGpusList());
    }
    Device device = device(kinds, gpus);
    if (!gpus.isEmpty() && device == Device.CPU) {
      throw refused("instance_group names gpus %s for a model that is to run on the CPU".formatted(gpus));
    }
    Map<String, String> cuda = new HashMap<>();
    for (String key : CUDA_OPTIONS.keySet()) {
      if (parameters.containsKey(key)) {
        cuda.put(key, cudaOption("parameter '%s'".formatted(key), key, parameters.getOrDefault(key, "")));
      }
    }
    accelerators(device, cuda);
    return new Placement(device, gpus, flag(STRICT, flag(STRICT_ENTRY, false)), cuda);
  }

  private @Nullable Device device(Set<ModelInstanceGroup.Kind> kinds, List<Integer> gpus) throws ModelLoadException {
    if (parameters.containsKey(DEVICE)) {
      String name = parameters.getOrDefault(DEVICE, "").toUpperCase(Locale.ROOT);
      if (Arrays.stream(Device.values()).noneMatch(device -> device.name().equals(name))) {
        throw refused(
            "parameter '%s' is '%s'; expected 'cpu', 'gpu' or 'auto'".formatted(DEVICE, parameters.get(DEVICE)));
      }
      return Device.valueOf(name);
    }
    if (kinds.size() > 1) {
      throw refused("the instance groups are of the kinds %s; all groups of a model run on one kind".formatted(kinds));
    }
    return switch (kinds.isEmpty() ? ModelInstanceGroup.Kind.KIND_AUTO : kinds.iterator().next()) {
      case KIND_CPU -> Device.CPU;
      case KIND_GPU -> Device.GPU;
      // Who names GPUs wants them.
      case KIND_AUTO, KIND_MODEL -> gpus.isEmpty() ? null : Device.GPU;
      case UNRECOGNIZED -> throw refused("instance_group has an unknown kind");
    };
  }

  // Accelerators are for one kind of device each. Where that is not the model's, they change nothing there either.
  private void accelerators(@Nullable Device device, Map<String, String> cuda) throws ModelLoadException {
    ModelOptimizationPolicy.ExecutionAccelerators accelerators = config.getOptimization().getExecutionAccelerators();
    for (Accelerator accelerator : accelerators.getCpuExecutionAcceleratorList()) {
      throw refused("cpu_execution_accelerator '%s' is not supported; expected none".formatted(accelerator.getName()));
    }
    for (Accelerator accelerator : accelerators.getGpuExecutionAcceleratorList()) {
      String name = accelerator.getName();
      if (!name.equals(CUDA)) {
        if (device == Device.GPU || device == Device.AUTO) {
          throw refused("gpu_execution_accelerator '%s' is not supported; expected '%s'".formatted(name, CUDA));
        }
        log.warn("{}: gpu_execution_accelerator '{}' is not supported and left aside", label, name);
        continue;
      }
      for (Map.Entry<String, String> option : new TreeMap<>(accelerator.getParametersMap()).entrySet()) {
        String subject = "gpu_execution_accelerator '%s': parameter '%s'".formatted(CUDA, option.getKey());
        cuda.put(option.getKey(), cudaOption(subject, option.getKey(), option.getValue()));
      }
    }
  }

  private String cudaOption(String subject, String key, String value) throws ModelLoadException {
    Value kind = CUDA_OPTIONS.get(key);
    return switch (kind) {
      case null ->
          throw refused(
              "%s is not one of the settings of the CUDA provider that a model may choose, which are %s"
                  .formatted(subject, new TreeSet<>(CUDA_OPTIONS.keySet())));
      case FLAG -> flag(subject, value) ? "1" : "0";
      case NUMBER -> Long.toString(number(subject, value, 0, Integer.MAX_VALUE));
      case BYTES -> bytes(subject, value);
      case EXTEND_STRATEGY -> choice(subject, value, EXTEND_STRATEGIES);
      case ALGORITHM_SEARCH -> choice(subject, value, ALGORITHM_SEARCHES);
    };
  }

  // --- values -------------------------------------------------------------------------------------------------------

  private int integer(String key, int min, int max, int otherwise) throws ModelLoadException {
    String value = parameters.get(key);
    return value == null ? otherwise : (int) number("parameter '%s'".formatted(key), value, min, max);
  }

  private boolean flag(String key, boolean otherwise) throws ModelLoadException {
    String value = parameters.get(key);
    return value == null ? otherwise : flag("parameter '%s'".formatted(key), value);
  }

  private boolean flag(String subject, String value) throws ModelLoadException {
    return switch (value.strip().toLowerCase(Locale.ROOT)) {
      case "1", "true", "on" -> true;
      case "0", "false", "off" -> false;
      default -> throw refused("%s is '%s'; expected '0' or '1'".formatted(subject, value));
    };
  }

  private long number(String subject, String value, long min, long max) throws ModelLoadException {
    try {
      long number = Long.parseLong(value.strip());
      if (number >= min && number <= max) {
        return number;
      }
    } catch (NumberFormatException e) {
      // Told below, as is a number out of bounds.
    }
    throw refused("%s is '%s'; expected an integer from %d to %d".formatted(subject, value, min, max));
  }

  // Up to the largest size_t, which is how files written for Triton say that there is no limit.
  private String bytes(String subject, String value) throws ModelLoadException {
    try {
      long bytes = Long.parseUnsignedLong(value.strip());
      if (bytes != 0) {
        return Long.toUnsignedString(bytes);
      }
    } catch (NumberFormatException e) {
      // Told below, as is 0.
    }
    throw refused("%s is '%s'; expected a number of bytes, at least 1".formatted(subject, value));
  }

  /// A choice by its name or, as Triton has it, by its place in the list.
  private String choice(String subject, String value, List<String> choices) throws ModelLoadException {
    String stripped = value.strip();
    for (int i = 0; i < choices.size(); i++) {
      if (stripped.equals(Integer.toString(i)) || stripped.equalsIgnoreCase(choices.get(i))) {
        return choices.get(i);
      }
    }
    throw refused(
        "%s is '%s'; expected one of %s, or its place from 0".formatted(subject, value, choices));
  }

  private ModelLoadException refused(String fault) {
    return new ModelLoadException("%s: %s".formatted(label, fault));
  }

  // --- what is left aside -------------------------------------------------------------------------------------------

  private void warn() {
    List<String> unknown =
        parameters.keySet().stream()
            .filter(key -> !known(key))
            .map("parameters['%s']"::formatted)
            .collect(Collectors.toCollection(ArrayList::new));
    ModelOptimizationPolicy optimization = config.getOptimization();
    if (optimization.getPriority() != ModelOptimizationPolicy.ModelPriority.PRIORITY_DEFAULT) {
      unknown.add("optimization.priority");
    }
    if (optimization.hasCuda()) {
      unknown.add("optimization.cuda");
    }
    if (!unknown.isEmpty()) {
      log.warn("{}: ignored {}", label, String.join(", ", unknown));
    }
  }

  private static boolean known(String key) {
    return switch (key) {
      case INTRA_OP, INTER_OP, EXECUTION_MODE, ARENA, PATTERN, SHRINKAGE, DEVICE, STRICT, STRICT_ENTRY -> true;
      default -> SAFE_ENTRIES.contains(key) || CUDA_OPTIONS.containsKey(key);
    };
  }
}
