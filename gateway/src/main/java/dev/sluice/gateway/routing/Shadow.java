package dev.sluice.gateway.routing;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.tensor.Tensor;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Copies of requests for the variant that did not answer, to be compared and thrown away.
///
/// Live work never waits here: an offer is one attempt at a bounded queue, made after the answer is on its way. When the queue
/// is full in number or in bytes, or live requests are waiting because their model is busy, the newest copy is dropped and counted. One thread
/// per rollout runs the copies, so a candidate that hangs holds that thread and nothing else.
final class Shadow implements AutoCloseable {

  private static final Logger log = LoggerFactory.getLogger(Shadow.class);

  private static final int WAITING_MAX = 256;
  private static final long BYTES_MAX = 64L << 20;

  /// A copy that takes longer is told to stop and counts as failed.
  private static final long TIMEOUT_NANOS_MAX = Duration.ofSeconds(10).toNanos();

  private record Copy(InferenceRequest request, Assignment assignment, List<Tensor> answer, long bytes) {}

  private final LiveRollout rollout;
  private final Routes routes;
  private final Lanes lanes;
  private final AnswerComparison comparison;
  private final ArrayBlockingQueue<Copy> queue = new ArrayBlockingQueue<>(WAITING_MAX);
  private final AtomicLong queuedBytes = new AtomicLong();
  private final LongAdder dropped = new LongAdder();
  private final Thread thread;
  private volatile @Nullable RunControl running;
  private volatile boolean closed;

  Shadow(LiveRollout rollout, Routes routes, Lanes lanes) {
    this.rollout = rollout;
    this.routes = routes;
    this.lanes = lanes;
    this.comparison = new AnswerComparison(rollout.note().comparisons());
    this.thread = Thread.ofPlatform().daemon().name("sluice-shadow-" + rollout.note().name()).start(this::runCopies);
  }

  /// @param answer what the assigned variant answered
  void offer(InferenceRequest request, Assignment assignment, List<Tensor> answer) {
    long bytes = bytes(request.inputs()) + bytes(answer);
    if (closed || lanes.isBackedUp() || queuedBytes.get() + bytes > BYTES_MAX) {
      dropped.increment();
      return;
    }
    queuedBytes.addAndGet(bytes);
    if (!queue.offer(new Copy(request, assignment, answer, bytes))) {
      queuedBytes.addAndGet(-bytes);
      dropped.increment();
    }
  }

  long dropped() {
    return dropped.sum();
  }

  int waiting() {
    return queue.size();
  }

  private static long bytes(List<Tensor> tensors) {
    long bytes = 0;
    for (int i = 0; i < tensors.size(); i++) {
      bytes += tensors.get(i).bytes().limit();
    }
    return bytes;
  }

  private void runCopies() {
    while (!closed) {
      try {
        Copy copy = queue.take();
        queuedBytes.addAndGet(-copy.bytes());
        if (lanes.isBackedUp()) {
          dropped.increment(); // live requests have come to wait while the copy did
        } else if (!Exposure.isFlipped(rollout.ledger().exposure())) {
          run(copy);
        }
      } catch (InterruptedException e) {
        return; // closing
      } catch (RuntimeException e) {
        log.error("a shadow copy of rollout '{}' failed in the gateway itself", rollout.note().name(), e);
      }
    }
  }

  private void run(Copy copy) {
    Variant variant = copy.assignment().variant().other();
    int segment = copy.assignment().segment();
    long number =
        variant == Variant.CANDIDATE ? rollout.note().candidateVersion() : rollout.note().baselineVersion();
    boolean compares = comparison.applies(copy.request().outputs());
    if (variant == Variant.CANDIDATE) {
      rollout.ledger().dispatchedShadow(segment);
    }
    if (compares) {
      rollout.ledger().dispatchedComparison(segment);
    }
    ModelVersion version = routes.acquire(rollout.note().model(), number);
    if (version == null) {
      failed(copy, variant, 0);
      return;
    }
    RunControl control = RunControl.create();
    AtomicBoolean settled = new AtomicBoolean();
    long startedNanos = System.nanoTime();
    long timeoutNanos =
        Math.min(TIMEOUT_NANOS_MAX, Duration.ofMillis(rollout.note().fallback().timeoutMillis()).toNanos());
    ScheduledFuture<?> timeout =
        lanes
            .timer()
            .schedule(
                () -> {
                  if (settled.compareAndSet(false, true)) {
                    control.terminate();
                    failed(copy, variant, timeoutNanos);
                  }
                },
                timeoutNanos,
                TimeUnit.NANOSECONDS);
    running = control;
    if (closed) {
      control.terminate(); // close() may have looked before there was anything to stop
    }
    @Nullable List<Tensor> outputs = null;
    try {
      outputs = version.run(copy.request().inputs(), copy.request().outputs(), control);
    } catch (ModelExecutionException | RuntimeException | Error e) {
      // Whatever it is, it is the variant's: the other one has answered this request.
    } finally {
      running = null;
      timeout.cancel(false);
      version.release();
    }
    long nanos = System.nanoTime() - startedNanos;
    if (closed || !settled.compareAndSet(false, true)) {
      return;
    }
    if (outputs != null && AnswerCheck.fits(outputs, copy.request().outputs(), version.signature())) {
      succeeded(copy, variant, outputs, nanos, compares);
    } else {
      failed(copy, variant, nanos);
    }
  }

  private void succeeded(Copy copy, Variant variant, List<Tensor> outputs, long nanos, boolean compares) {
    Assignment assignment = copy.assignment();
    String id = copy.request().id();
    rollout.observe(
        new Observation.Answered(assignment.epoch(), assignment.segment(), variant, true, nanos), id);
    if (compares) {
      boolean candidateShadowed = variant == Variant.CANDIDATE;
      rollout.observe(
          new Observation.Compared(
              assignment.epoch(),
              assignment.segment(),
              comparison.compare(
                  candidateShadowed ? copy.answer() : outputs,
                  candidateShadowed ? outputs : copy.answer())),
          id);
    }
  }

  /// The other variant answered the same request, so a failure here is the variant's own.
  private void failed(Copy copy, Variant variant, long nanos) {
    rollout.observe(
        new Observation.Failed(copy.assignment().epoch(), copy.assignment().segment(), variant, true, nanos),
        copy.request().id());
  }

  @Override
  public void close() {
    closed = true;
    RunControl control = running;
    if (control != null) {
      control.terminate(); // nobody waits for its answer any more
    }
    thread.interrupt();
    queue.clear();
  }
}
