package dev.sluice.gateway.routing;

import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.VersionStatistics.FailureReason;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;

/// One request on one leased version, on the lane that suits the model. The lease is returned whatever happens.
final class VersionRun {

  /// Called exactly once; `nanos` is the time from handing the request over to its end.
  interface Completion {
    void succeeded(List<Tensor> outputs, long nanos);

    void failed(InferenceFailure failure, long nanos);
  }

  private final ModelVersion version;
  private final InferenceRequest request;
  private final Completion completion;
  private final long startedNanos = System.nanoTime();

  private VersionRun(ModelVersion version, InferenceRequest request, Completion completion) {
    this.version = version;
    this.request = request;
    this.completion = completion;
  }

  /// @param version leased by the caller of this method
  /// @param inlineAllowed false on threads that must not compute
  static void start(
      ModelVersion version, InferenceRequest request, Lanes lanes, boolean inlineAllowed, Completion completion) {
    VersionRun run = new VersionRun(version, request, completion);
    if (inlineAllowed && Lanes.runsInline(version) && run.computeInline(lanes)) {
      return;
    }
    version.statistics().waits();
    try {
      lanes.execute(run::computeUnlessOver);
    } catch (RejectedExecutionException e) {
      version.statistics().endedWaiting();
      run.fail(
          new InferenceFailure(
              Kind.OVERLOADED,
              "Exceeds maximum queue size: %d requests wait for a thread already".formatted(Lanes.WAITING_MAX)));
    }
  }

  /// On the thread that brought the request. Nothing else of that thread's can happen meanwhile, not even the news that the
  /// caller has gone, so a run that turns out long is stopped, and begun anew on the pool.
  ///
  /// @return false if it was stopped; the lease is still held then
  private boolean computeInline(Lanes lanes) {
    RunControl control = RunControl.create();
    InlineWatch.Place place = lanes.inlineWatch().begin(control);
    try {
      return compute(control, true);
    } finally {
      place.end();
    }
  }

  /// On a pool thread. The caller may have gone while the request waited; if it goes now, the model is told to stop.
  private void computeUnlessOver() {
    version.statistics().endedWaiting();
    if (request.lifetime().isOver()) {
      fail(request.lifetime().over());
      return;
    }
    RunControl control = RunControl.create();
    try (CallLifetime.Registration _ = request.lifetime().onOver(control::terminate)) {
      compute(control, false);
    }
  }

  private boolean compute(RunControl control, boolean startsOver) {
    long runStartedNanos = System.nanoTime();
    List<Tensor> outputs;
    try {
      outputs = version.run(request.inputs(), request.outputs(), control);
    } catch (ModelExecutionException e) {
      if (startsOver && e.kind() == ModelExecutionException.Kind.TERMINATED) {
        return false;
      }
      fail(failure(e, request));
      return true;
    } catch (RuntimeException | Error e) {
      fail(unexpected(version, e));
      return true;
    }
    recordAnswer(version, request, startedNanos, runStartedNanos);
    version.release();
    completion.succeeded(outputs, elapsed());
    return true;
  }

  private void fail(InferenceFailure failure) {
    version.statistics().failed(reason(failure.kind()), System.nanoTime() - request.startedNanos());
    version.release();
    completion.failed(failure, elapsed());
  }

  /// For a request that had a run of its own.
  static void recordAnswer(
      ModelVersion version, InferenceRequest request, long handedOverNanos, long runStartedNanos) {
    long now = System.nanoTime();
    long rows = version.rows(request.inputs());
    long inferNanos = now - runStartedNanos;
    version.statistics().executed(rows, 0, inferNanos, 0);
    version
        .statistics()
        .succeeded(rows, now - request.startedNanos(), runStartedNanos - handedOverNanos, 0, inferNanos, 0);
  }

  /// A deadline ends a call as its caller's going does: the one is told from the other by the clock only.
  static FailureReason reason(Kind kind) {
    return switch (kind) {
      case OVERLOADED -> FailureReason.REJECTED;
      case CANCELLED, DEADLINE_EXCEEDED -> FailureReason.CANCELED;
      case EXECUTION_FAILED -> FailureReason.BACKEND;
      case UNKNOWN_MODEL,
          UNKNOWN_VERSION,
          MODEL_NOT_READY,
          INVALID_REQUEST,
          UNSUPPORTED,
          UNKNOWN_SHARED_MEMORY,
          LOAD_NOT_ALLOWED,
          LOAD_FAILED,
          LOAD_INVALID,
          SHUTTING_DOWN ->
          FailureReason.OTHER;
    };
  }

  static InferenceFailure failure(ModelExecutionException e, InferenceRequest request) {
    String message = String.valueOf(e.getMessage());
    return switch (e.kind()) {
      case FAILED -> new InferenceFailure(Kind.EXECUTION_FAILED, message);
      case INVALID_INPUT -> InferenceFailure.invalid(message);
      case TERMINATED -> request.lifetime().over();
    };
  }

  /// A fault of the runtime's own code: one caller's request fails, the server lives.
  static InferenceFailure unexpected(ModelVersion version, Throwable e) {
    return new InferenceFailure(Kind.EXECUTION_FAILED, "%s: %s".formatted(version, e));
  }

  private long elapsed() {
    return System.nanoTime() - startedNanos;
  }
}
