package dev.sluice.gateway.routing;

import dev.sluice.gateway.metrics.CallMeters;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;

/// The way of one request: route, assignment, run, answer, and only then observation and shadow.
public final class InferenceRouter {

  private final Lanes lanes;
  private final Routes routes;

  public InferenceRouter(Routes routes, Lanes lanes) {
    this.routes = routes;
    this.lanes = lanes;
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
    Assignment assignment = rollout.assign(request);
    if (assignment.variant() == Variant.BASELINE) {
      runBaseline(route, rollout, assignment, request, responder);
      return;
    }
    long budgetNanos = rollout.candidateBudgetNanos(request.lifetime().remainingNanos(), route.version());
    if (budgetNanos > 0) {
      new CandidateAttempt(route, rollout, assignment, budgetNanos, request, responder, routes, lanes).start();
    } else {
      // So little time that the baseline could not stand in any more: the candidate is not tried.
      runBaseline(route, rollout, assignment.byBaseline(), request, responder);
    }
  }

  private void runAlone(Route route, InferenceRequest request, Responder responder) {
    ModelVersion version = routes.acquire(route);
    if (version == null) {
      responder.fail(unloaded(route));
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
              }

              @Override
              public void failed(InferenceFailure failure, long nanos) {
                responder.fail(failure);
                route.meters().failed(failure.kind().name());
              }
            })
        .start();
  }

  private void runBaseline(
      Route route, LiveRollout rollout, Assignment assignment, InferenceRequest request, Responder responder) {
    ModelVersion version = routes.acquire(route);
    if (version == null) {
      responder.fail(unloaded(route));
      return;
    }
    CallMeters meters = rollout.meters(Variant.BASELINE, assignment.segment());
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
                rollout.observe(
                    new Observation.Answered(assignment.epoch(), assignment.segment(), Variant.BASELINE, false, nanos),
                    request.id());
                if (assignment.shadowed()) {
                  rollout.shadow().offer(request, assignment, outputs);
                }
              }

              @Override
              public void failed(InferenceFailure failure, long nanos) {
                responder.fail(failure);
                meters.failed(failure.kind().name());
              }
            })
        .start();
  }

  static InferenceFailure unloaded(Route route) {
    return new InferenceFailure(
        InferenceFailure.Kind.MODEL_NOT_READY,
        "Request for unknown model: '%s' version %d is not at ready state"
            .formatted(route.version().model(), route.version().version()));
  }
}
