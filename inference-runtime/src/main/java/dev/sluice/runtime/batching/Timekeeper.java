package dev.sluice.runtime.batching;

import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/// The clock and the alarms of a queue, so that a test can let hours pass in no time.
public interface Timekeeper {

  /// As [System#nanoTime].
  long nanos();

  /// Runs the action at this time, or at once if it has passed, on a thread that must not be kept long.
  Alarm alarm(long atNanos, Runnable action);

  /// An action that has been asked for.
  interface Alarm {
    void cancel();
  }

  /// Real time.
  static Timekeeper of(ScheduledExecutorService timer) {
    return new Timekeeper() {
      @Override
      public long nanos() {
        return System.nanoTime();
      }

      @Override
      public Alarm alarm(long atNanos, Runnable action) {
        try {
          Future<?> scheduled = timer.schedule(action, atNanos - System.nanoTime(), TimeUnit.NANOSECONDS);
          return () -> scheduled.cancel(false);
        } catch (RejectedExecutionException e) {
          return () -> {}; // the timer was shut down, and nobody will wait for long
        }
      }
    };
  }
}
