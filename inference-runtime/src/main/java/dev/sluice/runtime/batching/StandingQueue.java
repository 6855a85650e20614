package dev.sluice.runtime.batching;

/// Tells a burst from a queue that stands: the first is worth waiting for, the second only makes every answer late.
///
/// After CoDel (RFC 8289): a queue stands once no request that left it for a run had waited for less than the target,
/// for an interval. From then on it holds half the target's worth of work, so that callers who have no deadline wait
/// for a bounded time, and an overload is over half a target after it ends. It stands until it has been empty.
///
/// A queue of slow runs holds some requests for each instance however long they take. Knows no clock and no lock.
final class StandingQueue {

  static final long TARGET_NANOS = 1_000_000_000;
  static final long INTERVAL_NANOS = 1_000_000_000;

  /// Requests for each instance that may wait whatever their time.
  static final int PER_INSTANCE = 16;

  private final Pace pace;
  private final int atLeast;
  private boolean above;
  private long standsFromNanos;
  private boolean stands;

  StandingQueue(Pace pace, int instances) {
    this.pace = pace;
    this.atLeast = (int) Math.min(Integer.MAX_VALUE, (long) instances * PER_INSTANCE);
  }

  /// A request left for its run.
  void left(long waitedNanos, long nowNanos) {
    if (waitedNanos < TARGET_NANOS) {
      above = false;
    } else if (!above) {
      above = true;
      standsFromNanos = nowNanos + INTERVAL_NANOS;
    } else if (nowNanos - standsFromNanos >= 0) {
      stands = true;
    }
  }

  /// Nothing waits any more.
  void ranEmpty() {
    above = false;
    stands = false;
  }

  /// How many requests may wait now.
  int limit() {
    return stands ? Math.max(atLeast, pace.requestsWithin(TARGET_NANOS / 2)) : Integer.MAX_VALUE;
  }
}
