package dev.sluice.loadtest.client;

import dev.sluice.loadtest.client.Tally.Failures;
import io.grpc.Status;
import java.util.Map;
import org.HdrHistogram.Histogram;

/// What was measured, over all connections. Histograms hold nanoseconds.
///
/// @param latency from the planned send time to the end, of answered calls and of those whose deadline passed
/// @param service the same from the actual send
/// @param lateness from the planned to the actual send
/// @param sendingSeconds how long requests were being sent
/// @param answeringSeconds the same until the last call ended
public record Figures(
    long sent,
    long answered,
    long failed,
    long notSent,
    long requestBytes,
    long responseBytes,
    double sendingSeconds,
    double answeringSeconds,
    Histogram latency,
    Histogram service,
    Histogram lateness,
    Map<Status.Code, Failures> failures,
    Map<String, Long> variants,
    Map<String, Long> fallbacks) {

  /// The counters so far and the latencies since the last look.
  public record Interval(long sent, long answered, long failed, long notSent, int inFlight, Histogram latency) {}
}
