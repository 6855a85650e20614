package dev.sluice.runtime.batching;

/// Tells a burst from a queue that stands: the first is worth waiting for, the second only makes every answer late.
///
/// After CoDel (RFC 8289): a queue stands once no request that left it for a run had waited for less than a target, for an
/// interval. From then on it holds no more than the target's worth of work. That costs no throughput, since in an overload
/// there is always another request, and every answer comes with time to spare. It stands until it has been empty.
///
/// CoDel takes target and interval from the round trip; here they come from the time that callers have. The target is half of
/// what the most hurried caller may wait for who has been refused of late, so that whoever may be served at all is served
/// beside callers with more time, and runs that turn out longer than usual are not in vain. The interval is all of it, which
/// is what a burst takes to be done: it never makes the queue stand. Callers with more than a second, or without a deadline,
/// count as having one; and where nobody is refused, nobody's hurry shortens the queue for others.
///
/// A queue of slow runs holds some requests for each instance however long they take. Knows no clock and no lock.
final class StandingQueue {

  /// The most that callers are thought to have.
  static final long PATIENCE_NANOS_MAX = 1_000_000_000;

  /// A hurried caller is remembered for this long, up to twice.
  static final long MEMORY_NANOS = 1_000_000_000;

  /// Below this, what the scheduler does to threads looks like a queue that stands.
  static final long INTERVAL_NANOS_MIN = 100_000_000;

  /// Runs for each instance that may wait whatever their time: where all callers have a second, and where some have less.
  static final int PER_INSTANCE = 16;

  static final int PER_INSTANCE_IN_A_HURRY = 2;

  private final Pace pace;
  private final int instances;
  private long patienceNanos = PATIENCE_NANOS_MAX;
  private long patienceBeforeNanos = PATIENCE_NANOS_MAX;
  private boolean remembers;
  private long forgetsNanos;
  private boolean above;
  private long standsFromNanos;
  private boolean stands;

  StandingQueue(Pace pace, int instances) {
    this.pace = pace;
    this.instances = instances;
  }

  /// A request has been refused.
  ///
  /// @param patienceNanos how long it could have waited and still been answered in time; below 0: no time at all, which says
  ///     nothing about the queue
  void refused(long patienceNanos, long nowNanos) {
    forget(nowNanos);
    if (patienceNanos >= 0 && patienceNanos < this.patienceNanos) {
      if (!remembers) {
        remembers = true;
        forgetsNanos = nowNanos + MEMORY_NANOS;
      }
      this.patienceNanos = patienceNanos;
    }
  }

  private void forget(long nowNanos) {
    if (remembers && nowNanos - forgetsNanos >= 0) {
      boolean allForgotten = nowNanos - forgetsNanos >= MEMORY_NANOS;
      patienceBeforeNanos = allForgotten ? PATIENCE_NANOS_MAX : patienceNanos;
      patienceNanos = PATIENCE_NANOS_MAX;
      remembers = patienceBeforeNanos < PATIENCE_NANOS_MAX;
      forgetsNanos = nowNanos + MEMORY_NANOS;
    }
  }

  /// A request left for its run.
  void left(long waitedNanos, long nowNanos) {
    forget(nowNanos);
    if (waitedNanos < targetNanos()) {
      above = false;
    } else if (!above) {
      above = true;
      standsFromNanos = nowNanos + Math.max(INTERVAL_NANOS_MIN, patienceNanos());
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
    if (!stands) {
      return Integer.MAX_VALUE;
    }
    double atLeast =
        patienceNanos() < PATIENCE_NANOS_MAX
            ? PER_INSTANCE_IN_A_HURRY * pace.requestsPerRun() * instances
            : (double) PER_INSTANCE * instances;
    return Math.max((int) Math.min(Integer.MAX_VALUE, atLeast), pace.requestsWithin(patienceNanos() / 2));
  }

  /// Those who have a second wait for it once before they are taken to have half of it.
  private long targetNanos() {
    long patience = patienceNanos();
    return Math.max(
        patience < PATIENCE_NANOS_MAX ? patience / 2 : patience, PER_INSTANCE_IN_A_HURRY * pace.runNanos());
  }

  private long patienceNanos() {
    return Math.min(patienceNanos, patienceBeforeNanos);
  }
}
