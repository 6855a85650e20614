package dev.sluice.gateway.config;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Where the gateway listens, how much it takes in, and how it stops.
///
/// @param host where inference and metrics listen
/// @param controlHost where the control plane listens: loopback, because it has no roles yet
/// @param httpPort 0 for any free port; so for the other three
/// @param messageBytesMax the largest request or response
/// @param inFlightBytesMax bytes of requests in memory at once, all callers together
/// @param drain how long calls in flight may take to finish at shutdown
/// @param unix where inference over gRPC listens besides its port; null: nowhere
public record Listeners(
    String host,
    String controlHost,
    int httpPort,
    int grpcPort,
    int metricsPort,
    int controlPort,
    int messageBytesMax,
    long inFlightBytesMax,
    Duration drain,
    @Nullable UnixListener unix) {

  public static final int HTTP_PORT = 8000;
  public static final int GRPC_PORT = 8001;
  public static final int METRICS_PORT = 8002;
  public static final int CONTROL_PORT = 8003;

  /// Triton's clients send tensors of 64 MB and more.
  public static final int MESSAGE_BYTES_MAX = 256 << 20;

  public Listeners {
    List<String> problems = new ArrayList<>();
    checkPort("http-port", httpPort, problems);
    checkPort("grpc-port", grpcPort, problems);
    checkPort("metrics-port", metricsPort, problems);
    checkPort("control-port", controlPort, problems);
    if (messageBytesMax < 1024) {
      problems.add("max-message-bytes: %d is below 1024".formatted(messageBytesMax));
    }
    if (inFlightBytesMax < 1024) {
      problems.add("max-inflight-bytes: %d is below 1024".formatted(inFlightBytesMax));
    }
    if (drain.isNegative()) {
      problems.add("drain: %s is negative".formatted(drain));
    }
    if (!problems.isEmpty()) {
      throw new IllegalArgumentException(String.join("\n", problems));
    }
  }

  /// A request is in memory once off the wire and once as tensors, beside its answer: half of the heap in all.
  public static long inFlightBytesDefault() {
    return Runtime.getRuntime().maxMemory() / 4;
  }

  /// Ports alone, with the default bytes in flight.
  public Listeners(
      String host,
      String controlHost,
      int httpPort,
      int grpcPort,
      int metricsPort,
      int controlPort,
      int messageBytesMax,
      Duration drain) {
    this(
        host, controlHost, httpPort, grpcPort, metricsPort, controlPort, messageBytesMax, inFlightBytesDefault(), drain,
        null);
  }

  public Listeners with(UnixListener other) {
    return new Listeners(
        host, controlHost, httpPort, grpcPort, metricsPort, controlPort, messageBytesMax, inFlightBytesMax, drain, other);
  }

  /// Free ports on loopback, for demonstrations and tests.
  public static Listeners onFreePorts() {
    return new Listeners("127.0.0.1", "127.0.0.1", 0, 0, 0, 0, MESSAGE_BYTES_MAX, Duration.ofSeconds(5));
  }

  private static void checkPort(String name, int port, List<String> problems) {
    if (port < 0 || port > 65_535) {
      problems.add("%s: %d is not between 0 and 65535".formatted(name, port));
    }
  }
}
