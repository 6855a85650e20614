package dev.sluice.loadtest.traffic;

import java.util.Arrays;

/// How requests spread over sticky keys: `count` distinct keys, all equally busy or a few of them much busier.
public record Keys(int count, Spread spread) {
  /// The tables of a Zipf spread stay below 8 MB.
  public static final int COUNT_MAX = 1_000_000;

  public static final Keys NONE = new Keys(0, Spread.UNIFORM);

  /// Which keys are busy.
  public enum Spread {
    /// Every key is as busy as every other.
    UNIFORM,
    /// The k-th key sends 1/k as much as the first (Zipf's law with exponent 1).
    ZIPF
  }

  public Keys {
    if (count < 0 || count > COUNT_MAX) {
      throw new InvalidTrafficException("keys: %d; expected 0 (no keys) to %d".formatted(count, COUNT_MAX));
    }
  }

  /// A function from [0, 1) to the index of a key.
  DrawOf draw() {
    return switch (spread) {
      case UNIFORM -> u -> (int) (u * count);
      case ZIPF -> {
        var weights = new double[count];
        Arrays.setAll(weights, k -> 1.0 / (k + 1));
        yield weighted(weights);
      }
    };
  }

  /// Maps a number in [0, 1) to an index.
  @FunctionalInterface
  interface DrawOf {
    int index(double unit);
  }

  /// Draws index i in proportion to its weight.
  static DrawOf weighted(double[] weights) {
    double[] upTo = weights.clone();
    Arrays.parallelPrefix(upTo, Double::sum);
    return u -> {
      int at = Arrays.binarySearch(upTo, u * upTo[upTo.length - 1]);
      // An exact hit on a border belongs to the next index; rounding may touch the last border.
      return Math.min(at >= 0 ? at + 1 : -at - 1, upTo.length - 1);
    };
  }
}
