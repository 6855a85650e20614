package dev.sluice.router.statistics;

/// Evidence that the mean of a bounded value is above a limit.
///
/// The hypothesis: given the past, the mean of the next value is at most the limit. A bet of strength c multiplies by
/// `1 + c (x - limit) / (limit - low)`: 1 on average at the limit, never negative because x is at least `low`. The strengths are
/// averaged, in the manner of Cover's universal portfolio: Waudby-Smith and Ramdas, "Estimating means of bounded random
/// variables by betting", JRSS-B 86 (2024); for differences of scores of two forecasters, Choe and Ramdas, "Comparing
/// sequential forecasters", Operations Research 72 (2024). Restarts by itself every [#SPACING] values.
public final class MeanTest implements EProcess {

  private static final double[] STRENGTHS = {0.02, 0.05, 0.1, 0.2, 0.4, 0.8};

  /// Values between restarts.
  static final int SPACING = 64;

  private static final RestartingGrid GRID =
      new RestartingGrid(Wealth.uniform(STRENGTHS.length), new RestartSchedule(0.6, 16384), SPACING);

  private final double limit;
  private final double low;
  private final double high;
  private final double[] stakes = new double[STRENGTHS.length];

  /// @param limit the allowed mean, above `low` and below `high`
  /// @param low the smallest value there is; smaller ones count as this
  /// @param high the largest value there is; larger ones count as this
  public MeanTest(double limit, double low, double high) {
    if (!(low < limit && limit < high && Double.isFinite(low) && Double.isFinite(high))) {
      throw new IllegalArgumentException("limit: " + limit + " is not between low " + low + " and high " + high + ", both finite");
    }
    this.limit = limit;
    this.low = low;
    this.high = high;
    for (int k = 0; k < STRENGTHS.length; k++) {
      stakes[k] = STRENGTHS[k] / (limit - low);
    }
  }

  @Override
  public int size() {
    return GRID.size();
  }

  @Override
  public void begin(double[] state, int at) {
    GRID.begin(state, at);
  }

  /// A NaN is not a value and changes nothing: a missing value has to be counted as what it is, by another rule.
  public void add(double[] state, int at, double value) {
    if (Double.isNaN(value)) {
      return;
    }
    double above = Math.clamp(value, low, high) - limit;
    for (int k = 0; k < stakes.length; k++) {
      state[at + k] = Wealth.bounded(state[at + k] * (1 + stakes[k] * above));
    }
    GRID.observed(state, at, 1);
  }

  @Override
  public double evidence(double[] state, int at) {
    return GRID.evidence(state, at);
  }
}
