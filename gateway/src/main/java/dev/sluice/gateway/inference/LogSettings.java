package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.LogSettingsRequest;
import dev.sluice.proto.inference.LogSettingsRequest.SettingValue;
import dev.sluice.proto.inference.LogSettingsRequest.SettingValue.ParameterChoiceCase;
import dev.sluice.proto.inference.LogSettingsResponse;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The log's settings as the protocol names them.
final class LogSettings {

  private static final Logger log = LoggerFactory.getLogger(LogSettings.class);

  /// Every line begins with its time in this format.
  private static final String LOG_FORMAT = "ISO8601";

  private final LogSwitch logSwitch;

  LogSettings(LogSwitch logSwitch) {
    this.logSwitch = logSwitch;
  }

  LogSettingsResponse answer(LogSettingsRequest request) throws InferenceFailure {
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
