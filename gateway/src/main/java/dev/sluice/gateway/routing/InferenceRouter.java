package dev.sluice.gateway.routing;

import dev.sluice.gateway.metrics.CallMeters;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The way of one request: route, assignment, run, answer, and only then observation and shadow.
///
/// A version that nobody doubts may answer from memory. A candidate never does: what it is judged by has to be computed.
public final class InferenceRouter {

  private final Lanes lanes;
  private final Routes routes;
  private final @Nullable ResponseCache cache;

  /// @param cache null: every request runs
  public InferenceRouter(Routes routes, Lanes lanes, @Nullable ResponseCache cache) {
    this.routes = routes;
    this.lanes = lanes;
    this.cache = cache;
  }

  /// Answers the request, on this thread or a later one.
  ///
  /// @param route found by the same request; its signature is what the request was checked against
  public void infer(Route route, InferenceRequest request, Responder responder) {
    LiveRollout rollout = route.rollout();
    if (rollout == null) {
      runAlone(route, request, responder);
      return;
    }
    long nowMillis = LiveRollout.nowMillis();
    Assignment assignment = rollout.assign(request, nowMillis);
    long budgetNanos =
        rollout.candidateBudgetNanos(
            request.lifetime().remainingNanos(), route.version(), lanes.expectedWaitNanos(route.version()));
    if (budgetNanos <= 0 || lanes.isOverloaded(route.version())) {
      // So little time, or room, that the baseline could not stand in any more: the candidate is not tried with such a request.
      assignment = assignment.variant() == Variant.CANDIDATE ? assignment.byBaseline() : assignment.withoutChance();
    }
    assignment = rollout.admit(assignment, request, nowMillis);
    if (assignment.variant() == Variant.CANDIDATE) {
      new CandidateAttempt(route, rollout, assignment, budgetNanos, nowMillis, request, responder, routes, lanes).start();
    } else {
      runBaseline(route, rollout, assignment, budgetNanos, request, responder);
    }
  }

  private void runAlone(Route route, InferenceRequest request, Responder responder) {
    ModelVersion version = routes.acquire(route);
    if (version == null) {
      responder.fail(unloaded(route));
      return;
    }
    ResponseCache.Place place = cache == null ? null : cache.lookUp(version, request);
    List<Tensor> known = place == null ? null : place.found();
    if (place != null && known != null) {
      version.release();
      responder.answer(new Answer(route.version().version(), known, null, null));
      route.meters().answered(place.lookUpNanos());
      return;
    }
    new VersionRun(
            version,
            request,
            lanes,
            new VersionRun.Completion() {
              @Override
              public boolean isWanted() {
                return true;
              }

              @Override
              public void succeeded(List<Tensor> outputs, long nanos) {
                responder.answer(new Answer(route.version().version(), outputs, null, null));
                route.meters().answered(nanos);
                if (place != null) {
                  place.keep(outputs);
                }
              }

              @Override
              public void failed(InferenceFailure failure, long nanos) {
                responder.fail(failure);
                route.meters().failed(failure.kind().name());
                if (place != null) {
                  place.forget();
                }
              }
            })
        .start();
  }

  /// @param budgetNanos the time that the candidate would have had
  private void runBaseline(
      Route route,
      LiveRollout rollout,
      Assignment assignment,
      long budgetNanos,
      InferenceRequest request,
      Responder responder) {
    ModelVersion version = routes.acquire(route);
    if (version == null) {
      responder.fail(unloaded(route));
      return;
    }
    CallMeters meters = rollout.meters(Variant.BASELINE, assignment.segment());
    // The candidate always runs. Where its calls are held against the baseline's, so does the baseline, and in the same way.
    boolean asTheCandidate = rollout.comparesLiveCalls() && assignment.share() > 0;
    ResponseCache.Place place = cache == null || asTheCandidate ? null : cache.lookUp(version, request);
    List<Tensor> known = place == null ? null : place.found();
    if (place != null && known != null) {
      version.release();
      responder.answer(new Answer(route.version().version(), known, Variant.BASELINE, null));
      meters.answered(place.lookUpNanos());
      // Not an observation: the candidate always runs, and would look slow beside answers that nobody computed.
      if (assignment.shadowed()) {
        rollout.shadow().offer(request, assignment, known, 0);
      }
      return;
    }
    VersionRun run =
        new VersionRun(
            version,
            request,
            lanes,
            new VersionRun.Completion() {
              @Override
              public boolean isWanted() {
                return true;
              }

              @Override
              public void succeeded(List<Tensor> outputs, long nanos) {
                responder.answer(new Answer(route.version().version(), outputs, Variant.BASELINE, null));
                meters.answered(nanos);
                rollout.answered(assignment, Variant.BASELINE, false, nanos, request.id());
                rollout.measure(assignment, Variant.BASELINE, request.inputs(), outputs);
                if (asTheCandidate && nanos > budgetNanos) {
                  // The candidate would have been given up on: side by side, that is a failure. Its duration is told above.
                  rollout.weigh(new Observation.Failed(assignment, Variant.BASELINE, false, 0), request.id());
                }
                if (assignment.shadowed()) {
                  rollout.shadow().offer(request, assignment, outputs, nanos);
                }
                if (place != null) {
                  place.keep(outputs);
                }
              }

              @Override
              public void failed(InferenceFailure failure, long nanos) {
                responder.fail(failure);
                meters.failed(failure.kind().name());
                if (failure.kind() == InferenceFailure.Kind.EXECUTION_FAILED
                    || failure.kind() == InferenceFailure.Kind.OUT_OF_MEMORY) {
                  // Perhaps the request's own fault, and the candidate's failures on such requests do not count: held
                  // against the candidate's, this makes it look better than it is, never worse.
                  rollout.observe(
                      new Observation.Failed(assignment, Variant.BASELINE, false, nanos), request.id());
                  if (assignment.shadowed()) {
                    rollout.shadow().offer(request, assignment, null, nanos);
                  }
                } else if (asTheCandidate && isLateness(failure.kind())) {
                  // Nor would the candidate have been given that long: a call that it is late with is its failure too.
                  rollout.weigh(new Observation.Failed(assignment, Variant.BASELINE, false, 0), request.id());
                }
                if (place != null) {
                  place.forget();
                }
              }
            });
    if (asTheCandidate && !rollout.runsHere(route, budgetNanos)) {
      run.startInQueue();
    } else {
      run.start();
    }
  }

  /// Out of time, or sure to be. Out of room is neither variant's failure.
  private static boolean isLateness(InferenceFailure.Kind kind) {
    return kind == InferenceFailure.Kind.TOO_LATE || kind == InferenceFailure.Kind.DEADLINE_EXCEEDED;
  }

  static InferenceFailure unloaded(Route route) {
    return new InferenceFailure(
        InferenceFailure.Kind.MODEL_NOT_READY,
        "Request for unknown model: '%s' version %d is not at ready state"
            .formatted(route.version().model(), route.version().version()));
  }
}
