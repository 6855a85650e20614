package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;

/// Requests that went to either variant with the same chance, in one word: it can be added to by compare-and-set.
///
/// Layout: from bit 32 the candidate's share in basis points, from bit 16 the requests that were given to it, from bit 0 those that
/// stayed with the baseline. No word is 0 that holds a request.
final class AssignedSlice {
  private static final int SHARE_SHIFT = 32;
  private static final int CANDIDATES_SHIFT = 16;
  private static final long COUNT = 0xFFFF;

  private AssignedSlice() {}

  static long of(Assignment assignment) {
    long one = assignment.variant() == Variant.CANDIDATE ? 1L << CANDIDATES_SHIFT : 1;
    return (long) assignment.share() << SHARE_SHIFT | one;
  }

  /// Of the same share; together at most 65,535 requests.
  static long plus(long slice, long more) {
    return slice + (more & (1L << SHARE_SHIFT) - 1);
  }

  static int share(long slice) {
    return (int) (slice >>> SHARE_SHIFT);
  }

  static long candidates(long slice) {
    return slice >>> CANDIDATES_SHIFT & COUNT;
  }

  static long baselines(long slice) {
    return slice & COUNT;
  }

  static long requests(long slice) {
    return candidates(slice) + baselines(slice);
  }
}
