package dev.sluice.loadtest.client;

import dev.sluice.linux.LinuxCalls;
import dev.sluice.loadtest.schedule.Arrivals;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;

/// Sends when the schedule says so, whatever the server does. A request that finds `inFlightMax` others open is counted as not
/// sent: to send it later would measure another schedule than the one that was asked for.
///
/// Who waits for the due times: the first connection's own thread, between its other work; it sends what is its own and hands the
/// rest to the others. A thread of its own would have to be woken for each request, and wake the connection's for each.
///
/// A thread that sleeps wakes about 60 µs late (Linux's timer slack), which is added to every latency and shown as lateness. Spinning
/// through the last 80 µs removes that, costs up to 80 µs of CPU for each request, and would keep a connection's thread from
/// reading. So while spinning takes at most a quarter of one core (3,000 requests/s) and there is a core to spare, a pacing thread
/// does it; beyond, the connection's thread sends what has become due in small batches.
final class OpenLoop extends Driver {
  private static final long SPIN_NANOS = 80_000;
  private static final double SPIN_CORE_SHARE_MAX = 0.25;

  /// So that a stop is noticed.
  private static final long WAIT_NANOS_MAX = 50_000_000;

  /// A schedule that runs behind must not keep its thread from reading answers.
  private static final int SENT_AT_ONCE_MAX = 64;

  private final List<Connection> connections;
  private final Connection first;
  private final Window window;
  private final LongSupplier due;
  private final int inFlightMax;
  private final LongAdder notSent = new LongAdder();
  private final boolean spin;

  // Of whoever waits for the due times.
  private long next;
  private long plannedNanos;
  private boolean allSent;

  OpenLoop(List<Connection> connections, Window window, Arrivals arrivals, int inFlightMax) {
    this.connections = connections;
    this.first = connections.getFirst();
    this.window = window;
    this.due = arrivals.dueNanos();
    this.inFlightMax = inFlightMax;
    this.spin = arrivals.perSecond() * SPIN_NANOS / 1e9 < SPIN_CORE_SHARE_MAX
        && Runtime.getRuntime().availableProcessors() > 1;
  }

  @Override
  void begin() {
    // The schedule's own token: the run cannot end while it still sends.
    inFlight.set(1);
    plan();
    if (spin) {
      LinuxCalls.prompt(Thread.ofPlatform().daemon().name("loadtest-pacer").factory())
          .newThread(this::pace)
          .start();
    } else {
      first.execute(this::sendDue);
    }
  }

  private void plan() {
    plannedNanos = window.startNanos() + due.getAsLong();
  }

  /// On the pacing thread.
  private void pace() {
    try {
      while (goesOn()) {
        waitUntil(plannedNanos);
        sendPlanned();
      }
      // Wait for the end all the same: the time after the last request belongs to the measured time.
      waitUntil(lastNanos());
    } catch (RuntimeException | Error e) {
      broken(e);
    }
    sendingEnded();
    release();
  }

  private void broken(Throwable e) {
    crash(e instanceof RuntimeException known ? known : new IllegalStateException("the schedule broke", e));
  }

  private void waitUntil(long nanos) {
    for (long left; (left = nanos - System.nanoTime()) > 0 && !stopped;) {
      if (left > SPIN_NANOS) {
        LockSupport.parkNanos(Math.min(left - SPIN_NANOS, WAIT_NANOS_MAX));
      } else {
        Thread.onSpinWait();
      }
    }
  }

  /// On the first connection's thread: sends what is due and comes again for the next.
  private void sendDue() {
    try {
      for (int sent = 0; sent < SENT_AT_ONCE_MAX && goesOn() && plannedNanos - System.nanoTime() <= 0; sent++) {
        sendPlanned();
      }
      long left = (goesOn() ? plannedNanos : lastNanos()) - System.nanoTime();
      if (left > 0) {
        first.schedule(this::sendDue, Math.min(left, WAIT_NANOS_MAX));
        return;
      }
      if (goesOn()) {
        // After the answers that have come meanwhile: a task would be done before the loop looks for them, a timer is not.
        first.schedule(this::sendDue, 1);
        return;
      }
    } catch (RuntimeException | Error e) {
      broken(e);
    }
    sendingEnded();
    release();
  }

  private boolean goesOn() {
    return !stopped && !allSent && plannedNanos - window.endNanos() < 0;
  }

  /// When the run is over that does not go on.
  private long lastNanos() {
    return stopped || allSent ? System.nanoTime() : window.endNanos();
  }

  private void sendPlanned() {
    Window.Place place = stopped ? Window.Place.OVER : window.place(plannedNanos);
    if (place == Window.Place.OVER) {
      allSent = true;
      return;
    }
    long n = next++;
    long planned = plannedNanos;
    boolean measured = place == Window.Place.MEASURED;
    plan();
    // Only the schedule takes tokens, so looking first is enough; one token is its own.
    if (inFlight.get() > inFlightMax) {
      if (measured) {
        notSent.increment();
      }
      return;
    }
    inFlight.incrementAndGet();
    Connection connection = connections.get((int) (n % connections.size()));
    if (!spin && connection == first) {
      connection.send(n, planned, measured, this);
    } else {
      connection.execute(() -> connection.send(n, planned, measured, this));
    }
  }

  @Override
  void callEnded(Connection connection) {
    release();
  }

  @Override
  int callsInFlight() {
    // Less the schedule's token; it goes last or first.
    return Math.max(0, super.callsInFlight() - 1);
  }

  @Override
  long notSent() {
    return notSent.sum();
  }
}
