package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.inference.LogSettingsRequest;
import dev.sluice.proto.inference.LogSettingsRequest.SettingValue;
import dev.sluice.proto.inference.LogSettingsRequest.SettingValue.ParameterChoiceCase;
import dev.sluice.proto.inference.LogSettingsResponse;
import dev.sluice.proto.inference.TraceSettingRequest;
import dev.sluice.proto.inference.TraceSettingResponse;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The settings that the protocol lets a client read, and change where that is possible while the server runs.
///
/// A request is checked whole before any of it is applied; the answer always holds all settings.
public final class ServerSettings {

  private static final Logger log = LoggerFactory.getLogger(ServerSettings.class);

  /// Requests are not traced in Triton's way.
  private static final Map<String, List<String>> TRACE =
      Map.of(
          "trace_level", List.of("OFF"),
          "trace_rate", List.of("1000"),
          "trace_count", List.of("-1"),
          "log_frequency", List.of("0"),
          "trace_file", List.of(""),
          "trace_mode", List.of("triton"));

  /// Every line begins with its time in this format.
  private static final String LOG_FORMAT = "ISO8601";

  private final Routes routes;
  private final LogSwitch logSwitch = new LogSwitch();

  public ServerSettings(Routes routes) {
    this.routes = routes;
  }

  // --- tracing --------------------------------------------------------------------------------------------------------

  /// The settings of all models, or of one. A setting may be cleared, or set to what it is; nothing else can be had.
  public TraceSettingResponse traceSetting(TraceSettingRequest request) throws InferenceFailure {
    if (!request.getModelName().isEmpty()) {
      routes.find(request.getModelName(), "");
    }
    for (Map.Entry<String, TraceSettingRequest.SettingValue> setting : request.getSettingsMap().entrySet()) {
      requireUnchanged(setting.getKey(), setting.getValue().getValueList());
    }
    TraceSettingResponse.Builder response = TraceSettingResponse.newBuilder();
    TRACE.forEach(
        (name, value) ->
            response.putSettings(
                name, TraceSettingResponse.SettingValue.newBuilder().addAllValue(value).build()));
    return response.build();
  }

  private static void requireUnchanged(String name, List<String> value) throws InferenceFailure {
    List<String> now = TRACE.get(name);
    if (now == null) {
      throw InferenceFailure.invalid(
          "settings['%s']".formatted(name),
          "unknown trace setting '%s'; there are %s".formatted(name, TRACE.keySet().stream().sorted().toList()));
    }
    if (name.equals("trace_file") && !value.isEmpty()) {
      throw InferenceFailure.unsupported("trace file location can not be updated through network protocol");
    }
    if (!value.isEmpty() && !value.equals(now)) {
      throw InferenceFailure.unsupported(
          "the server does not support trace: '%s' is %s and cannot be set to %s".formatted(name, now, value));
    }
  }

  // --- logging --------------------------------------------------------------------------------------------------------

  public LogSettingsResponse logSettings(LogSettingsRequest request) throws InferenceFailure {
    if (request.getSettingsCount() > 0) {
      updateLog(request.getSettingsMap());
    }
    LogSwitch.Settings now = logSwitch.read();
    return LogSettingsResponse.newBuilder()
        .putSettings("log_file", text(""))
        .putSettings("log_info", flag(now.info()))
        .putSettings("log_warning", flag(now.warning()))
        .putSettings("log_error", flag(now.error()))
        .putSettings(
            "log_verbose_level",
            LogSettingsResponse.SettingValue.newBuilder().setUint32Param(now.verboseLevel()).build())
        .putSettings("log_format", text(LOG_FORMAT))
        .build();
  }

  private void updateLog(Map<String, SettingValue> settings) throws InferenceFailure {
    // Two updates at a time would each write back what the other one changed.
    synchronized (logSwitch) {
      LogSwitch.Settings before = logSwitch.read();
      boolean info = before.info();
      boolean warning = before.warning();
      boolean error = before.error();
      int verboseLevel = before.verboseLevel();
      for (Map.Entry<String, SettingValue> setting : settings.entrySet()) {
        String name = setting.getKey();
        SettingValue value = setting.getValue();
        switch (name) {
          case "log_info" -> info = flag(name, value);
          case "log_warning" -> warning = flag(name, value);
          case "log_error" -> error = flag(name, value);
          case "log_verbose_level" -> {
            require(name, value, ParameterChoiceCase.UINT32_PARAM, "int32");
            verboseLevel = value.getUint32Param();
          }
          case "log_format" -> requireFormat(name, value);
          case "log_file" ->
              throw InferenceFailure.unsupported("log file location can not be updated through network protocol");
          default ->
              throw InferenceFailure.invalid(
                  "settings['%s']".formatted(name),
                  "unknown log setting '%s'; there are log_error, log_file, log_format, log_info, log_verbose_level, log_warning"
                      .formatted(name));
        }
      }
      LogSwitch.Settings after = new LogSwitch.Settings(info, warning, error, verboseLevel);
      // Before it is done: afterwards the log may be silent.
      log.warn("a client changes what is logged: {} instead of {}", after, before);
      logSwitch.write(after);
    }
  }

  private static void requireFormat(String name, SettingValue value) throws InferenceFailure {
    require(name, value, ParameterChoiceCase.STRING_PARAM, "string");
    switch (value.getStringParam()) {
      case LOG_FORMAT -> {}
      case "default" ->
          throw InferenceFailure.unsupported(
              "log_format 'default' is not offered: the time of a log line is written as " + LOG_FORMAT);
      default ->
          throw InferenceFailure.invalid(
              "settings['%s']".formatted(name),
              "invalid argument for log_format, got: '%s', expected '%s'".formatted(value.getStringParam(), LOG_FORMAT));
    }
  }

  private static boolean flag(String name, SettingValue value) throws InferenceFailure {
    require(name, value, ParameterChoiceCase.BOOL_PARAM, "boolean");
    return value.getBoolParam();
  }

  private static void require(String name, SettingValue value, ParameterChoiceCase expected, String word)
      throws InferenceFailure {
    if (value.getParameterChoiceCase() != expected) {
      throw InferenceFailure.invalid("settings['%s']".formatted(name), "expect %s for '%s'".formatted(word, name));
    }
  }

  private static LogSettingsResponse.SettingValue flag(boolean value) {
    return LogSettingsResponse.SettingValue.newBuilder().setBoolParam(value).build();
  }

  private static LogSettingsResponse.SettingValue text(String value) {
    return LogSettingsResponse.SettingValue.newBuilder().setStringParam(value).build();
  }
}
