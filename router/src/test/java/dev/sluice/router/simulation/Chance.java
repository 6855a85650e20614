package dev.sluice.router.simulation;

/// How far a count may be from what is expected before chance stops being an excuse.
public final class Chance {

  /// What chance may still explain: a sound build fails a test with a bound from here once in a million fresh seeds.
  public static final double ONE_IN_A_MILLION = 1e-6;

  private static final double Z_ONE_IN_A_MILLION = 4.753;

  private Chance() {}

  /// The smallest count that Binomial(trials, rate) exceeds with probability at most one in a million.
  public static int mostOf(int trials, double rate) {
    double logRatio = Math.log(rate) - Math.log1p(-rate);
    double logMass = trials * Math.log1p(-rate);
    double below = Math.exp(logMass);
    int count = 0;
    while (1 - below > ONE_IN_A_MILLION) {
      logMass += Math.log((double) (trials - count) / (count + 1)) + logRatio;
      below += Math.exp(logMass);
      count++;
    }
    return count;
  }

  /// The value that a chi-square statistic exceeds with probability one in a million (Wilson and Hilferty, 1931).
  public static double mostOfChiSquare(int degreesOfFreedom) {
    double ninth = 2.0 / (9.0 * degreesOfFreedom);
    return degreesOfFreedom * Math.pow(1 - ninth + Z_ONE_IN_A_MILLION * Math.sqrt(ninth), 3);
  }

  /// Pearson's statistic of counts that should all be equal.
  public static double chiSquare(long[] counts, long total) {
    double expected = (double) total / counts.length;
    double sum = 0;
    for (long count : counts) {
      sum += (count - expected) * (count - expected) / expected;
    }
    return sum;
  }
}
