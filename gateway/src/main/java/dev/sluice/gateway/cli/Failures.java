package dev.sluice.gateway.cli;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import dev.sluice.gateway.control.ControlFailure;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/// The one place where a failure becomes a line on standard error and an exit code.
final class Failures {
  private static final Logger LOG = LoggerFactory.getLogger(Failures.class);

  static final int FAILED = 1;
  static final int USAGE = 2;
  static final int NOT_FOUND = 3;
  static final int CONFLICT = 4;
  static final int DENIED = 5;
  static final int REFUSED = 6;
  static final int UNREACHABLE = 7;

  private Failures() {}

  /// Input that cannot be used, found before anything was sent: a file, a value, a tensor.
  static final class InvalidInput extends RuntimeException {
    InvalidInput(String message) {
      super(message);
    }
  }

  static int exitCode(Status.Code code) {
    return switch (code) {
      case OK -> 0;
      case INVALID_ARGUMENT, OUT_OF_RANGE -> USAGE;
      case NOT_FOUND -> NOT_FOUND;
      case ALREADY_EXISTS, ABORTED -> CONFLICT;
      case PERMISSION_DENIED, UNAUTHENTICATED -> DENIED;
      case FAILED_PRECONDITION -> REFUSED;
      case DEADLINE_EXCEEDED, UNAVAILABLE -> UNREACHABLE;
      case CANCELLED, UNKNOWN, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, DATA_LOSS -> FAILED;
    };
  }

  /// Of what was read from files instead of asked for: the same codes.
  private static int exitCode(ControlFailure.Kind kind) {
    return switch (kind) {
      case INVALID_NOTE, INVALID_ARGUMENT -> USAGE;
      case NOT_FOUND -> NOT_FOUND;
      case ALREADY_EXISTS, STALE -> CONFLICT;
      case REFUSED -> REFUSED;
      case UNAVAILABLE -> UNREACHABLE;
    };
  }

  static int ofExecution(Exception failure, CommandLine command, ParseResult parsed) {
    LOG.debug("{} failed", command.getCommandSpec().qualifiedName(), failure);
    return report(failure, command.getErr());
  }

  private static int report(Exception failure, PrintWriter err) {
    return switch (failure) {
      case StatusRuntimeException e -> report(e.getStatus(), e, err);
      case StatusException e -> report(e.getStatus(), e, err);
      case ControlFailure e -> line(err, e.getMessage(), exitCode(e.kind()));
      case InvalidInput e -> line(err, e.getMessage(), USAGE);
      case IOException e -> line(err, described(e), FAILED);
      default -> line(err, described(failure), FAILED);
    };
  }

  static int ofParameters(ParameterException failure, String[] arguments) {
    CommandLine command = failure.getCommandLine();
    PrintWriter err = command.getErr();
    line(err, "%s; see '%s --help'".formatted(failure.getMessage(), command.getCommandSpec().qualifiedName()), USAGE);
    UnmatchedArgumentException.printSuggestions(failure, err);
    return USAGE;
  }

  /// The fields that the server found wrong, when it said so in `google.rpc.BadRequest`.
  static List<FieldViolation> fieldViolations(Throwable failure) {
    com.google.rpc.@Nullable Status status = StatusProto.fromThrowable(failure);
    if (status == null) {
      return List.of();
    }
    return status.getDetailsList().stream()
        .filter(detail -> detail.is(BadRequest.class))
        .flatMap(detail -> badRequest(detail).getFieldViolationsList().stream())
        .toList();
  }

  private static BadRequest badRequest(Any detail) {
    try {
      return detail.unpack(BadRequest.class);
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("the server's list of invalid fields cannot be read", e);
    }
  }

  private static int report(Status status, Exception failure, PrintWriter err) {
    List<FieldViolation> violations = fieldViolations(failure);
    if (violations.isEmpty()) {
      line(err, described(status), 0);
    }
    for (FieldViolation violation : violations) {
      line(err, violation.getField() + ": " + violation.getDescription(), 0);
    }
    return exitCode(status.getCode());
  }

  private static String described(Status status) {
    @Nullable String description = status.getDescription();
    @Nullable Throwable cause = status.getCause();
    // gRPC hides "Connection refused: /127.0.0.1:8003" behind the words "io exception".
    if (status.getCode() == Status.Code.UNAVAILABLE && cause != null) {
      return "the server cannot be reached: "
          + described(cause).replaceFirst("^finishConnect.*error\\(-?\\d+\\): ", "");
    }
    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
      return "no answer within --timeout" + (description == null ? "" : " (" + description + ")");
    }
    return description == null ? "the server answered " + status.getCode() + " without a reason" : description;
  }

  private static String described(Throwable failure) {
    @Nullable String message = failure.getMessage();
    return message == null ? failure.getClass().getSimpleName() : message;
  }

  private static int line(PrintWriter err, @Nullable String message, int exitCode) {
    err.println("sluice: " + String.valueOf(message).lines().map(String::strip).collect(Collectors.joining(" ")));
    err.flush();
    return exitCode;
  }
}
