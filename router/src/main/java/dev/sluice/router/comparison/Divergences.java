package dev.sluice.router.comparison;

/// Divergences of two rows of weights, each divided by its sum.
///
/// Both are sums of functions of `t = (p - q) / (p + q)`, which is small where two distributions are alike. Up to a quarter,
/// eight terms of a series in t² are exact to 12 digits and take a fraction of the time of a logarithm; and unlike differences of
/// logarithms they lose nothing when p and q are nearly the same.
final class Divergences {

  private static final double SERIES_MAX = 1.0 / 16;

  private Divergences() {}

  /// Infinite where the candidate alone is 0; not a number if one of the rows is no distribution.
  static double kullbackLeibler(double[] b, double[] c, int from, int to) {
    double baseline = 1 / sum(b, from, to);
    double candidate = 1 / sum(c, from, to);
    if (!(baseline > 0 && candidate > 0)) {
      return Double.NaN;
    }
    double sum = 0;
    for (int i = from; i < to; i++) {
      double p = b[i] * baseline;
      double q = c[i] * candidate;
      double t = (p - q) / (p + q);
      double u = t * t;
      if (u <= SERIES_MAX) {
        sum += p * t * logarithm(u);
      } else if (p > 0) {
        sum += p * Math.log(p / q); // infinite for q = 0
      }
    }
    return Math.max(0, sum);
  }

  /// `ln((1 + t) / (1 - t)) = t x this`, the series of the inverse hyperbolic tangent.
  private static double logarithm(double u) {
    return 2 * (1 + u * (1.0 / 3 + u * (1.0 / 5 + u * (1.0 / 7
        + u * (1.0 / 9 + u * (1.0 / 11 + u * (1.0 / 13 + u * (1.0 / 15))))))));
  }

  /// Between 0 and ln 2, but for rounding; not a number if one of the rows is no distribution.
  static double jensenShannon(double[] b, double[] c, int from, int to) {
    double baseline = 1 / sum(b, from, to);
    double candidate = 1 / sum(c, from, to);
    if (!(baseline > 0 && candidate > 0)) {
      return Double.NaN;
    }
    double sum = 0;
    for (int i = from; i < to; i++) {
      double p = b[i] * baseline;
      double q = c[i] * candidate;
      double both = p + q;
      double t = (p - q) / both;
      double u = t * t;
      if (u <= SERIES_MAX) {
        sum += both * entropy(u);
      } else if (both > 0) {
        sum += 2 * (term(p, both) + term(q, both));
      }
    }
    return sum / 4;
  }

  private static double term(double p, double both) {
    return p == 0 ? 0 : p * Math.log(2 * p / both);
  }

  /// `(1 + t) ln(1 + t) + (1 - t) ln(1 - t)`: the sum of u^k / (k (2k - 1)).
  private static double entropy(double u) {
    return u * (1 + u * (1.0 / 6 + u * (1.0 / 15 + u * (1.0 / 28
        + u * (1.0 / 45 + u * (1.0 / 66 + u * (1.0 / 91 + u * (1.0 / 120))))))));
  }

  /// Not a number if there is a negative element or none above 0, or if the sum is infinite.
  private static double sum(double[] row, int from, int to) {
    double sum0 = 0;
    double sum1 = 0;
    double sum2 = 0;
    double sum3 = 0;
    boolean positive = true;
    int i = from;
    for (; i < to - 3; i += 4) { // four at a time: each sum has to wait for the one before
      positive &= row[i] >= 0 && row[i + 1] >= 0 && row[i + 2] >= 0 && row[i + 3] >= 0;
      sum0 += row[i];
      sum1 += row[i + 1];
      sum2 += row[i + 2];
      sum3 += row[i + 3];
    }
    for (; i < to; i++) {
      positive &= row[i] >= 0;
      sum0 += row[i];
    }
    double sum = sum0 + sum1 + sum2 + sum3;
    return positive && sum >= Double.MIN_NORMAL && sum < Double.POSITIVE_INFINITY ? sum : Double.NaN;
  }
}
