package dev.sluice.router.statistics;

/// Evidence that bad events come less often than a limit: what a promotion needs, as opposed to the mere absence of an alarm.
///
/// The hypothesis is the opposite of [LimitTest]'s: "every event is bad with conditional probability at least p0". The evidence
/// is the average of likelihood ratios of alternatives below the limit. It grows with good events, so unlike for a stop here
/// counting a request before it has ended would be the mistake: give it requests that have *completed*, in slices of which
/// none is still pending. The state is two integers, so this is a function.
public final class LimitAcceptance {

  private static final double[] FACTORS = {0.75, 0.5, 0.33, 0.2, 0.1};

  private final double limit;
  private final double[] logLossOfBad = new double[FACTORS.length];
  private final double[] logGainOfGood = new double[FACTORS.length];

  /// @param limit the rate p0 that the candidate has to be shown to be below, in (0, 1)
  public LimitAcceptance(double limit) {
    if (!(limit > 0 && limit < 1)) {
      throw new IllegalArgumentException("limit: " + limit + " is not above 0 and below 1");
    }
    this.limit = limit;
    for (int k = 0; k < FACTORS.length; k++) {
      logLossOfBad[k] = StrictMath.log(FACTORS[k]);
      logGainOfGood[k] = StrictMath.log1p(-FACTORS[k] * limit) - StrictMath.log1p(-limit);
    }
  }

  public double limit() {
    return limit;
  }

  /// At least 0 and at most 1e200; accept when it reaches 1 / beta.
  public double evidence(long completed, long bad) {
    if (bad < 0 || completed < bad) {
      throw new IllegalArgumentException("bad: " + bad + " is not between 0 and the " + completed + " completed");
    }
    double logMost = StrictMath.log(Wealth.MOST);
    return StrictMath.exp(Math.min(logEvidence(completed, bad), logMost));
  }

  /// How many events must have completed in all, with so many bad ones among them, for the evidence to reach the threshold.
  ///
  /// @param threshold 1 / beta, above 1 and at most 1e200
  public long completedNeeded(long bad, double threshold) {
    if (bad < 0) {
      throw new IllegalArgumentException("bad: " + bad + " is negative");
    }
    if (!(threshold > 1 && threshold <= Wealth.MOST)) {
      throw new IllegalArgumentException("threshold: " + threshold + " is not above 1 and at most " + Wealth.MOST);
    }
    // Without good events the evidence is at most 1, so `bad` alone never suffice; each good one adds.
    double logThreshold = StrictMath.log(threshold);
    long tooFew = bad;
    long enough = Math.max(1, 2 * bad);
    while (logEvidence(enough, bad) < logThreshold) {
      tooFew = enough;
      enough *= 2;
    }
    while (enough - tooFew > 1) {
      long middle = (enough + tooFew) >>> 1;
      if (logEvidence(middle, bad) < logThreshold) {
        tooFew = middle;
      } else {
        enough = middle;
      }
    }
    return enough;
  }

  private double logEvidence(long completed, long bad) {
    double largest = Double.NEGATIVE_INFINITY;
    for (int k = 0; k < FACTORS.length; k++) {
      largest = Math.max(largest, bad * logLossOfBad[k] + (completed - bad) * logGainOfGood[k]);
    }
    double sum = 0;
    for (int k = 0; k < FACTORS.length; k++) {
      sum += StrictMath.exp(bad * logLossOfBad[k] + (completed - bad) * logGainOfGood[k] - largest);
    }
    return largest + StrictMath.log(sum / FACTORS.length);
  }
}
