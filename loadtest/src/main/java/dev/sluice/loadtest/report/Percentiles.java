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
        micros(nanos.getValueAtPercentile(50)),
        micros(nanos.getValueAtPercentile(90)),
        micros(nanos.getValueAtPercentile(99)),
        micros(nanos.getValueAtPercentile(99.9)),
        micros(nanos.getMaxValue()));
  }

  private static double micros(double nanos) {
    return Math.round(nanos / 100) / 10.0;
  }
}
