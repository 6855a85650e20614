package dev.sluice.router.assignment;

/// How much of the traffic a rollout's candidate sees at one moment, packed into one word so that a request reads all of it
/// at once and a flip replaces all of it at once.
///
/// ```
/// bit 63   flipped: the candidate is stopped for good
/// 32..62   epoch: grows by one at every flip and weight change
/// 16..31   shadow share, basis points
///  0..15   candidate weight, basis points
/// ```
public final class Exposure {

  /// All of the traffic, in basis points.
  public static final int ALL = 10_000;

  private static final long FLIPPED = 1L << 63;
  private static final long EPOCH_MASK = (1L << 31) - 1;

  /// One less than fits: a flip must find room for its own epoch.
  private static final long EPOCH_MAX = EPOCH_MASK - 1;

  private Exposure() {}

  public static long of(long epoch, int weightBasisPoints, int shadowBasisPoints) {
    if (epoch < 0 || epoch > EPOCH_MAX) {
      throw new IllegalArgumentException("epoch: " + epoch + " is not between 0 and " + EPOCH_MAX);
    }
    return (epoch << 32) | ((long) share(shadowBasisPoints) << 16) | share(weightBasisPoints);
  }

  /// The word after a flip: the next epoch, nothing for the candidate, and no way back.
  public static long flipped(long word) {
    return FLIPPED | ((epoch(word) + 1) << 32);
  }

  public static boolean isFlipped(long word) {
    return word < 0;
  }

  public static long epoch(long word) {
    return (word >>> 32) & EPOCH_MASK;
  }

  public static int weightBasisPoints(long word) {
    return (int) (word & 0xFFFF);
  }

  public static int shadowBasisPoints(long word) {
    return (int) ((word >>> 16) & 0xFFFF);
  }

  private static int share(int basisPoints) {
    if (basisPoints < 0 || basisPoints > ALL) {
      throw new IllegalArgumentException(basisPoints + " basis points is not between 0 and " + ALL);
    }
    return basisPoints;
  }
}
