package dev.sluice.gateway.rpc;

import com.google.protobuf.Any;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/// Refuses what is no request: bytes that are not the call's message, that do not unfold, or that unfold to too many.
///
/// gRPC for Java parses a message before an interceptor sees it, and what fails there ends with `UNKNOWN: Application error
/// processing RPC` and a stack trace in the log. So messages travel as bytes down to here, and are parsed below.
public final class UnreadableRequests implements ServerInterceptor {

  private UnreadableRequests() {}

  /// The service, with its unreadable requests refused.
  public static ServerServiceDefinition refusedBy(ServerServiceDefinition service) {
    return ServerInterceptors.intercept(
        ServerInterceptors.useMarshalledMessages(service, AsItIs.INSTANCE), new UnreadableRequests());
  }

  @Override
  public <ReqT, RespT> ServerCall.Listener<ReqT> interceptCall(
      ServerCall<ReqT, RespT> call, Metadata headers, ServerCallHandler<ReqT, RespT> next) {
    return new SimpleForwardingServerCallListener<>(next.startCall(call, headers)) {
      private boolean refused;

      @Override
      public void onMessage(ReqT message) {
        if (refused) {
          return;
        }
        try {
          super.onMessage(message);
        } catch (RuntimeException e) {
          Status why = why(e, call.getMethodDescriptor().getFullMethodName());
          if (why == null) {
            throw e;
          }
          refused = true;
          // First the service, on whose other threads answers may be on their way: a call that is closed takes none.
          super.onCancel();
          call.close(why, details(why, e));
        }
      }

      @Override
      public void onHalfClose() {
        if (!refused) {
          super.onHalfClose();
        }
      }

      @Override
      public void onReady() {
        if (!refused) {
          super.onReady();
        }
      }

      @Override
      public void onCancel() {
        if (!refused) {
          super.onCancel();
        }
      }

      @Override
      public void onComplete() {
        if (!refused) {
          super.onComplete();
        }
      }
    };
  }

  /// Ends a call whose request could not be read.
  ///
  /// @return false for what is not the request's fault; the call goes on then
  public static boolean refuse(ServerCall<?, ?> call, Exception failure) {
    Status why = why(failure, call.getMethodDescriptor().getFullMethodName());
    if (why != null) {
      call.close(why, details(why, failure));
    }
    return why != null;
  }

  /// Null for what is not the request's fault.
  private static @Nullable Status why(Exception failure, String method) {
    // Too large as it unfolds, or more than there is room for now.
    if (failure instanceof StatusRuntimeException known
        && (known.getStatus().getCode() == Status.Code.RESOURCE_EXHAUSTED
            || known.getStatus().getCode() == Status.Code.UNAVAILABLE)) {
      return known.getStatus();
    }
    @Nullable Throwable cause = failure;
    while (cause != null && !(cause instanceof IOException)) {
      cause = cause.getCause();
    }
    if (cause == null) {
      return null;
    }
    // The innermost one knows best: a parser's fault may be one of the stream that it reads.
    while (cause.getCause() instanceof IOException deeper) {
      cause = deeper;
    }
    String text = "the request cannot be read as what %s takes: %s".formatted(method, cause.getMessage());
    return Status.INVALID_ARGUMENT.withDescription(Trailers.fitting(text, Trailers.SENTENCE_BYTES_MAX));
  }

  private static Metadata details(Status why, Exception failure) {
    if (failure instanceof StatusRuntimeException known && known.getTrailers() != null) {
      return known.getTrailers();
    }
    ErrorInfo info = ErrorInfo.newBuilder().setDomain("sluice.dev").setReason("UNREADABLE_REQUEST").build();
    Metadata trailers =
        StatusProto.toStatusRuntimeException(
                com.google.rpc.Status.newBuilder()
                    .setCode(Code.forNumber(why.getCode().value()).getNumber())
                    .setMessage(String.valueOf(why.getDescription()))
                    .addDetails(Any.pack(info))
                    .build())
            .getTrailers();
    return trailers == null ? new Metadata() : trailers;
  }

  /// Bytes as gRPC has them, to be read once.
  public enum AsItIs implements Marshaller<InputStream> {
    INSTANCE;

    @Override
    public InputStream stream(InputStream message) {
      return message;
    }

    @Override
    public InputStream parse(InputStream message) {
      return message;
    }
  }
}
