package dev.sluice.runtime.batching;

import dev.sluice.runtime.model.ModelExecutionException;

/// Why a request left its version without an answer.
public sealed interface NoAnswer {

  /// As many wait as may, in all or at its level.
  record QueueFull(int sizeMax) implements NoAnswer {}

  /// It has waited for as long as it may.
  record TimedOut(long timeoutNanos) implements NoAnswer {}

  /// Nobody waits for the answer any more, see [QueuedRequest#cancel] and [QueuedRequest.Completion#isWanted].
  record Withdrawn() implements NoAnswer {}

  /// The model did not compute it.
  record NotComputed(ModelExecutionException cause) implements NoAnswer {}

  /// A fault of the runtime's own code, or of the machine.
  record Broken(Throwable cause) implements NoAnswer {}

  /// The threads have been shut down.
  record ShutDown() implements NoAnswer {}
}
