package dev.sluice.router.statistics;

/// Evidence that, where two answers to one request differ, it is the candidate's that is the worse one.
///
/// The hypothesis: among discordant pairs P(bad) is at most 1/2. With "bad" for "the candidate failed and the baseline did not"
/// it is McNemar's test, with "slower by more than a margin" a sign test of latency. For the noise floor the baseline runs
/// twice, and "bad" is "the candidate is the one that differs from the first run, not the second run": if the candidate were
/// one more run of the baseline, the three would be exchangeable and the odds even. A bet on theta multiplies by `2 theta`
/// when bad, by `2 (1 - theta)` otherwise. Restarts by itself every [#SPACING] pairs.
public final class SignTest implements EProcess {

  private static final double[] ALTERNATIVES = {0.52, 0.55, 0.6, 0.7, 0.8, 0.9, 0.97};

  /// Discordant pairs between restarts.
  static final int SPACING = 32;

  private static final RestartingGrid GRID =
      new RestartingGrid(Wealth.uniform(ALTERNATIVES.length), new RestartSchedule(0.6, 4096), SPACING);

  @Override
  public int size() {
    return GRID.size();
  }

  @Override
  public void begin(double[] state, int at) {
    GRID.begin(state, at);
  }

  /// A pair that differs; pairs that agree are not added.
  public void add(double[] state, int at, boolean bad) {
    for (int k = 0; k < ALTERNATIVES.length; k++) {
      double theta = ALTERNATIVES[k];
      state[at + k] = Wealth.bounded(state[at + k] * (bad ? 2 * theta : 2 * (1 - theta)));
    }
    GRID.observed(state, at, 1);
  }

  @Override
  public double evidence(double[] state, int at) {
    return GRID.evidence(state, at);
  }
}
