package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/// The calls that never end by themselves, such as a watched health: they are ended with the server, so that a drain waits for
/// requests alone.
public final class OpenStreams implements ServerInterceptor {

  private final Set<OpenCall<?, ?>> open = ConcurrentHashMap.newKeySet();
  private volatile boolean ending;

  /// Ends them all, and those that still come.
  public void end() {
    ending = true;
    open.forEach(OpenCall::end);
  }

  @Override
  public <ReqT, RespT> ServerCall.Listener<ReqT> interceptCall(
      ServerCall<ReqT, RespT> call, Metadata headers, ServerCallHandler<ReqT, RespT> next) {
    if (call.getMethodDescriptor().getType() == MethodType.UNARY) {
      return next.startCall(call, headers);
    }
    OpenCall<ReqT, RespT> stream = new OpenCall<>(call);
    open.add(stream);
    ServerCall.Listener<ReqT> listener = next.startCall(stream, headers);
    if (ending) {
      stream.end();
    }
    return new SimpleForwardingServerCallListener<>(listener) {
      @Override
      public void onComplete() {
        open.remove(stream);
        super.onComplete();
      }

      @Override
      public void onCancel() {
        open.remove(stream);
        super.onCancel();
      }
    };
  }

  /// A call that its service and the server's end may both close: the first one counts.
  private static final class OpenCall<ReqT, RespT> extends SimpleForwardingServerCall<ReqT, RespT> {
    private boolean closed;

    OpenCall(ServerCall<ReqT, RespT> call) {
      super(call);
    }

    @Override
    public synchronized void sendMessage(RespT message) {
      if (!closed) {
        super.sendMessage(message);
      }
    }

    @Override
    public synchronized void close(Status status, Metadata trailers) {
      if (!closed) {
        closed = true;
        super.close(status, trailers);
      }
    }

    void end() {
      close(
          Statuses.of(
                  new InferenceFailure(
                      InferenceFailure.Kind.SHUTTING_DOWN,
                      "GRPC server is shutting down and has stopped accepting new requests."))
              .getStatus(),
          new Metadata());
    }
  }
}
