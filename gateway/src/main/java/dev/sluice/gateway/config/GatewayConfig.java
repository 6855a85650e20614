package dev.sluice.gateway.config;

import dev.sluice.runtime.repository.ConfigOptions;
import dev.sluice.runtime.source.SourceSettings;
import java.nio.file.Path;

/// What one gateway is started with, one record for each concern.
///
/// @param modelRepository laid out as Triton's
/// @param dataDirectory control state: the store and the ledgers
/// @param serverName what clients are told the server is called
/// @param configOptions how the models' configurations are read
/// @param grpc how the inference port speaks gRPC
/// @param sources how models are fetched that are elsewhere
/// @param modelControl which models are loaded and when
/// @param responseCacheBytes for answers that may be given again, 0: none are kept
public record GatewayConfig(
    Path modelRepository,
    Path dataDirectory,
    String serverName,
    Listeners listeners,
    ConfigOptions configOptions,
    GrpcOptions grpc,
    SourceSettings sources,
    ModelControl modelControl,
    long responseCacheBytes) {

  public static final String SERVER_NAME = "sluice";

  public GatewayConfig {
    if (responseCacheBytes < 0) {
      throw new IllegalArgumentException("cache-config: size is %d; expected at least 0".formatted(responseCacheBytes));
    }
  }

  /// The defaults of everything, on free ports of loopback.
  public static GatewayConfig onFreePorts(Path modelRepository, Path dataDirectory) {
    return new GatewayConfig(
        modelRepository,
        dataDirectory,
        SERVER_NAME,
        Listeners.onFreePorts(),
        ConfigOptions.defaults(),
        GrpcOptions.defaults(),
        SourceSettings.defaults(dataDirectory.resolve("model-cache")),
        ModelControl.defaults(),
        0);
  }

  public GatewayConfig with(Listeners other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, other, configOptions, grpc, sources, modelControl, responseCacheBytes);
  }

  public GatewayConfig with(ConfigOptions other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, other, grpc, sources, modelControl, responseCacheBytes);
  }

  public GatewayConfig with(GrpcOptions other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, other, sources, modelControl, responseCacheBytes);
  }

  public GatewayConfig with(SourceSettings other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, grpc, other, modelControl, responseCacheBytes);
  }

  public GatewayConfig withResponseCacheBytes(long bytes) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, grpc, sources, modelControl, bytes);
  }

  public GatewayConfig with(ModelControl other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, grpc, sources, other, responseCacheBytes);
  }
}
