package dev.sluice.router.statistics;

/// Evidence that bad events come more often than a limit allows, valid however often one looks.
///
/// **The test.** For the null hypothesis "every event is bad with conditional probability at most p0" the evidence after n
/// events, S of them bad, is a mixture of likelihood ratios over a grid of alternatives p_1 .. p_K:
///
/// ```
/// E(n, S) = 1/K * sum over k of  (p_k / p0)^S * ((1 - p_k) / (1 - p0))^(n - S)
/// ```
///
/// Each factor has mean at most 1 while the null holds, so E is a non-negative supermartingale that starts at 1, and by
/// Ville's inequality it ever reaches 1/alpha with probability at most alpha. Rates may drift below the limit and events may
/// depend on each other; only the conditional probability matters.
///
/// **What follows from its shape.** E grows with S and falls with n. It can therefore cross a threshold only at a bad event,
/// and counting too many events (in flight as if they were good) or too few bad ones can only delay an alarm, never cause one.
///
/// **Sources.** Method of mixtures: H. Robbins, "Statistical methods related to the law of the iterated logarithm" (1970).
/// For 0/1 data a bet is a likelihood ratio: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
/// betting", JRSS-B 86 (2024). Within 13 % to 47 % of the best sequential test that knows the true rate.
public final class GridLikelihoodRatio {

  /// Eight alternatives between 1.5 times the limit and 0.9 lose at most ln 8 of evidence to the unknown true rate.
  private static final int GRID_SIZE = 8;

  private static final double NEAREST_ALTERNATIVE = 1.5;
  private static final double FARTHEST_ALTERNATIVE = 0.9;

  /// The largest limit that leaves room for alternatives above it.
  public static final double LIMIT_MAX = 0.5;

  private final double limit;
  private final double[] logGainOfBad = new double[GRID_SIZE];
  private final double[] logLossOfGood = new double[GRID_SIZE];

  /// @param limit the allowed rate p0 of bad events, above 0 and at most [#LIMIT_MAX]
  public GridLikelihoodRatio(double limit) {
    if (!(limit > 0 && limit <= LIMIT_MAX)) {
      throw new IllegalArgumentException("limit: " + limit + " is not above 0 and at most " + LIMIT_MAX);
    }
    this.limit = limit;
    double nearest = NEAREST_ALTERNATIVE * limit;
    double ratio = Math.pow(FARTHEST_ALTERNATIVE / nearest, 1.0 / (GRID_SIZE - 1));
    for (int k = 0; k < GRID_SIZE; k++) {
      double alternative = nearest * Math.pow(ratio, k);
      logGainOfBad[k] = Math.log(alternative / limit);
      logLossOfGood[k] = Math.log1p(-alternative) - Math.log1p(-limit);
    }
  }

  public double limit() {
    return limit;
  }

  /// The natural logarithm of E(n, S).
  public double logEvidence(long events, long bad) {
    long good = events - bad;
    double largest = Double.NEGATIVE_INFINITY;
    for (int k = 0; k < GRID_SIZE; k++) {
      largest = Math.max(largest, bad * logGainOfBad[k] + good * logLossOfGood[k]);
    }
    double sum = 0;
    for (int k = 0; k < GRID_SIZE; k++) {
      sum += Math.exp(bad * logGainOfBad[k] + good * logLossOfGood[k] - largest);
    }
    return largest + Math.log(sum / GRID_SIZE);
  }
}
