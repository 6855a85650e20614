package dev.sluice.gateway.routing;

import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.runtime.batching.NoAnswer;
import dev.sluice.runtime.batching.QueuedRequest;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One request on one leased version: where it arrived if the model is fast, else through the version's queue. The lease is
/// returned whatever happens.
final class VersionRun implements QueuedRequest.Completion {

  /// Called exactly once; `nanos` is the time from handing the request over to its end.
  interface Completion {

    /// Asked just before the run, when the request has waited.
    boolean isWanted();

    /// Whether the request is refused when it cannot be answered in time; otherwise it runs however late it is.
    default boolean mayBeTooLate() {
      return true;
    }

    void succeeded(List<Tensor> outputs, long nanos);

    void failed(InferenceFailure failure, long nanos);
  }

  private final ModelVersion version;
  private final InferenceRequest request;
  private final Lanes lanes;
  private final Completion completion;
  private final QueuedRequest queued;
  private final long startedNanos = System.nanoTime();
  private CallLifetime.@Nullable Registration registration;

  /// @param version leased by the caller
  VersionRun(ModelVersion version, InferenceRequest request, Lanes lanes, Completion completion) {
    this.version = version;
    this.request = request;
    this.lanes = lanes;
    this.completion = completion;
    this.queued =
        lanes
            .queue(version)
            .request(
                request.inputs(),
                request.outputs(),
                request.priority(),
                request.timeoutNanos(),
                request.startedNanos(),
                this);
    request.memory().hold(); // until nothing reads the inputs any more
    request.memory().hold(); // until the completion is told
  }

  /// On the thread that brought the request, if the model is as fast as that takes and has an instance free. Nothing else of
  /// that thread's can happen meanwhile, not even the news that the caller has gone, so a run that turns out long is stopped,
  /// and begun anew in the queue.
  void start() {
    if (!Lanes.runsInline(version) || !tryHere(null)) {
      startInQueue();
    }
  }

  /// One attempt to run it on this thread.
  ///
  /// @param trust what is lost if the run has to be stopped; null for a version that is trusted anyway
  /// @return false if it has to go to the queue: no instance is free, or it took too long
  boolean tryHere(@Nullable InlineTrust trust) {
    RunControl control = RunControl.create();
    InlineWatch.Place place = lanes.inlineWatch().begin(control, trust, startedNanos);
    try {
      return queued.tryRunHere(control);
    } finally {
      place.end();
    }
  }

  /// For threads that must not compute, and models that must not be trusted with one.
  void startInQueue() {
    registration = request.lifetime().onOver(queued::cancel); // on its way before it may end
    String tenant = request.caller().value(CallerAttributes.TENANT);
    queued.submit(
        tenant == null ? "" : tenant,
        completion.mayBeTooLate() ? request.lifetime().remainingNanos() : Long.MAX_VALUE);
  }

  /// The answer is not wanted any more: the request leaves the queue, and its run is stopped unless others share it.
  void cancel() {
    queued.cancel();
  }

  // --- the end --------------------------------------------------------------------------------------------------------

  @Override
  public boolean isWanted() {
    return !request.lifetime().isOver() && completion.isWanted();
  }

  @Override
  public void inputsFree() {
    request.memory().release();
  }

  @Override
  public void succeeded(List<Tensor> outputs) {
    unregister();
    completion.succeeded(outputs, System.nanoTime() - startedNanos);
    request.memory().release();
  }

  @Override
  public void failed(NoAnswer why) {
    unregister();
    completion.failed(failure(why), System.nanoTime() - startedNanos);
    request.memory().release();
  }

  private void unregister() {
    CallLifetime.Registration open = registration;
    if (open != null) {
      open.close();
    }
  }

  private InferenceFailure failure(NoAnswer why) {
    return switch (why) {
      // Said often when there is least time for it: put together without a formatter.
      case NoAnswer.QueueFull(int sizeMax, long retryNanos) ->
          InferenceFailure.forNow(
              Kind.OVERLOADED,
              "Exceeds maximum queue size: " + sizeMax + " requests for " + version + " wait already",
              retryNanos);
      case NoAnswer.QueueBytesFull(long bytesMax, long retryNanos) ->
          InferenceFailure.forNow(
              Kind.OVERLOADED,
              "Exceeds maximum queue size: requests of " + bytesMax + " bytes for " + version + " wait already",
              retryNanos);
      case NoAnswer.TooLate(long neededNanos, long leftNanos, boolean alone, long retryNanos) -> {
        String sentence =
            "it would take about " + neededNanos / 1_000 + " us until " + version + " has answered, and "
                + Math.max(0, leftNanos / 1_000) + " us are left of the caller's time";
        yield alone
            ? new InferenceFailure(Kind.DEADLINE_EXCEEDED, sentence)
            : InferenceFailure.forNow(Kind.TOO_LATE, sentence, retryNanos);
      }
      case NoAnswer.Shed(int waiting, long retryNanos) ->
          InferenceFailure.forNow(
              Kind.SHED,
              version + " is overloaded: " + waiting + " requests wait already, and those of others come first",
              retryNanos);
      case NoAnswer.TimedOut(long timeoutNanos) ->
          new InferenceFailure(
              Kind.QUEUE_TIMEOUT,
              "Request timeout expired: it has waited %d us for %s, which is as long as it may"
                  .formatted(timeoutNanos / 1_000, version));
      case NoAnswer.Withdrawn _ -> request.lifetime().over();
      case NoAnswer.NotComputed(ModelExecutionException cause) ->
          switch (cause.kind()) {
            case FAILED -> new InferenceFailure(Kind.EXECUTION_FAILED, cause.getMessage());
            case INVALID_INPUT -> InferenceFailure.invalid(cause.getMessage());
            case TERMINATED -> request.lifetime().over();
            case OUT_OF_MEMORY -> new InferenceFailure(Kind.OUT_OF_MEMORY, cause.getMessage());
            case DEVICE_LOST -> new InferenceFailure(Kind.MODEL_NOT_READY, cause.getMessage());
          };
      // A fault of the runtime's own code: one caller's request fails, the server lives.
      case NoAnswer.Broken(Throwable cause) ->
          new InferenceFailure(Kind.EXECUTION_FAILED, "%s: %s".formatted(version, cause));
      case NoAnswer.ShutDown _ -> new InferenceFailure(Kind.SHUTTING_DOWN, "the server is shutting down");
    };
  }
}
