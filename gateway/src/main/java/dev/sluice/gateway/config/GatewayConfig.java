package dev.sluice.gateway.config;

import dev.sluice.runtime.repository.ConfigOptions;
import dev.sluice.runtime.source.SourceSettings;
import java.nio.file.Path;
import java.time.Duration;

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
/// @param warmUp how long requests of the gateway's own go its way before it is ready; zero: none do
public record GatewayConfig(
    Path modelRepository,
    Path dataDirectory,
    String serverName,
    Listeners listeners,
    ConfigOptions configOptions,
    GrpcOptions grpc,
    SourceSettings sources,
    ModelControl modelControl,
    long responseCacheBytes,
    Duration warmUp) {

  public static final String SERVER_NAME = "sluice";
  public static final Duration WARM_UP_MAX = Duration.ofMinutes(1);

  public GatewayConfig {
    if (responseCacheBytes < 0) {
      throw new IllegalArgumentException("cache-config: size is %d; expected at least 0".formatted(responseCacheBytes));
    }
    if (warmUp.isNegative() || warmUp.compareTo(WARM_UP_MAX) > 0) {
      throw new IllegalArgumentException(
          "warm-up-ms: %d is not between 0 and %d".formatted(warmUp.toMillis(), WARM_UP_MAX.toMillis()));
    }
  }

  /// The defaults of everything, on free ports of loopback and without a warm-up.
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
        0,
        Duration.ZERO);
  }

  public GatewayConfig with(Listeners other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, other, configOptions, grpc, sources, modelControl, responseCacheBytes,
        warmUp);
  }

  public GatewayConfig with(ConfigOptions other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, other, grpc, sources, modelControl, responseCacheBytes,
        warmUp);
  }

  public GatewayConfig with(GrpcOptions other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, other, sources, modelControl, responseCacheBytes,
        warmUp);
  }

  public GatewayConfig with(SourceSettings other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, grpc, other, modelControl, responseCacheBytes,
        warmUp);
  }

  public GatewayConfig withResponseCacheBytes(long bytes) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, grpc, sources, modelControl, bytes, warmUp);
  }

  public GatewayConfig with(ModelControl other) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, grpc, sources, other, responseCacheBytes,
        warmUp);
  }

  public GatewayConfig withWarmUp(Duration time) {
    return new GatewayConfig(
        modelRepository, dataDirectory, serverName, listeners, configOptions, grpc, sources, modelControl,
        responseCacheBytes, time);
  }
}
