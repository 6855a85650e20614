package dev.sluice.loadtest.client;

import dev.sluice.linux.LinuxCalls;
import dev.sluice.loadtest.schedule.Arrivals;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;

/// Sends when the schedule says so, whatever the server does. A pacing thread waits for each due time and hands the
/// request to the next connection. A request that finds `inFlightMax` others open is counted as not sent: to send it
/// later would measure another schedule than the one that was asked for.
///
/// Waiting: a parked thread wakes about 60 µs late (Linux's timer slack), which is added to every latency and shown as
/// lateness. Spinning through the last 80 µs removes that and costs up to 80 µs of CPU for each request. So the pacer
/// spins while that is at most a quarter of one core (3,000 requests/s) and there is a core to spare; beyond, it parks
/// and sends what has become due in small batches.
final class OpenLoop extends Driver {
  private static final long SPIN_NANOS = 80_000;
  private static final double SPIN_CORE_SHARE_MAX = 0.25;

  /// So that a stop is noticed.
  private static final long PARK_NANOS_MAX = 50_000_000;

  private final List<Connection> connections;
  private final Window window;
  private final Arrivals arrivals;
  private final int inFlightMax;
  private final LongAdder notSent = new LongAdder();
  private final boolean spin;

  OpenLoop(List<Connection> connections, Window window, Arrivals arrivals, int inFlightMax) {
    this.connections = connections;
    this.window = window;
    this.arrivals = arrivals;
    this.inFlightMax = inFlightMax;
    this.spin = arrivals.perSecond() * SPIN_NANOS / 1e9 < SPIN_CORE_SHARE_MAX
        && Runtime.getRuntime().availableProcessors() > 1;
  }

  @Override
  void begin() {
    // The pacer's own token: the run cannot end while it still sends.
    inFlight.set(1);
    LinuxCalls.prompt(Thread.ofPlatform().daemon().name("loadtest-pacer").factory())
        .newThread(() -> {
          try {
            pace();
          } finally {
            sendingEnded();
            release();
          }
        })
        .start();
  }

  private void pace() {
    LongSupplier due = arrivals.dueNanos();
    for (long n = 0; ; n++) {
      long plannedNanos = window.startNanos() + due.getAsLong();
      if (plannedNanos - window.endNanos() >= 0) {
        // Wait for the end all the same: the time after the last request belongs to the measured time.
        waitUntil(window.endNanos());
        return;
      }
      waitUntil(plannedNanos);
      Window.Place place = stopped ? Window.Place.OVER : window.place(plannedNanos);
      switch (place) {
        case WARM_UP, MEASURED -> send(n, plannedNanos, place == Window.Place.MEASURED);
        case OVER -> {
          return;
        }
      }
    }
  }

  private void send(long n, long plannedNanos, boolean measured) {
    // The pacer is the only one to take tokens, so looking first is enough; one token is its own.
    if (inFlight.get() > inFlightMax) {
      if (measured) {
        notSent.increment();
      }
      return;
    }
    inFlight.incrementAndGet();
    Connection connection = connections.get((int) (n % connections.size()));
    connection.execute(() -> connection.send(n, plannedNanos, measured, this));
  }

  private void waitUntil(long nanos) {
    for (long left; (left = nanos - System.nanoTime()) > 0 && !stopped;) {
      if (!spin) {
        LockSupport.parkNanos(Math.min(left, PARK_NANOS_MAX));
      } else if (left > SPIN_NANOS) {
        LockSupport.parkNanos(Math.min(left - SPIN_NANOS, PARK_NANOS_MAX));
      } else {
        Thread.onSpinWait();
      }
    }
  }

  @Override
  void callEnded(Connection connection) {
    release();
  }

  @Override
  int callsInFlight() {
    // Less the pacer's token; it goes last or first.
    return Math.max(0, super.callsInFlight() - 1);
  }

  @Override
  long notSent() {
    return notSent.sum();
  }
}
