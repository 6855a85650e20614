package dev.sluice.router.statistics;

/// Bets on the ratio of two rates, by asking of each bad event whose it was.
///
/// Given that a request was bad, it was the candidate's with probability `theta = rho r / (rho r + 1 - rho)`, where rho is the
/// candidate's share of requests when it was dispatched and r the ratio of the two rates. The common rate, however it moves,
/// and all good requests cancel. A bet on r_k against r_0 therefore multiplies by
///
/// ```
/// candidate bad:  theta_k / theta_0             = (r_k / r_0) * c_k
/// baseline bad:   (1 - theta_k) / (1 - theta_0) = c_k,   c_k = (rho r_0 + 1 - rho) / (rho r_k + 1 - rho)
/// ```
///
/// Each slice brings its own rho, so weights may change. M. Lindon and A. Malek, "Anytime-valid inference for multinomial count
/// data", NeurIPS 2022 (arXiv 2011.03567).
final class RatioGrid {

  /// Up to so many bad events in a slice their factors are multiplied out, which cannot overflow: 1e4^64 is 1e256. Beyond, it takes
  /// logarithms.
  private static final long MULTIPLIED_OUT = 64;

  static final double FACTOR_MAX = 1e4;

  private final double margin;
  private final double[] factors;
  private final double[] logFactors;

  RatioGrid(double margin, double[] factors) {
    this.margin = margin;
    this.factors = factors;
    this.logFactors = new double[factors.length];
    for (int k = 0; k < factors.length; k++) {
      logFactors[k] = StrictMath.log(factors[k]);
    }
  }

  /// Multiplies the wealths by what a slice says; returns how many events it held that say anything.
  long multiply(double[] state, int at, long candidateBad, long baselineBad, double candidateShare) {
    if (candidateBad < 0 || baselineBad < 0) {
      throw new IllegalArgumentException(
          "bad events: " + candidateBad + " of the candidate and " + baselineBad + " of the baseline must not be negative");
    }
    long events = candidateBad + baselineBad;
    // With all requests on one side a bad event cannot be anybody else's: it says nothing. NaN says nothing either.
    if (events == 0 || !(candidateShare > 0 && candidateShare < 1)) {
      return 0;
    }
    double other = 1 - candidateShare;
    double scaled = candidateShare * margin;
    double common = scaled + other;
    for (int k = 0; k < factors.length; k++) {
      double shrink = common / (scaled * factors[k] + other);
      state[at + k] = Wealth.bounded(state[at + k] * factor(k, shrink, candidateBad, events));
    }
    return events;
  }

  private double factor(int k, double shrink, long candidateBad, long events) {
    if (events == 1) {
      return candidateBad == 0 ? shrink : factors[k] * shrink;
    }
    if (events <= MULTIPLIED_OUT) {
      return Wealth.power(factors[k], candidateBad) * Wealth.power(shrink, events);
    }
    return StrictMath.exp(
        Math.min(candidateBad * logFactors[k] + events * StrictMath.log(shrink), Wealth.LOG_FACTOR_MOST));
  }
}
