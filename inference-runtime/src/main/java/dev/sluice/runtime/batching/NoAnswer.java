package dev.sluice.runtime.batching;

import dev.sluice.runtime.model.ModelExecutionException;

/// Why a request left its version without an answer.
///
/// A `retryNanos` is when what waits now will have run: before that, coming again is of no use.
public sealed interface NoAnswer {

  /// As many wait as may, in all or at its level.
  record QueueFull(int sizeMax, long retryNanos) implements NoAnswer {}

  /// What waits holds as many bytes as may.
  record QueueBytesFull(long bytesMax, long retryNanos) implements NoAnswer {}

  /// What it has of time is less than it needs.
  ///
  /// @param neededNanos until its answer, as far as one can tell
  /// @param leftNanos of its own time
  /// @param alone whether its run by itself is too long: nobody else is in its way
  record TooLate(long neededNanos, long leftNanos, boolean alone, long retryNanos) implements NoAnswer {}

  /// There was room for few only, and others come first: the queue has stood for too long, or others who ask for less
  /// had no place.
  ///
  /// @param waiting that are left
  record Shed(int waiting, long retryNanos) implements NoAnswer {}

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
