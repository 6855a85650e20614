package dev.sluice.router.statistics;

/// The stop boundary of a [GridLikelihoodRatio] as integers: for each number of bad events the largest number of events
/// among which they are too many.
///
/// Evidence falls as events are added, so "E(n, S) has reached the threshold" is the same as "n is at most boundary(S)". The
/// table is made once, when a note is armed; it can be printed, checked by hand, and gives the same verdict on every machine.
/// Beyond its last row the evidence itself is computed (about 50 ns).
public final class BoundaryTable {

  /// Rows kept: enough for every rule that fires early, 4 KiB shared by all rules with the same limit and threshold.
  private static final int ROWS = 512;

  private static final long NEVER_CROSSED = 0;

  private final GridLikelihoodRatio test;
  private final double logThreshold;
  private final long[] boundaries = new long[ROWS];

  /// @param threshold the evidence at which the rule fires: 1 / (alpha x the rule's share of it), above 1
  public BoundaryTable(GridLikelihoodRatio test, double threshold) {
    if (!(threshold > 1 && Double.isFinite(threshold))) {
      throw new IllegalArgumentException("threshold: " + threshold + " is not a finite number above 1");
    }
    this.test = test;
    this.logThreshold = Math.log(threshold);
    for (int bad = 1; bad < ROWS; bad++) {
      boundaries[bad] = compute(bad);
    }
  }

  /// The most events among which `bad` bad ones still stop the rollout; 0 if that many never do.
  public long boundary(long bad) {
    return bad < ROWS ? boundaries[(int) bad] : compute(bad);
  }

  public boolean isCrossed(long events, long bad) {
    return bad < ROWS ? events <= boundaries[(int) bad] && bad > 0 : test.logEvidence(events, bad) >= logThreshold;
  }

  public double limit() {
    return test.limit();
  }

  public double logThreshold() {
    return logThreshold;
  }

  public double logEvidence(long events, long bad) {
    return test.logEvidence(events, bad);
  }

  private long compute(long bad) {
    if (test.logEvidence(bad, bad) < logThreshold) {
      return NEVER_CROSSED;
    }
    long crossed = bad;
    long notCrossed = 2 * bad;
    while (test.logEvidence(notCrossed, bad) >= logThreshold) {
      crossed = notCrossed;
      notCrossed *= 2;
    }
    while (notCrossed - crossed > 1) {
      long middle = (crossed + notCrossed) >>> 1;
      if (test.logEvidence(middle, bad) >= logThreshold) {
        crossed = middle;
      } else {
        notCrossed = middle;
      }
    }
    return crossed;
  }
}
