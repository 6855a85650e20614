package dev.sluice.gateway.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.Objects;

/// What a call that was refused tells its caller.
///
/// @param reason of the `google.rpc.ErrorInfo`; empty when there is none
/// @param fields of the `google.rpc.BadRequest`, each as `field: description`
public record Refusal(Status.Code code, String reason, String message, List<String> fields) {

  /// Makes a call that has to be refused.
  public static Refusal of(Runnable call) {
    StatusRuntimeException refused = catchThrowableOfType(StatusRuntimeException.class, call::run);
    assertThat(refused).as("a refusal").isNotNull();
    com.google.rpc.Status details = StatusProto.fromThrowable(refused);
    return new Refusal(
        refused.getStatus().getCode(),
        details == null ? "" : details(details, ErrorInfo.class).stream().findFirst().map(ErrorInfo::getReason).orElse(""),
        Objects.requireNonNullElse(refused.getStatus().getDescription(), ""),
        details == null
            ? List.of()
            : details(details, BadRequest.class).stream()
                .flatMap(request -> request.getFieldViolationsList().stream())
                .map(violation -> violation.getField() + ": " + violation.getDescription())
                .toList());
  }

  private static <T extends Message> List<T> details(com.google.rpc.Status status, Class<T> type) {
    return status.getDetailsList().stream().filter(detail -> detail.is(type)).map(detail -> unpacked(detail, type)).toList();
  }

  private static <T extends Message> T unpacked(Any detail, Class<T> type) {
    try {
      return detail.unpack(type);
    } catch (InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
  }
}
