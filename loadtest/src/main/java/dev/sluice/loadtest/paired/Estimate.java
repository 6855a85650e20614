package dev.sluice.loadtest.paired;

import java.util.Arrays;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/// A median and how sure it is, from repetitions that see the same conditions in turn.
///
/// `low` and `high` are the narrowest pair of order statistics that hold the true median with probability of at least
/// 90 %, whatever the distribution (the sign test's interval; Conover, Practical Nonparametric Statistics, 3.2): of n
/// values, the k-th smallest and the k-th largest hold it with probability 1 - 2 P(Binomial(n, 1/2) < k). Four values
/// or fewer cannot be that sure; then it is their whole range.
///
/// @param count of repetitions, at least 1
public record Estimate(double median, double low, double high, int count) {
  private static final double OUTSIDE_MAX = 0.10;

  public Estimate {
    if (count < 1 || !(low <= median && median <= high)) {
      throw new IllegalArgumentException(
          "estimate: median %s from %s to %s of %d; expected low <= median <= high of at least 1"
              .formatted(median, low, high, count));
    }
  }

  /// @throws IllegalArgumentException without values, or with one that is not finite
  public static Estimate of(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int n = sorted.length;
    for (double value : sorted) {
      if (!Double.isFinite(value)) {
        throw new IllegalArgumentException("estimate of %s; expected finite values".formatted(Arrays.toString(values)));
      }
    }
    if (n == 0) {
      throw new IllegalArgumentException("estimate of nothing; expected at least one value");
    }
    int cut = cut(n);
    return new Estimate((sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[cut], sorted[n - 1 - cut], n);
  }

  /// The estimate over the repetitions 0 to count - 1.
  public static Estimate over(int count, IntToDoubleFunction value) {
    return of(IntStream.range(0, count).mapToDouble(value).toArray());
  }

  /// How many values may be left aside at each end.
  private static int cut(int n) {
    double below = Math.pow(0.5, n); // P(Binomial(n, 1/2) <= k), summed up
    double term = below;
    int k = 0;
    while (2 * (below + term * (n - k) / (k + 1)) <= OUTSIDE_MAX) {
      term *= (double) (n - k) / (k + 1);
      below += term;
      k++;
    }
    return k;
  }

  /// The interval's width as a share of the median.
  public double spread() {
    return high == low ? 0 : (high - low) / Math.abs(median);
  }
}
