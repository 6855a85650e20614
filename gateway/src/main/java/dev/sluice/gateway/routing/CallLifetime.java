package dev.sluice.gateway.routing;

/// How long a caller waits.
public interface CallLifetime {

  /// Nanoseconds until the caller's deadline, negative behind it; [Long#MAX_VALUE] when it set none.
  long remainingNanos();

  /// Whether the caller has gone or its deadline has passed.
  boolean isOver();

  /// Runs `action` once when the caller goes or its deadline passes; at once if that has happened. Only while it is registered.
  Registration onOver(Runnable action);

  /// Ends an [#onOver].
  interface Registration extends AutoCloseable {
    @Override
    void close();
  }

  /// A caller that gives up at its deadline does so by its own clock, and says so by cancelling: that may come before the
  /// deadline has passed here, by as much as the request was on its way.
  long CALLER_AHEAD_NANOS = 10_000_000;

  /// The kind of failure that an over-long call ends in.
  default InferenceFailure over() {
    return remainingNanos() <= CALLER_AHEAD_NANOS
        ? new InferenceFailure(InferenceFailure.Kind.DEADLINE_EXCEEDED, "the caller's deadline passed before the model answered")
        : new InferenceFailure(InferenceFailure.Kind.CANCELLED, "the caller cancelled the request");
  }
}
