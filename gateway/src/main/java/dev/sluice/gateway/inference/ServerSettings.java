package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.inference.LogSettingsRequest;
import dev.sluice.proto.inference.LogSettingsResponse;
import dev.sluice.proto.inference.TraceSettingRequest;
import dev.sluice.proto.inference.TraceSettingResponse;
import java.util.List;
import java.util.Map;

/// The settings that the protocol lets a client read, and change where that is possible while the server runs.
///
/// A request is checked whole before any of it is applied; the answer always holds all settings.
public final class ServerSettings {

  /// Requests are not traced in Triton's way.
  private static final Map<String, List<String>> TRACE =
      Map.of(
          "trace_level", List.of("OFF"),
          "trace_rate", List.of("1000"),
          "trace_count", List.of("-1"),
          "log_frequency", List.of("0"),
          "trace_file", List.of(""),
          "trace_mode", List.of("triton"));

  private final Routes routes;
  private final LogSettings logSettings = new LogSettings(new LogSwitch());

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
    return logSettings.answer(request);
  }
}
