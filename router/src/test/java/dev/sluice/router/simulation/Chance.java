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

  /// What rates a count out of so many trials is compatible with: the exact interval of Clopper and Pearson (1934), 95 %.
  public static double[] interval(int count, int trials) {
    return new double[] {
      count == 0 ? 0 : rateAt(0.975, count - 1, trials), count == trials ? 1 : rateAt(0.025, count, trials)
    };
  }

  /// The rate at which Binomial(trials, rate) is at most `count` with this probability.
  private static double rateAt(double probability, int count, int trials) {
    double low = 0;
    double high = 1;
    for (int i = 0; i < 100; i++) {
      double middle = (low + high) / 2;
      if (atMost(count, trials, middle) > probability) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return (low + high) / 2;
  }

  private static double atMost(int count, int trials, double rate) {
    double logMass = trials * Math.log1p(-rate);
    double below = Math.exp(logMass);
    for (int k = 0; k < count; k++) {
      logMass += Math.log((double) (trials - k) / (k + 1)) + Math.log(rate) - Math.log1p(-rate);
      below += Math.exp(logMass);
    }
    return below;
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
