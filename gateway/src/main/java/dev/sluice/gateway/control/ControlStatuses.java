package dev.sluice.gateway.control;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import dev.sluice.gateway.note.NoteProblem;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;

/// The one place where failures of control commands become gRPC statuses.
final class ControlStatuses {

  private ControlStatuses() {}

  static StatusRuntimeException of(ControlFailure failure) {
    Status.Builder status =
        Status.newBuilder()
            .setCode(code(failure.kind()).getNumber())
            .setMessage(String.valueOf(failure.getMessage()))
            .addDetails(
                Any.pack(
                    ErrorInfo.newBuilder().setDomain("sluice.dev").setReason(failure.kind().name()).build()));
    if (!failure.problems().isEmpty()) {
      BadRequest.Builder violations = BadRequest.newBuilder();
      for (NoteProblem problem : failure.problems()) {
        violations.addFieldViolations(
            BadRequest.FieldViolation.newBuilder().setField(place(problem)).setDescription(problem.message()));
      }
      status.addDetails(Any.pack(violations.build()));
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  /// `line 12: steps[2].canary`, or the path alone where a problem has no line.
  private static String place(NoteProblem problem) {
    return problem.line() > 0 ? "line %d: %s".formatted(problem.line(), problem.path()) : problem.path();
  }

  private static Code code(ControlFailure.Kind kind) {
    return switch (kind) {
      case INVALID_NOTE, INVALID_ARGUMENT -> Code.INVALID_ARGUMENT;
      case NOT_FOUND -> Code.NOT_FOUND;
      case ALREADY_EXISTS -> Code.ALREADY_EXISTS;
      case REFUSED -> Code.FAILED_PRECONDITION;
      case STALE -> Code.ABORTED;
      case UNAVAILABLE -> Code.UNAVAILABLE;
    };
  }
}
