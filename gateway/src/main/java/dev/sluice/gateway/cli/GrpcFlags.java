package dev.sluice.gateway.cli;

import dev.sluice.gateway.config.GrpcOptions;
import dev.sluice.gateway.config.GrpcOptions.Compression;
import java.time.Duration;
import picocli.CommandLine.Option;

/// The flags of the inference port's gRPC, named as Triton's where Triton has them.
final class GrpcFlags {

  enum TypedOutput { never, mirror }

  enum CompressionLevel { none, low, medium, high }

  @Option(
      names = "--grpc-typed-output",
      defaultValue = "never",
      paramLabel = "WHEN",
      description =
          "Answer in typed contents: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}); mirror: when the request is typed."
              + " A request's parameter sluice_typed_output overrides it.")
  private TypedOutput typedOutput = TypedOutput.never;

  @Option(
      names = "--grpc-infer-response-compression-level",
      defaultValue = "none",
      paramLabel = "LEVEL",
      description =
          "Compress answers to clients that accept gzip: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private CompressionLevel compressionLevel = CompressionLevel.none;

  @Option(
      names = "--grpc-keepalive-time",
      defaultValue = "7200000",
      paramLabel = "MS",
      description = "Silence after which a connection is asked whether it lives (default: ${DEFAULT-VALUE}).")
  private long keepAliveTimeMs;

  @Option(
      names = "--grpc-keepalive-timeout",
      defaultValue = "20000",
      paramLabel = "MS",
      description = "How long it has for its answer (default: ${DEFAULT-VALUE}).")
  private long keepAliveTimeoutMs;

  @Option(
      names = "--grpc-max-connection-age",
      defaultValue = "0",
      paramLabel = "MS",
      description = "Age at which a connection is asked to come anew (default: ${DEFAULT-VALUE}, never).")
  private long connectionAgeMaxMs;

  @Option(
      names = "--grpc-max-connection-age-grace",
      defaultValue = "0",
      paramLabel = "MS",
      description = "How long its calls in flight may then take (default: ${DEFAULT-VALUE}, no limit).")
  private long connectionAgeGraceMs;

  GrpcOptions options() {
    return new GrpcOptions(
        typedOutput == TypedOutput.mirror,
        switch (compressionLevel) {
          case none -> Compression.NONE;
          case low -> Compression.LOW;
          case medium -> Compression.MEDIUM;
          case high -> Compression.HIGH;
        },
        Duration.ofMillis(keepAliveTimeMs),
        Duration.ofMillis(keepAliveTimeoutMs),
        Duration.ofMillis(connectionAgeMaxMs),
        Duration.ofMillis(connectionAgeGraceMs));
  }
}
