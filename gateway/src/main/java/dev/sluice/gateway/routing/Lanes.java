package dev.sluice.gateway.routing;

import dev.sluice.gateway.admission.ProcessorPressure;
import dev.sluice.runtime.batching.VersionQueue;
import dev.sluice.runtime.batching.VersionQueues;
import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.ModelVersion;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/// Where live requests run.
///
/// A model of microseconds runs on the event loop that brought the request: handing it to another thread would cost several
/// times what the model does. A slower one runs on a thread of its version's queue, so that it does not stall the other
/// requests of its loop; baseline and candidate are versions, so neither ever waits for the other. The version's own recent
/// run time decides, call by call, and [InlineWatch] corrects it where a request takes longer than its like.
public final class Lanes implements AutoCloseable {

  /// Models faster than this run where the request arrived.
  static final long INLINE_NANOS_MAX = 100_000;

  /// The same for a model whose requests can share runs: above this, sharing saves more than the hand-over costs.
  static final long INLINE_BATCHED_NANOS_MAX = 20_000;

  private final ScheduledThreadPoolExecutor timer;
  private final InlineWatch inlineWatch;
  private final VersionQueues queues;
  private final ProcessorPressure pressure = new ProcessorPressure();

  public Lanes() {
    this.timer =
        new ScheduledThreadPoolExecutor(1, task -> Thread.ofPlatform().daemon().name("sluice-timer").unstarted(task));
    timer.setRemoveOnCancelPolicy(true);
    this.inlineWatch = new InlineWatch(timer);
    this.queues = new VersionQueues(timer);
    var _ =
        timer.scheduleWithFixedDelay(
            pressure::look, ProcessorPressure.LOOK_MILLIS, ProcessorPressure.LOOK_MILLIS, TimeUnit.MILLISECONDS);
  }

  static boolean runsInline(ModelVersion version) {
    Batching batching = version.profile().scheduling().batching();
    if (batching != null && batching.delayNanos() > 0) {
      return false;
    }
    long typical = version.typicalRunNanos();
    // 0: never run yet, so nothing is known
    return typical > 0 && typical < (batching == null ? INLINE_NANOS_MAX : INLINE_BATCHED_NANOS_MAX);
  }

  /// @param leased by the caller
  VersionQueue queue(ModelVersion leased) {
    return queues.of(leased);
  }

  InlineWatch inlineWatch() {
    return inlineWatch;
  }

  /// For deadlines only: nothing that takes time may run on it.
  ScheduledThreadPoolExecutor timer() {
    return timer;
  }

  /// Live requests that wait for their run.
  public int waiting() {
    return queues.waiting();
  }

  /// Whether a copy may run beside live requests: none waits for an instance, and the processors have room.
  boolean admitsCopy() {
    return pressure.admitsCopy() && !queues.isBackedUp();
  }

  /// About how long a request for this version would wait for its turn now.
  long expectedWaitNanos(ModelVersion version) {
    VersionQueue queue = queues.find(version);
    return queue == null ? 0 : queue.expectedWaitNanos();
  }

  /// Whether this version has refused requests lately because it has more than it can do.
  boolean isOverloaded(ModelVersion version) {
    VersionQueue queue = queues.find(version);
    return queue != null && queue.isOverloaded();
  }

  @Override
  public void close() {
    timer.shutdownNow();
    queues.close();
  }
}
