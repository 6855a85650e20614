package dev.sluice.runtime.batching;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// Time that passes when the test says so; alarms ring on the way, each at its very moment.
final class VirtualTime implements Timekeeper {
  private record Ring(long atNanos, Runnable action) {}

  private final List<Ring> rings = new ArrayList<>();
  // Close to where a long wraps around, as System.nanoTime may be.
  private long now = Long.MAX_VALUE - 1_000;

  @Override
  public long nanos() {
    return now;
  }

  @Override
  public Alarm alarm(long atNanos, Runnable action) {
    Ring ring = new Ring(atNanos, action);
    rings.add(ring);
    return () -> rings.remove(ring);
  }

  void advance(long nanos) {
    long end = now + nanos;
    while (true) {
      Ring next = rings.stream().min(Comparator.comparingLong(ring -> ring.atNanos - now)).orElse(null);
      if (next == null || next.atNanos - end > 0) {
        now = end;
        return;
      }
      rings.remove(next);
      if (next.atNanos - now > 0) {
        now = next.atNanos;
      }
      next.action.run();
    }
  }

  /// Time passes while the thread that should ring is kept elsewhere.
  void pass(long nanos) {
    now += nanos;
  }

  int alarms() {
    return rings.size();
  }
}
