package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.rpc.UnreadableRequests;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferResponse;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerMethodDefinition;
import io.grpc.ServerServiceDefinition;
import io.grpc.ServiceDescriptor;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/// `ModelInfer` over gRPC: bytes in, bytes out.
///
/// The generated stub would parse every request into a message and build one for every answer; here [InferReader] reads the one and
/// [WireAnswer] writes the other. Beside that this does what the stub does for a call of one request and one answer.
final class InferCalls implements ServerCallHandler<InputStream, Object> {

  private static final String METHOD = GRPCInferenceServiceGrpc.getModelInferMethod().getFullMethodName();

  private final Inference inference;
  private final InferReader reader = new InferReader();

  InferCalls(Inference inference) {
    this.inference = inference;
  }

  /// The service with this as its `ModelInfer`.
  ServerServiceDefinition in(ServerServiceDefinition service) {
    MethodDescriptor<InputStream, Object> method =
        GRPCInferenceServiceGrpc.getModelInferMethod()
            .toBuilder(UnreadableRequests.AsItIs.INSTANCE, new Answers())
            .build();
    ServiceDescriptor.Builder descriptor =
        ServiceDescriptor.newBuilder(service.getServiceDescriptor().getName())
            .setSchemaDescriptor(service.getServiceDescriptor().getSchemaDescriptor());
    for (ServerMethodDefinition<?, ?> other : service.getMethods()) {
      descriptor.addMethod(isThis(other) ? method : other.getMethodDescriptor());
    }
    ServerServiceDefinition.Builder definition = ServerServiceDefinition.builder(descriptor.build());
    for (ServerMethodDefinition<?, ?> other : service.getMethods()) {
      if (!isThis(other)) {
        definition.addMethod(other);
      }
    }
    return definition.addMethod(ServerMethodDefinition.create(method, this)).build();
  }

  private static boolean isThis(ServerMethodDefinition<?, ?> method) {
    return method.getMethodDescriptor().getFullMethodName().equals(METHOD);
  }

  @Override
  public ServerCall.Listener<InputStream> startCall(ServerCall<InputStream, Object> call, Metadata headers) {
    call.request(2); // one more than there may be, so that a second one is seen
    return new Call(call, headers);
  }

  private final class Call extends ServerCall.Listener<InputStream> implements Inference.WireReply {
    private final ServerCall<InputStream, Object> call;
    private final Metadata headers;
    private @Nullable InferMessage request;
    private boolean refused;

    Call(ServerCall<InputStream, Object> call, Metadata headers) {
      this.call = call;
      this.headers = headers;
    }

    @Override
    public void onMessage(InputStream message) {
      if (refused) {
        return;
      }
      if (request != null) {
        refuse("Too many requests");
        return;
      }
      try {
        request = reader.read(message);
      } catch (IOException | StatusRuntimeException e) {
        refused = UnreadableRequests.refuse(call, e);
        if (!refused) {
          refuse("the request cannot be read: " + e);
        }
      }
    }

    @Override
    public void onHalfClose() {
      if (refused) {
        return;
      }
      if (request == null) {
        refuse("Half-closed without a request");
        return;
      }
      inference.infer(request, new Caller(headers, request.parameters()), new GrpcLifetime(Context.current()), this);
    }

    /// A call that is not one of one request, in the words of gRPC's own stub.
    private void refuse(String why) {
      refused = true;
      call.close(Statuses.notUnary(why), new Metadata());
    }

    // A caller that has gone takes no notice of what follows.

    @Override
    public void send(WireAnswer answer) {
      finish(answer);
    }

    @Override
    public void send(ModelInferResponse answer) {
      finish(answer);
    }

    private void finish(Object answer) {
      call.sendHeaders(new Metadata());
      call.sendMessage(answer);
      call.close(Statuses.OK, new Metadata());
    }

    @Override
    public void fail(InferenceFailure failure) {
      InferMessage failed = request;
      StatusRuntimeException why =
          failed == null
              ? Statuses.of(failure)
              : Statuses.of(failure, failed.modelName(), failed.modelVersion(), failed.id());
      Metadata details = why.getTrailers();
      call.close(why.getStatus(), details == null ? new Metadata() : details);
    }
  }

  /// Answers of either form.
  private static final class Answers implements Marshaller<Object> {
    private static final Marshaller<ModelInferResponse> MESSAGES =
        GRPCInferenceServiceGrpc.getModelInferMethod().getResponseMarshaller();

    @Override
    public InputStream stream(Object answer) {
      return answer instanceof WireAnswer wire ? wire.stream() : MESSAGES.stream((ModelInferResponse) answer);
    }

    @Override
    public Object parse(InputStream answer) {
      return MESSAGES.parse(answer);
    }
  }
}
