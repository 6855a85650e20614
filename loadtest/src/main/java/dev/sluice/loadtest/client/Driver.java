package dev.sluice.loadtest.client;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// What makes the connections send. It has ended when it will send no more and every call has ended.
public abstract sealed class Driver permits OpenLoop, ClosedLoop {
  private static final long RUNNING = Long.MIN_VALUE;

  final AtomicInteger inFlight = new AtomicInteger();
  volatile boolean stopped;
  private final AtomicLong sendingEndedNanos = new AtomicLong(RUNNING);
  private final AtomicReference<@Nullable RuntimeException> crash = new AtomicReference<>();
  private final CountDownLatch ended = new CountDownLatch(1);

  /// Begins to send; returns at once.
  abstract void begin();

  /// One call has ended; told on the connection's thread.
  abstract void callEnded(Connection connection);

  /// Requests that were due and not sent because too many were in flight.
  abstract long notSent();

  int callsInFlight() {
    return inFlight.get();
  }

  /// Sends no more; calls in flight are left to end.
  void stop() {
    stopped = true;
  }

  /// The traffic or the observer broke: ends the run instead of measuring something else.
  void crash(RuntimeException e) {
    crash.compareAndSet(null, e);
    stop();
  }

  @Nullable RuntimeException crash() {
    return crash.get();
  }

  /// Nothing more will be sent; the first to notice sets the time.
  void sendingEnded() {
    sendingEndedNanos.compareAndSet(RUNNING, System.nanoTime());
  }

  long sendingEndedNanos() {
    return sendingEndedNanos.get();
  }

  boolean await(Duration atMost) throws InterruptedException {
    return ended.await(atMost.toNanos(), TimeUnit.NANOSECONDS);
  }

  /// Gives back one in-flight token; the last one ends the run.
  void release() {
    if (inFlight.decrementAndGet() == 0) {
      ended.countDown();
    }
  }
}
