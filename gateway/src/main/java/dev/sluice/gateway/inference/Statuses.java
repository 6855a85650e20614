package dev.sluice.gateway.inference;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.rpc.Trailers;
import dev.sluice.proto.inference.ModelInferRequest;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;

/// The one place where failures of inference become gRPC statuses.
///
/// Codes are those that Triton's clients know (`serving` faults are UNAVAILABLE, not RESOURCE_EXHAUSTED); what they leave open
/// is told apart by a `google.rpc.ErrorInfo` with the failure's kind as its reason; a `google.rpc.BadRequest` names the part of
/// the request that is wrong, a `google.rpc.RetryInfo` says when to come again.
final class Statuses {

  static final io.grpc.Status OK = io.grpc.Status.OK;

  private static final Any RETRY_SOON =
      Any.pack(RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setNanos(50_000_000)).build());

  /// What a detail quotes of a request, in bytes.
  private static final int WORD_BYTES_MAX = 128;

  /// At most 4.2 KB on the wire for the sentence, and 1.9 KB for it and five words in the details.
  private static final int SENTENCE_BESIDE_DETAILS_BYTES_MAX = 900;

  private Statuses() {}

  /// Of a call that does not bring the one request that it should.
  static io.grpc.Status notUnary(String why) {
    return io.grpc.Status.INTERNAL.withDescription(why);
  }

  static StatusRuntimeException of(InferenceFailure failure) {
    return of(failure, ErrorInfo.newBuilder());
  }

  /// @param request whose failure it is
  static StatusRuntimeException of(InferenceFailure failure, ModelInferRequest request) {
    return of(failure, request.getModelName(), request.getModelVersion(), request.getId());
  }

  /// @param model that the request named; any of the three may be empty
  static StatusRuntimeException of(InferenceFailure failure, String model, String version, String requestId) {
    ErrorInfo.Builder info = ErrorInfo.newBuilder();
    putUnlessEmpty("model", model, info);
    putUnlessEmpty("version", version, info);
    putUnlessEmpty("request_id", requestId, info);
    return of(failure, info);
  }

  private static void putUnlessEmpty(String key, String value, ErrorInfo.Builder info) {
    if (!value.isEmpty()) {
      info.putMetadata(key, Trailers.fitting(value, WORD_BYTES_MAX));
    }
  }

  private static StatusRuntimeException of(InferenceFailure failure, ErrorInfo.Builder info) {
    Code code = code(failure.kind());
    Status.Builder status =
        Status.newBuilder()
            .setCode(code.getNumber())
            .setMessage(Trailers.fitting(failure.sentence(), SENTENCE_BESIDE_DETAILS_BYTES_MAX))
            .addDetails(Any.pack(info.setDomain("sluice.dev").setReason(failure.kind().name()).build()));
    if (!failure.field().isEmpty()) {
      status.addDetails(
          Any.pack(
              BadRequest.newBuilder()
                  .addFieldViolations(
                      FieldViolation.newBuilder()
                          .setField(Trailers.fitting(failure.field(), WORD_BYTES_MAX))
                          .setDescription(Trailers.fitting(failure.sentence(), WORD_BYTES_MAX)))
                  .build()));
    }
    if (failure.retryNanos() > 0) {
      status.addDetails(retryAfter(failure.retryNanos()));
    } else if (failure.kind() == InferenceFailure.Kind.OVERLOADED
        || failure.kind() == InferenceFailure.Kind.OUT_OF_MEMORY) {
      status.addDetails(RETRY_SOON);
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  private static Any retryAfter(long nanos) {
    Duration delay =
        Duration.newBuilder().setSeconds(nanos / 1_000_000_000).setNanos((int) (nanos % 1_000_000_000)).build();
    return Any.pack(RetryInfo.newBuilder().setRetryDelay(delay).build());
  }

  private static Code code(InferenceFailure.Kind kind) {
    return switch (kind) {
      case UNKNOWN_MODEL, UNKNOWN_VERSION, UNKNOWN_SHARED_MEMORY -> Code.NOT_FOUND;
      case INVALID_REQUEST, LOAD_INVALID -> Code.INVALID_ARGUMENT;
      case UNSUPPORTED -> Code.UNIMPLEMENTED;
      case EXECUTION_FAILED, LOAD_FAILED -> Code.INTERNAL;
      case MODEL_NOT_READY, OUT_OF_MEMORY, OVERLOADED, TOO_LATE, SHED, QUEUE_TIMEOUT, LOAD_NOT_ALLOWED, SHUTTING_DOWN ->
          Code.UNAVAILABLE;
      case DEADLINE_EXCEEDED -> Code.DEADLINE_EXCEEDED;
      case CANCELLED -> Code.CANCELLED;
    };
  }
}
