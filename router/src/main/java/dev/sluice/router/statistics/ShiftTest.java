package dev.sluice.router.statistics;

/// Evidence that the mean of a standardised feature has moved away from where it was, up or down.
///
/// The hypothesis: given the past, the mean of z, clipped to [-4, 4], lies within the tolerance around 0. Two families of bets,
/// `1 + c (z - tolerance) / (4 + tolerance)` upwards and the same of -z downwards, have means of at most 1 and are averaged.
/// Source as for [MeanTest]. Restarts by itself every [#SPACING] values.
public final class ShiftTest implements EProcess {

  /// Values beyond so many standard deviations count as this many: one outlier is not a shift.
  public static final double CLIP = 4;

  /// At a tolerance of 0.5 the stakes are 0.01, 0.02, 0.05, 0.1 and 0.2 per standard deviation.
  private static final double[] STRENGTHS = {0.045, 0.09, 0.225, 0.45, 0.9};

  /// Values between restarts.
  static final int SPACING = 64;

  private static final RestartingGrid GRID =
      new RestartingGrid(Wealth.uniform(2 * STRENGTHS.length), new RestartSchedule(0.6, 16384), SPACING);

  private final double tolerance;
  private final double[] stakes = new double[STRENGTHS.length];

  /// @param tolerance the allowed shift of the mean in standard deviations, at least 0 and below [#CLIP]
  public ShiftTest(double tolerance) {
    if (!(tolerance >= 0 && tolerance < CLIP)) {
      throw new IllegalArgumentException("tolerance: " + tolerance + " is not at least 0 and below " + CLIP);
    }
    this.tolerance = tolerance;
    for (int k = 0; k < STRENGTHS.length; k++) {
      stakes[k] = STRENGTHS[k] / (CLIP + tolerance);
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

  /// @param z (value - mean of the reference) / standard deviation of the reference; NaN changes nothing
  public void add(double[] state, int at, double z) {
    if (Double.isNaN(z)) {
      return;
    }
    double clipped = Math.clamp(z, -CLIP, CLIP);
    double above = clipped - tolerance;
    double below = -clipped - tolerance;
    for (int k = 0; k < stakes.length; k++) {
      int up = at + k;
      int down = up + stakes.length;
      state[up] = Wealth.bounded(state[up] * (1 + stakes[k] * above));
      state[down] = Wealth.bounded(state[down] * (1 + stakes[k] * below));
    }
    GRID.observed(state, at, 1);
  }

  @Override
  public double evidence(double[] state, int at) {
    return GRID.evidence(state, at);
  }
}
