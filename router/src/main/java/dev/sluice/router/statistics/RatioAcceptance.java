package dev.sluice.router.statistics;

/// Evidence that the candidate's rate of bad events is less than a margin times the baseline's: what a promotion needs.
///
/// The hypothesis is the opposite of [RatioTest]'s, "the ratio is at least the margin", and the bets are the same with
/// alternatives below the margin (see [RatioGrid]). It does not restart: a candidate that was bad at first has to make up for it,
/// or to begin a stage anew. Feed slices of which no request is pending.
public final class RatioAcceptance implements EProcess {

  private static final double[] FACTORS = {0.75, 0.5, 0.33, 0.2, 0.1};

  private static final RestartingGrid GRID = RestartingGrid.withoutRestarts(Wealth.uniform(FACTORS.length));

  private final RatioGrid ratios;

  /// @param margin the ratio r0 of the candidate's rate to the baseline's that it has to be shown to be below; at least 1
  public RatioAcceptance(double margin) {
    if (!(margin >= 1 && Double.isFinite(margin))) {
      throw new IllegalArgumentException("margin: " + margin + " is not a finite number of at least 1");
    }
    this.ratios = new RatioGrid(margin, FACTORS);
  }

  @Override
  public int size() {
    return GRID.size();
  }

  @Override
  public void begin(double[] state, int at) {
    GRID.begin(state, at);
  }

  /// @param candidateShare the share of requests that went to the candidate in this slice; 0 and 1 teach nothing
  public void add(double[] state, int at, long candidateBad, long baselineBad, double candidateShare) {
    GRID.observed(state, at, ratios.multiply(state, at, candidateBad, baselineBad, candidateShare));
  }

  @Override
  public double evidence(double[] state, int at) {
    return GRID.evidence(state, at);
  }
}
