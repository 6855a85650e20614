package dev.sluice.loadtest.client;

import java.util.concurrent.atomic.AtomicLong;

/// When calls are sent and which of them are measured: those planned from `measureFromNanos` until `endNanos`, at most
/// `requestsMax` of them. Times are `System.nanoTime()`.
public final class Window {
  private final long startNanos;
  private final long measureFromNanos;
  private final long endNanos;
  private final long requestsMax;
  private final AtomicLong measured = new AtomicLong();

  public Window(long startNanos, long measureFromNanos, long endNanos, long requestsMax) {
    this.startNanos = startNanos;
    this.measureFromNanos = measureFromNanos;
    this.endNanos = endNanos;
    this.requestsMax = requestsMax;
  }

  /// What to do with a call planned for a moment.
  enum Place { WARM_UP, MEASURED, OVER }

  Place place(long plannedNanos) {
    if (plannedNanos - endNanos >= 0) {
      return Place.OVER;
    }
    if (plannedNanos - measureFromNanos < 0) {
      return Place.WARM_UP;
    }
    return measured.getAndIncrement() < requestsMax ? Place.MEASURED : Place.OVER;
  }

  public long startNanos() {
    return startNanos;
  }

  public long measureFromNanos() {
    return measureFromNanos;
  }

  public long endNanos() {
    return endNanos;
  }
}
