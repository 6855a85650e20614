package dev.sluice.gateway.config;

import dev.sluice.runtime.repository.ConfigOptions;
import dev.sluice.runtime.source.SourceSettings;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/// What one gateway is started with.
///
/// @param modelRepository laid out as Triton's
/// @param dataDirectory control state: the store and the ledgers
/// @param host where inference and metrics listen
/// @param controlHost where the control plane listens: loopback, because it has no roles yet
/// @param grpcPort 0 for any free port; so for the other two
/// @param messageBytesMax the largest request or response
/// @param drain how long calls in flight may take to finish at shutdown
/// @param configOptions how the models' configurations are read
/// @param grpc how the inference port speaks gRPC
/// @param sources how models are fetched that are elsewhere
/// @param modelControl which models are loaded and when
public record GatewayConfig(
    Path modelRepository,
    Path dataDirectory,
    String host,
    String controlHost,
    int grpcPort,
    int metricsPort,
    int controlPort,
    int messageBytesMax,
    Duration drain,
    ConfigOptions configOptions,
    GrpcOptions grpc,
    SourceSettings sources,
    ModelControl modelControl) {

  public static final int GRPC_PORT = 8001;
  public static final int METRICS_PORT = 8002;
  public static final int CONTROL_PORT = 8003;

  /// Triton's clients send tensors of 64 MB and more.
  public static final int MESSAGE_BYTES_MAX = 256 << 20;

  public GatewayConfig {
    List<String> problems = new ArrayList<>();
    checkPort("grpc-port", grpcPort, problems);
    checkPort("metrics-port", metricsPort, problems);
    checkPort("control-port", controlPort, problems);
    if (messageBytesMax < 1024) {
      problems.add("max-message-bytes: %d is below 1024".formatted(messageBytesMax));
    }
    if (drain.isNegative()) {
      problems.add("drain: %s is negative".formatted(drain));
    }
    if (!problems.isEmpty()) {
      throw new IllegalArgumentException(String.join("\n", problems));
    }
  }

  /// Free ports on loopback, for demonstrations and tests.
  public static GatewayConfig onFreePorts(Path modelRepository, Path dataDirectory) {
    return new GatewayConfig(
        modelRepository, dataDirectory, "127.0.0.1", "127.0.0.1", 0, 0, 0, MESSAGE_BYTES_MAX, Duration.ofSeconds(5),
        ConfigOptions.defaults(), GrpcOptions.defaults(), SourceSettings.defaults(dataDirectory.resolve("model-cache")),
        ModelControl.defaults());
  }

  public GatewayConfig with(GrpcOptions options) {
    return new GatewayConfig(
        modelRepository, dataDirectory, host, controlHost, grpcPort, metricsPort, controlPort, messageBytesMax, drain,
        configOptions, options, sources, modelControl);
  }

  public GatewayConfig with(ModelControl control) {
    return new GatewayConfig(
        modelRepository, dataDirectory, host, controlHost, grpcPort, metricsPort, controlPort, messageBytesMax, drain,
        configOptions, grpc, sources, control);
  }

  private static void checkPort(String name, int port, List<String> problems) {
    if (port < 0 || port > 65_535) {
      problems.add("%s: %d is not between 0 and 65535".formatted(name, port));
    }
  }
}
