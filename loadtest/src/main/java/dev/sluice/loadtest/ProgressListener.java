package dev.sluice.loadtest;

import java.time.Duration;

/// Hears once a second how a load test goes, on the thread that runs it.
@FunctionalInterface
public interface ProgressListener {
  ProgressListener NONE = progress -> {};

  void progressed(Progress progress);

  /// Counts are of measured calls so far; the rate and the percentile (0 when nothing ended) are of the last second.
  record Progress(
      Duration elapsed,
      boolean warmingUp,
      long sent,
      long answered,
      long failed,
      long notSent,
      int inFlight,
      double endedPerSecond,
      double latencyP99Micros) {}
}
