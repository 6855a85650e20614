package dev.sluice.router.statistics;

/// Evidence that requests do not reach the candidate in the share that was decided: a sample-ratio mismatch, up or down.
///
/// The hypothesis: each request goes to the candidate with exactly the share that applied to it. A bet that the odds are m times
/// what they should be multiplies by `m / (m rho + 1 - rho)` for a request of the candidate and by `1 / (m rho + 1 - rho)` for
/// one of the baseline, which is 1 on average under the hypothesis for every m; half the bets have m above 1, half below.
/// Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022 (arXiv 2011.03567). A mismatch means
/// that the two variants do not see the same kind of requests, and no comparison of them can be trusted. Restarts by itself
/// every [#SPACING] requests.
public final class ShareTest implements EProcess {

  private static final double[] ODDS_FACTORS = {1.02, 1.1, 1.5, 3, 20, 1 / 1.02, 1 / 1.1, 1 / 1.5, 1 / 3.0, 1 / 20.0};

  /// Requests between restarts.
  static final int SPACING = 256;

  // The same bets as on a ratio of rates, with a request in place of a bad event.
  private static final RatioGrid RATIOS = new RatioGrid(1, ODDS_FACTORS);

  private static final RestartingGrid GRID =
      new RestartingGrid(Wealth.uniform(ODDS_FACTORS.length), new RestartSchedule(0.6, 16384), SPACING);

  @Override
  public int size() {
    return GRID.size();
  }

  @Override
  public void begin(double[] state, int at) {
    GRID.begin(state, at);
  }

  /// One request.
  ///
  /// @param share the probability with which it was to go to the candidate; 0 and 1 leave nothing to chance and are left out
  public void add(double[] state, int at, boolean candidate, double share) {
    add(state, at, candidate ? 1 : 0, candidate ? 0 : 1, share);
  }

  /// A slice of requests that were all assigned with the same share: cheaper than one by one.
  public void add(double[] state, int at, long candidates, long baselines, double share) {
    GRID.observed(state, at, RATIOS.multiply(state, at, candidates, baselines, share));
  }

  @Override
  public double evidence(double[] state, int at) {
    return GRID.evidence(state, at);
  }
}
