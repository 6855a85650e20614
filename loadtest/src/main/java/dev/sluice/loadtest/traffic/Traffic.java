package dev.sluice.loadtest.traffic;

import io.grpc.Metadata;

/// What the n-th request of a load test carries. Asked from several threads at once and in no particular order, so
/// an implementation answers from `n` alone; it is on the path of every request, so it should not compute much.
public interface Traffic {
  /// A serialised `ModelInferRequest`. It is sent as it is, and the array may be shared between requests.
  byte[] message(long n);

  /// Adds the gRPC metadata of the n-th request to its (fresh) headers.
  default void addMetadata(long n, Metadata headers) {}
}
