package dev.sluice.loadtest.report;

import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/// A distribution of times, in microseconds. `p999` is the 99.9th percentile.
public record Percentiles(long count, double mean, double p50, double p90, double p99, double p999, double max) {
  /// Of a histogram of nanoseconds; null when it is empty, because no measurement is not a time of zero.
  static @Nullable Percentiles of(Histogram nanos) {
    if (nanos.getTotalCount() == 0) {
      return null;
    }
    return new Percentiles(
        nanos.getTotalCount(),
        micros(nanos.getMean()),
        at(nanos, 50),
        at(nanos, 90),
        at(nanos, 99),
        at(nanos, 99.9),
        at(nanos, 100));
  }

  private static double at(Histogram nanos, double percentile) {
    return micros((double) nanos.getValueAtPercentile(percentile));
  }

  private static double micros(double nanos) {
    return Math.round(nanos / 100) / 10.0;
  }
}
