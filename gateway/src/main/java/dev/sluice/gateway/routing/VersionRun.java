package dev.sluice.gateway.routing;

import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
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
    try {
      lanes.execute(run::computeUnlessOver);
    } catch (RejectedExecutionException e) {
      version.release();
      completion.failed(
          new InferenceFailure(
              Kind.OVERLOADED,
              "Exceeds maximum queue size: %d requests wait for a thread already".formatted(Lanes.WAITING_MAX)),
          0);
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
    if (request.lifetime().isOver()) {
      version.release();
      completion.failed(request.lifetime().over(), elapsed());
      return;
    }
    RunControl control = RunControl.create();
    try (CallLifetime.Registration _ = request.lifetime().onOver(control::terminate)) {
      compute(control, false);
    }
  }

  private boolean compute(RunControl control, boolean startsOver) {
    List<Tensor> outputs;
    try {
      outputs = version.run(request.inputs(), request.outputs(), control);
    } catch (ModelExecutionException e) {
      if (startsOver && e.kind() == ModelExecutionException.Kind.TERMINATED) {
        return false;
      }
      version.release();
      completion.failed(failure(e, request), elapsed());
      return true;
    } catch (RuntimeException | Error e) {
      version.release();
      completion.failed(unexpected(version, e), elapsed());
      return true;
    }
    version.release();
    completion.succeeded(outputs, elapsed());
    return true;
  }

  static InferenceFailure failure(ModelExecutionException e, InferenceRequest request) {
    String message = String.valueOf(e.getMessage());
    return switch (e.kind()) {
      case FAILED -> new InferenceFailure(Kind.EXECUTION_FAILED, message);
      case INVALID_INPUT -> InferenceFailure.invalid(message);
      case TERMINATED -> request.lifetime().over();
      case OUT_OF_MEMORY -> new InferenceFailure(Kind.OVERLOADED, message);
      case DEVICE_LOST -> new InferenceFailure(Kind.MODEL_NOT_READY, message);
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
