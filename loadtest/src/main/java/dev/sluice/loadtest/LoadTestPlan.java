package dev.sluice.loadtest;

import dev.sluice.loadtest.client.CallObserver;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.loadtest.traffic.Traffic;
import java.time.Duration;

/// Everything that a load test needs to know. Starts from [#of] and its defaults; each `with` changes one thing.
///
/// @param target `host:port`, or `unix:` and the path of a Unix domain socket
/// @param model the name under which the report speaks of what was tested
/// @param warmUp sent first and left out of the figures
/// @param duration how long is measured
/// @param requestsMax how many requests are measured at most
/// @param deadline of each call, from its send
/// @param observer sees every call end
public record LoadTestPlan(
    String target,
    String model,
    Load load,
    Traffic traffic,
    int connections,
    Duration warmUp,
    Duration duration,
    long requestsMax,
    Duration deadline,
    CallObserver observer) {

  public static final int CONNECTIONS_MAX = 256;
  public static final int IN_FLIGHT_MAX = 1_000_000;

  /// Bounds what a forgotten load test can do, and keeps sums of nanoseconds within a long.
  public static final Duration DURATION_MAX = Duration.ofDays(30);

  /// What makes the next request go out.
  public sealed interface Load {
    /// A schedule does, whatever the server does. What would exceed `inFlightMax` open calls is counted as not sent.
    record OpenLoop(Arrivals arrivals, int inFlightMax) implements Load {
      public OpenLoop {
        within("inFlightMax", inFlightMax, IN_FLIGHT_MAX);
      }
    }

    /// An answer does: `concurrency` calls are always in flight.
    record ClosedLoop(int concurrency) implements Load {
      public ClosedLoop {
        within("concurrency", concurrency, IN_FLIGHT_MAX);
      }
    }
  }

  public LoadTestPlan {
    within("connections", connections, CONNECTIONS_MAX);
    if (requestsMax < 1) {
      throw new IllegalArgumentException("requestsMax: %d; expected at least 1".formatted(requestsMax));
    }
    within("warmUp", warmUp, Duration.ZERO);
    within("duration", duration, Duration.ofMillis(1));
    within("deadline", deadline, Duration.ofMillis(1));
  }

  /// One connection, 5 s of warm-up, 30 s measured, 1 s deadline, no observer.
  public static LoadTestPlan of(String target, String model, Load load, Traffic traffic) {
    return new LoadTestPlan(target, model, load, traffic, 1,
        Duration.ofSeconds(5), Duration.ofSeconds(30), Long.MAX_VALUE, Duration.ofSeconds(1), CallObserver.NONE);
  }

  public LoadTestPlan withConnections(int connections) {
    return new LoadTestPlan(
        target, model, load, traffic, connections, warmUp, duration, requestsMax, deadline, observer);
  }

  public LoadTestPlan withWarmUp(Duration warmUp) {
    return new LoadTestPlan(
        target, model, load, traffic, connections, warmUp, duration, requestsMax, deadline, observer);
  }

  public LoadTestPlan withDuration(Duration duration) {
    return new LoadTestPlan(
        target, model, load, traffic, connections, warmUp, duration, requestsMax, deadline, observer);
  }

  public LoadTestPlan withRequestsMax(long requestsMax) {
    return new LoadTestPlan(
        target, model, load, traffic, connections, warmUp, duration, requestsMax, deadline, observer);
  }

  public LoadTestPlan withDeadline(Duration deadline) {
    return new LoadTestPlan(
        target, model, load, traffic, connections, warmUp, duration, requestsMax, deadline, observer);
  }

  public LoadTestPlan withObserver(CallObserver observer) {
    return new LoadTestPlan(
        target, model, load, traffic, connections, warmUp, duration, requestsMax, deadline, observer);
  }

  private static void within(String name, int value, int max) {
    if (value < 1 || value > max) {
      throw new IllegalArgumentException("%s: %d; expected 1 to %d".formatted(name, value, max));
    }
  }

  private static void within(String name, Duration value, Duration min) {
    if (value.compareTo(min) < 0 || value.compareTo(DURATION_MAX) > 0) {
      throw new IllegalArgumentException("%s: %s; expected %s to %s".formatted(name, value, min, DURATION_MAX));
    }
  }
}
