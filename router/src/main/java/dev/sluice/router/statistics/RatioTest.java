package dev.sluice.router.statistics;

/// Evidence that bad events are more frequent on the candidate than on the baseline, by more than a margin, at whatever shares
/// of the requests the two have and while those shares change.
///
/// The hypothesis: the ratio r of the two rates is at most the margin. Only bad events count; each is asked whose it was (see
/// [RatioGrid] for the formulas and their source). Feed slices that have matured, with all their requests ended: an unfinished
/// slice holds the failures of whoever fails faster. Restarts by itself every [#SPACING] bad events.
public final class RatioTest implements EProcess {

  /// Alternatives for latency, where a bad event is "slower than a quantile of the baseline" and ratios are moderate. Not to be
  /// written to; every test keeps its own copy.
  @SuppressWarnings("MutablePublicArray")
  public static final double[] LATENCY_FACTORS = {1.05, 1.1, 1.25, 1.5, 2, 3, 5, 10, 30, 100};

  /// Alternatives for failures, which may well be hundreds of times more frequent.
  private static final double[] FAILURES = {1.5, 2, 4, 8, 16, 32, 64, 128, 256, 512};

  /// Bad events, of both variants, between restarts.
  static final int SPACING = 16;

  private static final RestartSchedule SCHEDULE = new RestartSchedule(0.6, 4096);

  private final RatioGrid ratios;
  private final RestartingGrid grid;

  /// A test for failures.
  ///
  /// @param margin the allowed ratio r0 of the candidate's rate to the baseline's, at least 1 and finite
  public RatioTest(double margin) {
    this(margin, FAILURES);
  }

  /// @param factors the alternatives as multiples of the margin, each above 1 and at most 1e4
  public RatioTest(double margin, double[] factors) {
    if (!(margin >= 1 && Double.isFinite(margin))) {
      throw new IllegalArgumentException("margin: " + margin + " is not a finite number of at least 1");
    }
    if (factors.length == 0) {
      throw new IllegalArgumentException("factors: none given, expected at least one alternative above the margin");
    }
    double[] alternatives = factors.clone();
    for (double factor : alternatives) {
      if (!(factor > 1 && factor <= RatioGrid.FACTOR_MAX)) {
        throw new IllegalArgumentException("factors: " + factor + " is not above 1 and at most " + RatioGrid.FACTOR_MAX);
      }
    }
    this.ratios = new RatioGrid(margin, alternatives);
    this.grid = new RestartingGrid(Wealth.uniform(alternatives.length), SCHEDULE, SPACING);
  }

  @Override
  public int size() {
    return grid.size();
  }

  @Override
  public void begin(double[] state, int at) {
    grid.begin(state, at);
  }

  /// A slice of requests that have all ended.
  ///
  /// @param candidateShare the share of requests that went to the candidate in this slice; 0 and 1 teach nothing
  public void add(double[] state, int at, long candidateBad, long baselineBad, double candidateShare) {
    grid.observed(state, at, ratios.multiply(state, at, candidateBad, baselineBad, candidateShare));
  }

  @Override
  public double evidence(double[] state, int at) {
    return grid.evidence(state, at);
  }
}
