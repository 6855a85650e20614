package dev.sluice.gateway.routing;

import static java.util.Objects.requireNonNull;

import dev.sluice.linux.LinuxCalls;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Counted;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.tensor.Tensor;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Copies of requests for the variant that did not answer, to be compared and thrown away.
///
/// Live work never waits here: an offer is one small object and one compare-and-set, made after the answer is on its way. When
/// as many copies or bytes wait as may, live requests are waiting because their model is busy, or the processors are, the newest copy is
/// dropped and counted. One
/// thread per rollout, started by its first copy, runs the copies, so a candidate that hangs holds that thread and nothing else.
///
/// **Waking up.** To wake a thread costs the one that answers live requests more than all the rest of an offer. So the
/// thread takes all copies there are at once, and after more than one it sleeps for [#LINGER_NANOS] before it looks again: with many
/// copies nobody wakes it. Only once there was nothing to do does it wait to be woken.
final class Shadow implements AutoCloseable {

  private static final Logger log = LoggerFactory.getLogger(Shadow.class);

  private static final int WAITING_MAX = 256;
  private static final long BYTES_MAX = 64L << 20;

  /// A copy that takes longer is told to stop and counts as failed.
  private static final long TIMEOUT_NANOS_MAX = Duration.ofSeconds(10).toNanos();

  private static final long REPEATS_ENOUGH = 1_000;
  private static final int REPEATS_OF_A_DETERMINISTIC_BASELINE = Exposure.ALL / 100;

  private static final long LINGER_NANOS = Duration.ofMillis(1).toNanos();

  /// How old the news may be that live requests are waiting: to ask takes a look at every version's queue.
  private static final long BACKED_UP_NANOS = 50_000;

  /// A request that waits, and the one that came before it.
  private static final class Copy {
    private final InferenceRequest request;
    private final Assignment assignment;

    /// Null if the baseline failed: whether the candidate would have too is the other half of that pair.
    private final @Nullable List<Tensor> answer;

    /// How long the variant took that was to answer.
    private final long answerNanos;

    private final long bytes;
    private @Nullable Copy next;

    Copy(
        InferenceRequest request, Assignment assignment, @Nullable List<Tensor> answer, long answerNanos, long bytes) {
      this.request = request;
      this.assignment = assignment;
      this.answer = answer;
      this.answerNanos = answerNanos;
      this.bytes = bytes;
    }

    InferenceRequest request() {
      return request;
    }

    Assignment assignment() {
      return assignment;
    }

    @Nullable List<Tensor> answer() {
      return answer;
    }

    long answerNanos() {
      return answerNanos;
    }
  }

  private final LiveRollout rollout;
  private final Routes routes;
  private final Lanes lanes;
  private final AnswerComparison comparison;

  /// The newest copy that the thread has not taken yet.
  private final AtomicReference<@Nullable Copy> newest = new AtomicReference<>();

  private final AtomicInteger waiting = new AtomicInteger();
  private final AtomicLong queuedBytes = new AtomicLong();
  private final LongAdder dropped = new LongAdder();

  /// Whether the thread waits to be woken; whoever takes that back wakes it.
  private final AtomicBoolean parked = new AtomicBoolean();

  private volatile @Nullable Thread thread;
  private volatile long backedUpSeenNanos = System.nanoTime() - BACKED_UP_NANOS;
  private volatile boolean backedUp;
  /// Whether a rule wants to know how long repeats take, however much they agree.
  private final boolean repeatsAreTimed;

  // Of the shadow's thread.
  private long repeats;
  private long selfDisagreements;

  private volatile @Nullable RunControl running;
  private volatile boolean closed;

  Shadow(LiveRollout rollout, Routes routes, Lanes lanes) {
    this.rollout = rollout;
    this.routes = routes;
    this.lanes = lanes;
    this.comparison = new AnswerComparison(rollout.note().comparisons());
    this.repeatsAreTimed = rollout.note().stopRules().stream().anyMatch(StopRule.PairedLatency.class::isInstance);
  }

  /// @param answer what the assigned variant answered; null if that is the baseline, and it failed
  void offer(
      InferenceRequest request, Assignment assignment, @Nullable List<Tensor> answer, long answerNanos) {
    long bytes = bytes(request.inputs()) + (answer == null ? 0 : bytes(answer));
    if (closed || isBackedUp() || queuedBytes.get() + bytes > BYTES_MAX) {
      dropped.increment();
      return;
    }
    if (waiting.incrementAndGet() > WAITING_MAX) {
      waiting.decrementAndGet();
      dropped.increment();
      return;
    }
    queuedBytes.addAndGet(bytes);
    request.memory().hold();
    Copy copy = new Copy(request, assignment, answer, answerNanos, bytes);
    Copy before;
    do {
      before = newest.get();
      copy.next = before;
    } while (!newest.compareAndSet(before, copy));
    wake();
  }

  private void wake() {
    Thread running = thread;
    if (running == null) {
      start();
    } else if (parked.get() && parked.compareAndSet(true, false)) {
      LockSupport.unpark(running);
    }
  }

  private synchronized void start() {
    if (thread == null && !closed) {
      thread = Thread.ofPlatform().daemon().name("sluice-shadow-" + rollout.note().name()).start(this::runCopies);
    }
  }

  private boolean isBackedUp() {
    long now = System.nanoTime();
    if (now - backedUpSeenNanos >= BACKED_UP_NANOS) {
      backedUp = !lanes.admitsCopy();
      backedUpSeenNanos = now;
    }
    return backedUp;
  }

  long dropped() {
    return dropped.sum();
  }

  int waiting() {
    return waiting.get();
  }

  private static long bytes(List<Tensor> tensors) {
    long bytes = 0;
    for (int i = 0; i < tensors.size(); i++) {
      bytes += tensors.get(i).bytes().limit();
    }
    return bytes;
  }

  private void runCopies() {
    LinuxCalls.lowerPriorityOfThisThread(LinuxCalls.COMPUTING); // as the threads of live runs: neither before them nor behind
    boolean busy = false;
    while (!closed) {
      Copy oldest = takeAll();
      if (oldest != null) {
        busy = oldest.next != null;
        runAll(oldest);
      } else if (busy) {
        busy = false;
        LockSupport.parkNanos(this, LINGER_NANOS);
      } else {
        awaitWork();
      }
    }
  }

  private void awaitWork() {
    parked.set(true);
    // Looked at after that is known: who offered before has not seen that it has to wake anybody.
    if (newest.get() == null && !closed) {
      LockSupport.park(this);
    }
    parked.set(false);
  }

  /// All copies that wait, in the order in which they came; null for none.
  private @Nullable Copy takeAll() {
    Copy copy = newest.getAndSet(null);
    Copy oldest = null;
    while (copy != null) {
      Copy before = copy.next;
      copy.next = oldest;
      oldest = copy;
      copy = before;
    }
    return oldest;
  }

  private void runAll(Copy oldest) {
    Copy next = oldest;
    while (next != null && !closed) {
      Copy copy = next;
      next = copy.next;
      copy.next = null; // one that has been run is kept by nobody
      waiting.decrementAndGet();
      queuedBytes.addAndGet(-copy.bytes);
      try {
        if (isBackedUp()) {
          dropped.increment(); // live requests have come to wait while the copy did
        } else if (!Exposure.isFlipped(rollout.ledger().exposure())) {
          run(copy);
        }
        copy.request().memory().release();
      } catch (RuntimeException | Error e) {
        log.error("a shadow copy of rollout '{}' failed in the gateway itself", rollout.note().name(), e);
      }
    }
  }

  private void run(Copy copy) {
    // A copy that has waited is dispatched now; counted as of its arrival it would be evidence too old to matter.
    Assignment assignment = copy.assignment().dispatched(rollout.ledger().ticket(copy.assignment().segment()));
    if (copy.answer() == null) {
      runAfterFailure(copy, assignment);
      return;
    }
    Variant variant = assignment.variant().other();
    if (variant == Variant.CANDIDATE && copy.answerNanos() > timeoutNanos()) {
      // The candidate would have been given up on after that time: for a pair, the baseline has failed.
      rollout.weigh(new Observation.Failed(assignment, Variant.BASELINE, true, copy.answerNanos()), copy.request().id());
    }
    boolean compares = comparison.applies(copy.request().outputs());
    long nowMillis = LiveRollout.nowMillis();
    if (variant == Variant.CANDIDATE) {
      rollout.ledger().dispatchedShadow(assignment.segment(), nowMillis);
    }
    if (compares) {
      rollout.ledger().dispatchedComparison(assignment.segment());
    }
    boolean repeats = ThreadLocalRandom.current().nextInt(Exposure.ALL) < repeatBasisPoints();
    // Which one runs first is drawn: the second finds warmer caches.
    boolean repeatFirst = repeats && ThreadLocalRandom.current().nextBoolean();
    Ran repeat = repeatFirst ? run(copy, assignment, Variant.BASELINE, true) : Ran.NOT;
    Ran ran = run(copy, assignment, variant, false);
    if (ran.outputs() == null) {
      if (compares) {
        rollout.ledger().taughtNothing(Counted.COMPARISONS);
      }
      return;
    }
    if (repeats && !repeatFirst) {
      repeat = run(copy, assignment, Variant.BASELINE, true);
    }
    succeeded(copy, assignment, variant, ran, compares);
    if (repeat.outputs() != null) {
      repeated(copy, assignment, variant, ran, repeat, compares);
    }
  }

  /// The baseline has failed this request. If the candidate can run it, that speaks for the candidate; if it cannot, the request
  /// may be what is wrong.
  private void runAfterFailure(Copy copy, Assignment assignment) {
    rollout.ledger().dispatchedShadow(assignment.segment(), LiveRollout.nowMillis());
    Ran ran = run(copy, assignment, Variant.CANDIDATE, true);
    if (ran.outputs() != null) {
      rollout.answered(assignment, Variant.CANDIDATE, true, ran.nanos(), copy.request().id());
      rollout.weigh(new Observation.Failed(assignment, Variant.BASELINE, true, 0), copy.request().id());
    } else {
      rollout.ledger().taughtNothing(Counted.CANDIDATE_CALLS);
    }
  }

  /// A run on this thread.
  ///
  /// @param outputs null if there are none: it failed, was late or was not wanted any more
  private record Ran(@Nullable List<Tensor> outputs, long nanos) {
    static final Ran NOT = new Ran(null, 0);
  }

  /// @param silent a failure is nobody's evidence: the baseline has answered this request, or will
  private Ran run(Copy copy, Assignment assignment, Variant variant, boolean silent) {
    long number =
        variant == Variant.CANDIDATE ? rollout.note().candidateVersion() : rollout.note().baselineVersion();
    ModelVersion version = routes.acquire(rollout.note().model(), number);
    if (version == null) {
      failed(copy, assignment, variant, 0, silent);
      return Ran.NOT;
    }
    RunControl control = RunControl.create();
    AtomicBoolean settled = new AtomicBoolean();
    long startedNanos = System.nanoTime();
    long timeoutNanos = timeoutNanos();
    Runnable late =
        () -> {
          if (settled.compareAndSet(false, true)) {
            failed(copy, assignment, variant, timeoutNanos, silent);
          }
        };
    InlineWatch.Place place = lanes.inlineWatch().begin(control, late, timeoutNanos);
    running = control;
    if (closed) {
      control.terminate(); // close() may have looked before there was anything to stop
    }
    @Nullable List<Tensor> outputs = null;
    try {
      outputs = version.runCopy(copy.request().inputs(), copy.request().outputs(), control);
    } catch (ModelExecutionException | RuntimeException | Error e) {
      // Whatever it is, it is the variant's: the other one has answered this request.
      if (variant == Variant.CANDIDATE
          && e instanceof ModelExecutionException broken
          && broken.kind() == ModelExecutionException.Kind.DEVICE_LOST) {
        rollout.observe(new Observation.Crashed(assignment), copy.request().id());
      }
    } finally {
      running = null;
      place.end();
      version.release();
    }
    long nanos = System.nanoTime() - startedNanos;
    if (closed || !settled.compareAndSet(false, true)) {
      return Ran.NOT;
    }
    if (outputs == null
        || nanos > timeoutNanos // in time for the watch, which looks now and then
        || !AnswerCheck.fits(outputs, copy.request().outputs(), version.signature())) {
      failed(copy, assignment, variant, nanos, silent);
      return Ran.NOT;
    }
    return new Ran(outputs, nanos);
  }

  private long timeoutNanos() {
    return Math.min(TIMEOUT_NANOS_MAX, Duration.ofMillis(rollout.note().fallback().timeoutMillis()).toNanos());
  }

  private void succeeded(Copy copy, Assignment assignment, Variant variant, Ran ran, boolean compares) {
    String id = copy.request().id();
    List<Tensor> outputs = requireNonNull(ran.outputs());
    rollout.answered(assignment, variant, true, ran.nanos(), id);
    rollout.measure(assignment, variant, copy.request().inputs(), outputs);
    boolean candidateShadowed = variant == Variant.CANDIDATE;
    List<Tensor> answer = requireNonNull(copy.answer());
    List<Tensor> baseline = candidateShadowed ? answer : outputs;
    List<Tensor> candidate = candidateShadowed ? outputs : answer;
    rollout.remember(copy.request(), assignment, baseline, candidate);
    if (compares) {
      rollout.observe(new Observation.Compared(assignment, comparison.compare(baseline, candidate)), id);
    }
  }

  /// Three answers to one request: the baseline's first and second, and the candidate's. Their latencies say something only
  /// if the candidate ran here too, right beside the baseline's second run.
  private void repeated(
      Copy copy, Assignment assignment, Variant variant, Ran ran, Ran repeat, boolean compares) {
    List<Tensor> again = requireNonNull(repeat.outputs());
    List<Tensor> outputs = requireNonNull(ran.outputs());
    boolean candidateShadowed = variant == Variant.CANDIDATE;
    List<Tensor> answer = requireNonNull(copy.answer());
    List<Tensor> first = candidateShadowed ? answer : outputs;
    List<Tensor> candidate = candidateShadowed ? outputs : answer;
    boolean repeatDisagrees = compares && comparison.compare(first, again).disagrees();
    boolean candidateDisagrees = compares && comparison.compare(first, candidate).disagrees();
    rollout.observe(
        new Observation.Repeated(
            assignment, repeatDisagrees, candidateDisagrees, candidateShadowed ? repeat.nanos() : 0,
            candidateShadowed ? ran.nanos() : 0),
        copy.request().id());
    repeats++;
    selfDisagreements += repeatDisagrees ? 1 : 0;
  }

  /// The other variant answered the same request, so a failure here is the variant's own.
  private void failed(Copy copy, Assignment assignment, Variant variant, long nanos, boolean silent) {
    if (!silent) {
      rollout.observe(new Observation.Failed(assignment, variant, true, nanos), copy.request().id());
    }
  }

  /// A baseline that has never disagreed with itself need not be asked so often: after [#REPEATS_ENOUGH] repeats without a
  /// difference, 99.9 % of all worlds in which it differs in more than 0.7 % of the requests would have shown one.
  private int repeatBasisPoints() {
    boolean deterministic = repeats >= REPEATS_ENOUGH && selfDisagreements == 0;
    return deterministic && !repeatsAreTimed
        ? Math.min(rollout.note().repeatBasisPoints(), REPEATS_OF_A_DETERMINISTIC_BASELINE)
        : rollout.note().repeatBasisPoints();
  }

  @Override
  public void close() {
    closed = true;
    RunControl control = running;
    if (control != null) {
      control.terminate(); // nobody waits for its answer any more
    }
    Thread running = thread;
    if (running != null) {
      running.interrupt();
    }
  }
}
