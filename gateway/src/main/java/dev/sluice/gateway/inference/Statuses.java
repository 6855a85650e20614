package dev.sluice.gateway.inference;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.rpc.Trailers;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;

/// The one place where failures of inference become gRPC statuses.
///
/// Codes are those that Triton's clients know (`serving` faults are UNAVAILABLE, not RESOURCE_EXHAUSTED); what they leave open
/// is told apart by a `google.rpc.ErrorInfo` with the failure's kind as its reason.
final class Statuses {

  private static final Any RETRY_SOON =
      Any.pack(RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setNanos(50_000_000)).build());

  private Statuses() {}

  static StatusRuntimeException of(InferenceFailure failure) {
    Status.Builder status =
        Status.newBuilder()
            .setCode(code(failure.kind()).getNumber())
            .setMessage(Trailers.fitting(failure.sentence(), Trailers.SENTENCE_BYTES_MAX))
            .addDetails(
                Any.pack(
                    ErrorInfo.newBuilder().setDomain("sluice.dev").setReason(failure.kind().name()).build()));
    if (failure.kind() == InferenceFailure.Kind.OVERLOADED) {
      status.addDetails(RETRY_SOON);
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  private static Code code(InferenceFailure.Kind kind) {
    return switch (kind) {
      case UNKNOWN_MODEL, UNKNOWN_VERSION, UNKNOWN_SHARED_MEMORY -> Code.NOT_FOUND;
      case INVALID_REQUEST, LOAD_INVALID -> Code.INVALID_ARGUMENT;
      case UNSUPPORTED -> Code.UNIMPLEMENTED;
      case EXECUTION_FAILED, LOAD_FAILED -> Code.INTERNAL;
      case MODEL_NOT_READY, OVERLOADED, LOAD_NOT_ALLOWED, SHUTTING_DOWN -> Code.UNAVAILABLE;
      case DEADLINE_EXCEEDED -> Code.DEADLINE_EXCEEDED;
      case CANCELLED -> Code.CANCELLED;
    };
  }
}
