package dev.sluice.gateway.admission;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/// How many copies of requests may run beside live ones: all, until this process needs more of its processors than is good for
/// the live ones' tail.
///
/// A queue shows that a slow model has no room; a model of microseconds has no queue and runs where its requests arrive, so for
/// those the processors themselves are looked at, twenty times a second. The share halves while they are busy and comes back in
/// small steps, as TCP's window does; a little is always let through, or a rollout would learn nothing on a machine that is
/// always busy. Asking costs a plain read while there is room.
public final class ProcessorPressure {

  public static final long LOOK_MILLIS = 50;

  static final int ALL = 10_000;
  static final int LEAST = ALL / 20;

  /// Beyond this, queues at processors grow faster than load does.
  private static final double BUSY = 0.85;

  private static final int STEP_BACK = ALL / 20;

  /// Found once: finding it goes through all that the platform has to offer, and allocates more than the look itself.
  private final @Nullable OperatingSystemMXBean system =
      ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean found ? found : null;

  private long lookedNanos = System.nanoTime();
  private long processorNanos = processorNanos();
  private volatile int share = ALL;

  /// To be called every [#LOOK_MILLIS], by one thread.
  public void look() {
    long now = System.nanoTime();
    long processor = processorNanos();
    double available = (double) Runtime.getRuntime().availableProcessors() * (now - lookedNanos);
    if (available > 0) {
      share = next(share, (processor - processorNanos) / available);
    }
    lookedNanos = now;
    processorNanos = processor;
  }

  /// Whether a copy may run, drawn by the share that may.
  public boolean admitsCopy() {
    int now = share;
    return now == ALL || ThreadLocalRandom.current().nextInt(ALL) < now;
  }

  static int next(int share, double busy) {
    return busy > BUSY ? Math.max(LEAST, share / 2) : Math.min(ALL, share + STEP_BACK);
  }

  private long processorNanos() {
    return system == null ? 0 : system.getProcessCpuTime();
  }
}
