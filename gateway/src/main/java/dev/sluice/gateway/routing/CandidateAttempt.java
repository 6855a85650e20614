package dev.sluice.gateway.routing;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.StopRule.Counted;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/// One request that the candidate is to answer, with the baseline behind it.
///
/// The candidate runs for its share of the caller's time. One that is as fast as that takes, and has earned it ([InlineTrust]), runs
/// on the thread that brought the request, without a timer: [InlineWatch] stops a run that turns out long, and only callers whose
/// share leaves room for the longest that can take are served in this way. Then, and otherwise, it runs through its own
/// version's queue, under a timer: there, one that hangs holds its own instances and nobody else's. Whatever goes wrong with it (it fails,
/// answers out of shape, is late, is not loaded, has no room, or is left alone by the circuit breaker), the baseline answers
/// within the same call. The first of "candidate answered", "candidate gave up" and "time is up" settles the attempt; the others
/// find it settled.
///
/// Only the baseline's success turns a candidate's failure into evidence: what neither can compute, or neither in time, is the
/// caller's mistake.
final class CandidateAttempt implements VersionRun.Completion {

  private final Route route;
  private final LiveRollout rollout;
  private final Assignment assignment;
  private final long budgetNanos;
  private final long nowMillis;
  private final InferenceRequest request;
  private final Responder responder;
  private final Routes routes;
  private final Lanes lanes;
  private final AtomicBoolean settled = new AtomicBoolean();
  private final long startedNanos = System.nanoTime();

  /// When its run began, in the queue; until then, when it was handed over.
  private volatile long runStartedNanos = startedNanos;

  /// Whether a run has begun: what waited only says nothing of how long runs take.
  private volatile boolean begun;

  private volatile @Nullable Future<?> timeout;
  private volatile @Nullable VersionRun run;

  /// @param budgetNanos the candidate's part of the caller's time, above 0
  /// @param nowMillis the time of day
  CandidateAttempt(
      Route route,
      LiveRollout rollout,
      Assignment assignment,
      long budgetNanos,
      long nowMillis,
      InferenceRequest request,
      Responder responder,
      Routes routes,
      Lanes lanes) {
    this.route = route;
    this.rollout = rollout;
    this.assignment = assignment;
    this.budgetNanos = budgetNanos;
    this.nowMillis = nowMillis;
    this.request = request;
    this.responder = responder;
    this.routes = routes;
    this.lanes = lanes;
  }

  void start() {
    request.memory().hold();
    if (!rollout.circuit().tryAcquire()) {
      settled.set(true);
      fallBack(FallbackReason.CIRCUIT_OPEN, true);
      request.memory().release();
      return;
    }
    rollout.ledger().dispatchedLive(assignment.segment(), nowMillis);
    ModelVersion found = route.candidate();
    ModelVersion candidate =
        found == null
            ? routes.acquire(rollout.note().model(), rollout.note().candidateVersion())
            : routes.acquire(found);
    if (candidate == null) {
      giveUp(FallbackReason.UNAVAILABLE, true);
      return;
    }
    VersionRun started = new VersionRun(candidate, request, lanes, this);
    if (!rollout.runsHere(route, budgetNanos) || !started.tryHere(rollout.trust())) {
      goOnInQueue(started);
    }
  }

  /// With what is left of the candidate's time.
  private void goOnInQueue(VersionRun started) {
    long leftNanos = budgetNanos - (System.nanoTime() - startedNanos);
    if (leftNanos <= 0) {
      giveUp(FallbackReason.LATE, true);
      started.cancel(); // for its lease
      return;
    }
    run = started;
    timeout = lanes.timer().schedule(this::expire, leftNanos, TimeUnit.NANOSECONDS);
    started.startInQueue();
    if (settled.get()) {
      started.cancel(); // time was up before there was anything to stop
    }
  }

  // --- what the candidate does ----------------------------------------------------------------------------------------

  @Override
  public boolean isWanted() {
    runStartedNanos = System.nanoTime();
    begun = true;
    return !settled.get() && !Exposure.isFlipped(rollout.ledger().exposure());
  }

  /// A candidate that is slower than its callers' time has to show it: its own timer ends the attempt.
  @Override
  public boolean mayBeTooLate() {
    return false;
  }

  @Override
  public void succeeded(List<Tensor> outputs, long nanos) {
    rollout.trust().answered(startedNanos + nanos - runStartedNanos);
    if (AnswerCheck.fits(outputs, request.outputs(), route.version().signature())) {
      succeed(outputs, nanos);
    } else {
      giveUp(FallbackReason.MALFORMED, true);
    }
  }

  @Override
  public void failed(InferenceFailure failure, long nanos) {
    distrust();
    switch (failure.kind()) {
      // An input that is wrong is so for the baseline too, which then says so.
      case EXECUTION_FAILED, OUT_OF_MEMORY, INVALID_REQUEST -> giveUp(FallbackReason.FAILED, true);
      case OVERLOADED -> giveUp(FallbackReason.SATURATED, true);
      case QUEUE_TIMEOUT, TOO_LATE, SHED -> giveUp(FallbackReason.SATURATED, false); // on the timer, or another's thread
      case CANCELLED, DEADLINE_EXCEEDED -> {
        if (request.lifetime().isOver()) {
          abandon(failure);
        } else {
          giveUp(FallbackReason.STOPPED, true); // everybody was sent back while it waited
        }
      }
      case MODEL_NOT_READY -> { // its device was lost
        rollout.observe(new Observation.Crashed(assignment), request.id());
        giveUp(FallbackReason.UNAVAILABLE, true);
      }
      case UNKNOWN_MODEL,
          UNKNOWN_VERSION,
          UNSUPPORTED,
          UNKNOWN_SHARED_MEMORY,
          LOAD_NOT_ALLOWED,
          LOAD_FAILED,
          LOAD_INVALID,
          SHUTTING_DOWN ->
          abandon(failure);
    }
  }

  /// @param nanos counted as the baseline's are, from handing the request over: rules compare the two
  private void succeed(List<Tensor> outputs, long nanos) {
    if (!settle()) {
      return;
    }
    rollout.circuit().succeeded(nanos);
    rollout.checkAssignedBeforeFlip(request);
    responder.answer(new Answer(rollout.note().candidateVersion(), outputs, Variant.CANDIDATE, null));
    rollout.meters(Variant.CANDIDATE, assignment.segment()).answered(nanos);
    rollout.answered(assignment, Variant.CANDIDATE, false, nanos, request.id());
    rollout.measure(assignment, Variant.CANDIDATE, request.inputs(), outputs);
    if (assignment.shadowed()) {
      rollout.shadow().offer(request, assignment, outputs, nanos);
    }
    request.memory().release();
  }

  /// On the timer: the candidate's share of the caller's time is used up.
  private void expire() {
    VersionRun started = run;
    if (giveUp(FallbackReason.LATE, false) && started != null) {
      distrust();
      started.cancel();
    }
  }

  /// A run that has given no answer for too long is one that could hold an event loop.
  private void distrust() {
    if (begun) {
      rollout.trust().failed(System.nanoTime() - runStartedNanos);
    }
  }

  /// The caller has gone or its request is wrong: no answer, and no evidence.
  private void abandon(InferenceFailure failure) {
    if (settle()) {
      rollout.circuit().release();
      rollout.ledger().taughtNothing(Counted.CANDIDATE_CALLS);
      rollout.ledger().taughtNothing(Counted.CANDIDATE_ASSIGNMENTS);
      rollout.checkAssignedBeforeFlip(request);
      responder.fail(failure);
      rollout.meters(Variant.CANDIDATE, assignment.segment()).failed(failure.kind().name());
      request.memory().release();
    }
  }

  private boolean giveUp(FallbackReason reason, boolean inlineAllowed) {
    boolean first = settle();
    if (first) {
      fallBack(reason, inlineAllowed);
      request.memory().release();
    }
    return first;
  }

  private boolean settle() {
    if (!settled.compareAndSet(false, true)) {
      return false;
    }
    Future<?> pending = timeout;
    if (pending != null) {
      pending.cancel(false);
    }
    return true;
  }

  private void fallBack(FallbackReason reason, boolean inlineAllowed) {
    long candidateNanos = System.nanoTime() - startedNanos;
    rollout.checkAssignedBeforeFlip(request);
    ModelVersion baseline = routes.acquire(route);
    if (baseline == null) {
      releaseBreaker(reason);
      responder.fail(InferenceRouter.unloaded(route));
      return;
    }
    VersionRun standIn =
        new VersionRun(
            baseline,
            request,
            lanes,
            new VersionRun.Completion() {
              @Override
              public boolean isWanted() {
                return true;
              }

              @Override
              public void succeeded(List<Tensor> outputs, long nanos) {
                responder.answer(new Answer(route.version().version(), outputs, Variant.BASELINE, reason));
                rollout.meters(Variant.BASELINE, assignment.segment()).answered(nanos);
                observeFallback(reason, candidateNanos, nanos);
              }

              @Override
              public void failed(InferenceFailure failure, long nanos) {
                responder.fail(failure);
                rollout.meters(Variant.BASELINE, assignment.segment()).failed(failure.kind().name());
                releaseBreaker(reason);
                rollout.ledger().taughtNothing(Counted.CANDIDATE_ASSIGNMENTS);
                if (reason != FallbackReason.CIRCUIT_OPEN) {
                  rollout.ledger().taughtNothing(Counted.CANDIDATE_CALLS);
                }
              }
            });
    if (inlineAllowed) {
      standIn.start();
    } else {
      standIn.startInQueue();
    }
  }

  /// The baseline could do what the candidate could not: that is evidence, unless the caller gave so little time that the
  /// baseline would have been late as well.
  private void observeFallback(FallbackReason reason, long candidateNanos, long baselineNanos) {
    if (reason == FallbackReason.LATE && baselineNanos > candidateNanos) {
      releaseBreaker(reason);
      rollout.ledger().taughtNothing(Counted.CANDIDATE_CALLS);
      rollout.ledger().taughtNothing(Counted.CANDIDATE_ASSIGNMENTS);
      rollout.observe(new Observation.FellBack(assignment.withoutEvidence(), reason), request.id());
      return;
    }
    switch (reason) {
      case FAILED, MALFORMED, LATE, UNAVAILABLE -> {
        rollout.circuit().failed(candidateNanos);
        rollout.observe(
            new Observation.Failed(assignment, Variant.CANDIDATE, false, candidateNanos), request.id());
      }
      case SATURATED, STOPPED -> {
        rollout.circuit().release();
        rollout.ledger().taughtNothing(Counted.CANDIDATE_CALLS);
      }
      case CIRCUIT_OPEN -> {}
    }
    rollout.observe(new Observation.FellBack(assignment, reason), request.id());
  }

  private void releaseBreaker(FallbackReason reason) {
    if (reason != FallbackReason.CIRCUIT_OPEN) {
      rollout.circuit().release();
    }
  }
}
