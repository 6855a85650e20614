package dev.sluice.gateway.control;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import dev.sluice.gateway.note.NoteProblem;
import dev.sluice.gateway.rpc.Trailers;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;

/// The one place where failures of control commands become gRPC statuses.
final class ControlStatuses {

  /// With [#SENTENCE_BESIDE_PROBLEMS_BYTES_MAX], what leaves room in the trailers for the rest.
  private static final int PROBLEMS_BYTES_MAX = 3500;

  private static final int PROBLEM_BYTES_MAX = 700;
  private static final int SENTENCE_BESIDE_PROBLEMS_BYTES_MAX = 500;

  private ControlStatuses() {}

  static StatusRuntimeException of(ControlFailure failure) {
    Status.Builder status =
        Status.newBuilder()
            .setCode(code(failure.kind()).getNumber())
            .setMessage(
                Trailers.fitting(
                    String.valueOf(failure.getMessage()),
                    failure.problems().isEmpty()
                        ? Trailers.SENTENCE_BYTES_MAX
                        : SENTENCE_BESIDE_PROBLEMS_BYTES_MAX))
            .addDetails(
                Any.pack(
                    ErrorInfo.newBuilder().setDomain("sluice.dev").setReason(failure.kind().name()).build()));
    if (!failure.problems().isEmpty()) {
      status.addDetails(Any.pack(violations(failure.problems())));
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  /// All problems, or the first of them and how many more there are.
  private static BadRequest violations(List<NoteProblem> problems) {
    BadRequest.Builder violations = BadRequest.newBuilder();
    int bytes = 0;
    for (int i = 0; i < problems.size(); i++) {
      FieldViolation violation = violation(place(problems.get(i)), problems.get(i).message());
      bytes += violation.getSerializedSize();
      if (bytes > PROBLEMS_BYTES_MAX) {
        return violations.addFieldViolations(violation("note", "and %d more problems".formatted(problems.size() - i)))
            .build();
      }
      violations.addFieldViolations(violation);
    }
    return violations.build();
  }

  private static FieldViolation violation(String field, String description) {
    return FieldViolation.newBuilder()
        .setField(Trailers.fitting(field, PROBLEM_BYTES_MAX))
        .setDescription(Trailers.fitting(description, PROBLEM_BYTES_MAX))
        .build();
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
