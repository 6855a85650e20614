package dev.sluice.router.statistics;

import java.util.Arrays;
import java.util.Objects;

/// Evidence that some bin of a histogram receives more than its limit: a distribution that has changed its shape, a category
/// that has become frequent, values that are missing.
///
/// The hypothesis: every bin i receives the next value with conditional probability at most its limit. Each bin runs the bets of
/// [LimitTest] for itself, and the average over the bins is the evidence; the bins need not be independent. A limit is the
/// share in the reference plus what is tolerated. Alternatives are multiples of the odds, so that limits near 1 have some
/// too. Restarts by itself every [#SPACING] values. One call costs [#ALTERNATIVES] multiplications per bin.
public final class BinTest implements EProcess {

  private static final double[] ODDS_FACTORS = {1.25, 1.6, 2.5, 5, 20, 200};

  static final int ALTERNATIVES = ODDS_FACTORS.length;

  /// Values between restarts.
  static final int SPACING = 64;

  /// A bin that has no limit takes no room.
  private static final int LEFT_OUT = -1;

  private final RestartingGrid grid;

  /// Where the wealths of each bin begin.
  private final int[] offsets;

  private final double[] good;

  /// @param limits the share each bin may have, above 0; a bin with a limit of 1 or more is not looked at
  public BinTest(double[] limits) {
    this.offsets = new int[limits.length];
    int wealths = 0;
    for (int bin = 0; bin < limits.length; bin++) {
      if (!(limits[bin] > 0)) {
        throw new IllegalArgumentException("limits[" + bin + "]: " + limits[bin] + " is not above 0");
      }
      offsets[bin] = limits[bin] < 1 ? wealths : LEFT_OUT;
      wealths += limits[bin] < 1 ? ALTERNATIVES : 0;
    }
    if (wealths == 0) {
      throw new IllegalArgumentException("limits: " + Arrays.toString(limits) + " has no bin with a limit below 1");
    }
    this.good = new double[wealths];
    for (int bin = 0; bin < limits.length; bin++) {
      for (int k = 0; offsets[bin] != LEFT_OUT && k < ALTERNATIVES; k++) {
        // With odds factor m: p = m u / (m u + 1 - u), so (1 - p) / (1 - u) = 1 / (m u + 1 - u), and p / u is m times that.
        good[offsets[bin] + k] = 1 / (ODDS_FACTORS[k] * limits[bin] + 1 - limits[bin]);
      }
    }
    this.grid = new RestartingGrid(Wealth.uniform(wealths), new RestartSchedule(0.6, 16384), SPACING);
  }

  @Override
  public int size() {
    return grid.size();
  }

  @Override
  public void begin(double[] state, int at) {
    grid.begin(state, at);
  }

  /// @param bin where the value fell, from 0 up to the number of limits; a bin that is left out counts against no other
  public void add(double[] state, int at, int bin) {
    Objects.checkIndex(bin, offsets.length);
    int offset = offsets[bin];
    if (offset != LEFT_OUT) {
      for (int k = 0; k < ALTERNATIVES; k++) {
        state[at + offset + k] *= ODDS_FACTORS[k];
      }
    }
    for (int i = 0; i < good.length; i++) {
      state[at + i] = Wealth.bounded(state[at + i] * good[i]);
    }
    grid.observed(state, at, 1);
  }

  @Override
  public double evidence(double[] state, int at) {
    return grid.evidence(state, at);
  }
}
