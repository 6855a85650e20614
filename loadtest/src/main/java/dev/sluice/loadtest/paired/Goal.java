package dev.sluice.loadtest.paired;

import java.util.Locale;

/// A bound that a figure is to keep, and what an estimate says about it.
///
/// @param unit behind the number: `x`, `ns`, or nothing
public record Goal(Side side, double bound, String unit) {
  /// An interval wider than this, with the goal inside, does not tell.
  static final double SPREAD_MAX = 0.10;

  public enum Side { AT_MOST, AT_LEAST }

  public static Goal atMost(double bound, String unit) {
    return new Goal(Side.AT_MOST, bound, unit);
  }

  public static Goal atLeast(double bound, String unit) {
    return new Goal(Side.AT_LEAST, bound, unit);
  }

  /// When the whole interval lies on one side of the bound, noise cannot have decided. When the bound is inside, the
  /// median decides, provided that the interval is narrow; a wide one says that the machine was too noisy to tell.
  public Verdict judge(Estimate estimate) {
    boolean lowKept = keeps(estimate.low());
    if (lowKept == keeps(estimate.high())) {
      return lowKept ? Verdict.PASS : Verdict.FALLS_SHORT;
    }
    if (estimate.spread() > SPREAD_MAX) {
      return Verdict.TOO_NOISY;
    }
    return keeps(estimate.median()) ? Verdict.PASS : Verdict.FALLS_SHORT;
  }

  private boolean keeps(double value) {
    return switch (side) {
      case AT_MOST -> value <= bound;
      case AT_LEAST -> value >= bound;
    };
  }

  @Override
  public String toString() {
    String number = bound == Math.rint(bound)
        ? String.format(Locale.ROOT, "%,d", (long) bound)
        : String.format(Locale.ROOT, "%s", bound);
    return (side == Side.AT_MOST ? "≤ " : "≥ ") + number + (unit.isEmpty() ? "" : " " + unit);
  }
}
