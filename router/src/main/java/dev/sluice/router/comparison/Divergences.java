package dev.sluice.router.comparison;

/// Divergences of two rows of weights, each divided by its sum.
///
/// Both are sums of functions of `t = (p - q) / (p + q)`, which is small where two distributions are alike. Up to an eighth, six
/// terms of a series in t² are exact to 12 digits; unlike differences of logarithms they lose nothing when p and q are nearly
/// the same, and a processor computes several at once, which it cannot with a logarithm. So every element gets its series first,
/// and those that are farther apart are put right afterwards.
///
/// `terms` is room for a row. Both answers are not a number if one of the rows is no distribution.
final class Divergences {

  private static final double SERIES_MAX = 1.0 / 64;

  /// Keeps an element that is 0 in both rows from being divided by 0, and is nothing beside any other.
  private static final double NOTHING = 1e-300;

  private Divergences() {}

  /// Infinite where the candidate alone is 0.
  static double kullbackLeibler(double[] b, double[] c, int from, int to, double[] terms) {
    double baseline = 1 / sum(b, from, to);
    double candidate = 1 / sum(c, from, to);
    if (!(baseline > 0 && candidate > 0)) {
      return Double.NaN;
    }
    double farthest = 0;
    for (int i = from; i < to; i++) {
      double p = b[i] * baseline;
      double q = c[i] * candidate;
      double t = (p - q) / (p + q + NOTHING);
      double u = t * t;
      farthest = Math.max(farthest, u);
      // p ln((1 + t) / (1 - t)): twice the series of the inverse hyperbolic tangent
      terms[i] = 2 * p * t * (1 + u * (1.0 / 3 + u * (1.0 / 5 + u * (1.0 / 7 + u * (1.0 / 9 + u * (1.0 / 11))))));
    }
    if (farthest > SERIES_MAX) {
      for (int i = from; i < to; i++) {
        double p = b[i] * baseline;
        double q = c[i] * candidate;
        if (isFar(p, q)) {
          terms[i] = p == 0 ? 0 : p * Math.log(p / q); // infinite for q = 0
        }
      }
    }
    return Math.max(0, total(terms, from, to));
  }

  /// Between 0 and ln 2, but for rounding.
  static double jensenShannon(double[] b, double[] c, int from, int to, double[] terms) {
    double baseline = 1 / sum(b, from, to);
    double candidate = 1 / sum(c, from, to);
    if (!(baseline > 0 && candidate > 0)) {
      return Double.NaN;
    }
    double farthest = 0;
    for (int i = from; i < to; i++) {
      double p = b[i] * baseline;
      double q = c[i] * candidate;
      double both = p + q;
      double t = (p - q) / (both + NOTHING);
      double u = t * t;
      farthest = Math.max(farthest, u);
      // (1 + t) ln(1 + t) + (1 - t) ln(1 - t): the sum of u^k / (k (2k - 1))
      terms[i] =
          both * u * (1 + u * (1.0 / 6 + u * (1.0 / 15 + u * (1.0 / 28 + u * (1.0 / 45 + u * (1.0 / 66))))));
    }
    if (farthest > SERIES_MAX) {
      for (int i = from; i < to; i++) {
        double p = b[i] * baseline;
        double q = c[i] * candidate;
        if (isFar(p, q)) {
          terms[i] = 2 * (term(p, p + q) + term(q, p + q));
        }
      }
    }
    return total(terms, from, to) / 4;
  }

  private static boolean isFar(double p, double q) {
    double t = (p - q) / (p + q + NOTHING);
    return t * t > SERIES_MAX;
  }

  private static double term(double p, double both) {
    return p == 0 ? 0 : p * Math.log(2 * p / both);
  }

  /// Not a number if there is a negative element or none above 0, or if the sum is infinite.
  private static double sum(double[] row, int from, int to) {
    double least = 0;
    for (int i = from; i < to; i++) {
      least = Math.min(least, row[i]);
    }
    double sum = total(row, from, to);
    return least >= 0 && sum >= Double.MIN_NORMAL && sum < Double.POSITIVE_INFINITY ? sum : Double.NaN;
  }

  /// Four sums at a time: each addition has to wait for the one before.
  private static double total(double[] row, int from, int to) {
    double sum0 = 0;
    double sum1 = 0;
    double sum2 = 0;
    double sum3 = 0;
    int i = from;
    for (; i < to - 3; i += 4) {
      sum0 += row[i];
      sum1 += row[i + 1];
      sum2 += row[i + 2];
      sum3 += row[i + 3];
    }
    for (; i < to; i++) {
      sum0 += row[i];
    }
    return sum0 + sum1 + sum2 + sum3;
  }
}
