package dev.sluice.loadtest.client;

import io.grpc.Status;
import org.jspecify.annotations.Nullable;

/// Sees every call end, those of the warm-up included. Called on the thread of the call's connection: it delays that
/// connection's other calls for as long as it takes, and it is called by several connections at once.
@FunctionalInterface
public interface CallObserver {
  /// Nobody looks; responses are then scanned but not kept.
  CallObserver NONE = (n, status, response, latencyNanos) -> {};

  /// The n-th call has ended.
  ///
  /// @param response the serialised `ModelInferResponse`, null when the call failed
  /// @param latencyNanos since the planned send time (closed loop: since the send)
  void ended(long n, Status status, byte @Nullable [] response, long latencyNanos);
}
