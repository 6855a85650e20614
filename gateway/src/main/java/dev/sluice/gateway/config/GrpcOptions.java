package dev.sluice.gateway.config;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/// How the inference port speaks gRPC.
///
/// @param mirrorsTyped whether a request in typed contents is answered in typed contents; otherwise every answer is raw
/// @param compression of answers to clients that accept gzip
/// @param keepAliveTime of silence after which a connection is asked whether it lives
/// @param keepAliveTimeout how long it has for its answer
/// @param connectionAgeMax after which a connection is asked to come anew; zero: never
/// @param connectionAgeGrace how long its calls in flight may then take; zero: as long as they like
public record GrpcOptions(
    boolean mirrorsTyped,
    Compression compression,
    Duration keepAliveTime,
    Duration keepAliveTimeout,
    Duration connectionAgeMax,
    Duration connectionAgeGrace) {

  /// How much time is spent to make an answer smaller.
  public enum Compression {
    NONE,
    LOW,
    MEDIUM,
    HIGH
  }

  public GrpcOptions {
    List<String> problems = new ArrayList<>();
    check("grpc-keepalive-time", keepAliveTime, 1, problems);
    check("grpc-keepalive-timeout", keepAliveTimeout, 1, problems);
    check("grpc-max-connection-age", connectionAgeMax, 0, problems);
    check("grpc-max-connection-age-grace", connectionAgeGrace, 0, problems);
    if (!problems.isEmpty()) {
      throw new IllegalArgumentException(String.join("\n", problems));
    }
  }

  /// Triton's: raw answers, uncompressed, on connections that live for as long as they please.
  public static GrpcOptions defaults() {
    return new GrpcOptions(
        false, Compression.NONE, Duration.ofHours(2), Duration.ofSeconds(20), Duration.ZERO, Duration.ZERO);
  }

  private static void check(String name, Duration value, long millisMin, List<String> problems) {
    if (value.toMillis() < millisMin) {
      problems.add("%s: %d ms is below %d ms".formatted(name, value.toMillis(), millisMin));
    }
  }
}
