package dev.sluice.gateway.inference;

import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/// The calls that never end by themselves, such as a watched health: they are ended with the server, so that a drain waits for
/// requests alone. A stream of requests ends when those in flight are answered, any other one at once.
public final class OpenStreams implements ServerInterceptor {

  /// A call that can be told to end.
  interface Ending {
    void end();
  }

  private static final String ENDS_BY_ITSELF = GRPCInferenceServiceGrpc.getModelStreamInferMethod().getFullMethodName();

  private final Set<Ending> open = ConcurrentHashMap.newKeySet();
  private volatile boolean ending;

  /// Ends them all, and those that still come.
  public void end() {
    ending = true;
    open.forEach(Ending::end);
  }

  void add(Ending stream) {
    open.add(stream);
    if (ending) {
      stream.end();
    }
  }

  void remove(Ending stream) {
    open.remove(stream);
  }

  @Override
  public <ReqT, RespT> ServerCall.Listener<ReqT> interceptCall(
      ServerCall<ReqT, RespT> call, Metadata headers, ServerCallHandler<ReqT, RespT> next) {
    MethodDescriptor<ReqT, RespT> method = call.getMethodDescriptor();
    if (method.getType() == MethodType.UNARY || method.getFullMethodName().equals(ENDS_BY_ITSELF)) {
      return next.startCall(call, headers);
    }
    OpenCall<ReqT, RespT> stream = new OpenCall<>(call);
    ServerCall.Listener<ReqT> listener = next.startCall(stream, headers);
    add(stream);
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
  private static final class OpenCall<ReqT, RespT> extends SimpleForwardingServerCall<ReqT, RespT>
      implements Ending {
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

    @Override
    public void end() {
      close(Statuses.of(Inference.shuttingDown()).getStatus(), new Metadata());
    }
  }
}
