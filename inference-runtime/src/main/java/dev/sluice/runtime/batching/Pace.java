package dev.sluice.runtime.batching;

import java.util.concurrent.atomic.AtomicLong;

/// How fast a version has been lately, and how long what waits for it will take: an opinion that must be able to change.
///
/// A run's time is an exponential average with weight 1/8, and how far runs are from it one with weight 1/4, as TCP
/// estimates round trips (RFC 6298). One run counts for at most eight times the average, so a single pause does not
/// shut callers out, and a model that has become a thousand times slower is known as such after a dozen runs.
/// Becoming faster needs no runs of luck either: callers whom a wrong average would turn away are let through now and
/// then while an instance is idle ([#mayTry]), and the first of them that is answered replaces the average
/// ([#restart]).
///
/// Runs that take more than one request count by how many they take when more wait than fit.
final class Pace {

  private static final int AVERAGE_SHIFT = 3;
  private static final int SPREAD_SHIFT = 2;
  private static final int OUTLIER_FACTOR = 8;

  /// A try takes as long as its caller would wait; idle instances then rest for ten times as long.
  private static final int TRY_EVERY = 10;

  private static final long TRY_NANOS_MIN = 10_000_000;
  private static final long TRY_NANOS_MAX = 1_000_000_000;

  private final int instances;

  // Runs on callers' threads record without a lock: two may lose each other's update, which an average can bear.
  private final AtomicLong runNanos = new AtomicLong();
  private final AtomicLong spreadNanos = new AtomicLong();

  // Written under the queue's lock.
  private volatile double requestsPerRun;

  // Guarded by the queue's lock.
  private boolean tried;
  private long nextTryNanos;

  /// @param typicalRunNanos what is known from before, 0: nothing
  /// @param requestsPerRun how many requests a run takes, until it is seen: at best
  Pace(int instances, long typicalRunNanos, int requestsPerRun) {
    this.instances = instances;
    this.requestsPerRun = requestsPerRun;
    this.runNanos.setOpaque(typicalRunNanos);
  }

  /// A run took this long, or was stopped after having taken longer than the average.
  void ran(long nanos) {
    long average = runNanos.getOpaque();
    if (average == 0) {
      restart(nanos);
      return;
    }
    long difference = Math.min(nanos, average * OUTLIER_FACTOR) - average;
    // At least a nanosecond, or integers would stop short of what they approach.
    long step = difference >> AVERAGE_SHIFT;
    runNanos.setOpaque(Math.max(1, average + (step == 0 && difference > 0 ? 1 : step)));
    long spread = spreadNanos.getOpaque();
    spreadNanos.setOpaque(spread + ((Math.abs(difference) - spread) >> SPREAD_SHIFT));
  }

  /// What was thought before was wrong: this is how long a run takes.
  void restart(long nanos) {
    runNanos.setOpaque(Math.max(1, nanos));
    spreadNanos.setOpaque(nanos >> SPREAD_SHIFT);
  }

  /// A run took as many as it could, or more than were thought possible.
  void filled(int requests) {
    double before = requestsPerRun;
    requestsPerRun = before + (requests - before) / (1 << AVERAGE_SHIFT);
  }

  /// How many requests a run takes when more wait.
  double requestsPerRun() {
    return requestsPerRun;
  }

  /// How long a run takes; 0 when nobody knows.
  long runNanos() {
    return runNanos.getOpaque();
  }

  /// A time that few runs are done within.
  long shortRunNanos() {
    return runNanos.getOpaque() - 2 * spreadNanos.getOpaque();
  }

  /// A time that few runs exceed.
  long longRunNanos() {
    return runNanos.getOpaque() + 2 * spreadNanos.getOpaque();
  }

  /// How long until a request runs that has so many before it, all instances being busy: their runs, and half of one
  /// that is under way.
  long waitNanos(int ahead) {
    double runs = (ahead / requestsPerRun + 0.5) / instances;
    return (long) (runs * runNanos.getOpaque());
  }

  /// How many requests run in this time; [Integer#MAX_VALUE] when nobody knows.
  int requestsWithin(long nanos) {
    long run = runNanos.getOpaque();
    return run == 0 ? Integer.MAX_VALUE : (int) Math.min(Integer.MAX_VALUE, nanos * requestsPerRun * instances / run);
  }

  /// Whether to run a request all the same that seems to have too little time, an instance being idle.
  ///
  /// @param leftNanos the time that it has
  boolean mayTry(long nowNanos, long leftNanos) {
    if (tried && nowNanos - nextTryNanos < 0) {
      return false;
    }
    tried = true;
    nextTryNanos = nowNanos + Math.clamp(leftNanos * TRY_EVERY, TRY_NANOS_MIN, TRY_NANOS_MAX);
    return true;
  }
}
