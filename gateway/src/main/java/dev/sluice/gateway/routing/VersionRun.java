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
    if (inlineAllowed && Lanes.runsInline(version)) {
      run.compute(RunControl.none());
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

  /// On a pool thread. The caller may have gone while the request waited; if it goes now, the model is told to stop.
  private void computeUnlessOver() {
    if (request.lifetime().isOver()) {
      version.release();
      completion.failed(request.lifetime().over(), elapsed());
      return;
    }
    RunControl control = RunControl.create();
    try (CallLifetime.Registration _ = request.lifetime().onOver(control::terminate)) {
      compute(control);
    }
  }

  private void compute(RunControl control) {
    List<Tensor> outputs;
    try {
      outputs = version.run(request.inputs(), request.outputs(), control);
    } catch (ModelExecutionException e) {
      completion.failed(failure(e, request), elapsed());
      return;
    } catch (RuntimeException | Error e) {
      completion.failed(unexpected(version, e), elapsed());
      return;
    } finally {
      version.release();
    }
    completion.succeeded(outputs, elapsed());
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
