package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceImplBase;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.proto.inference.ModelReadyResponse;
import dev.sluice.proto.inference.ServerLiveRequest;
import dev.sluice.proto.inference.ServerLiveResponse;
import dev.sluice.proto.inference.ServerMetadataRequest;
import dev.sluice.proto.inference.ServerMetadataResponse;
import dev.sluice.proto.inference.ServerReadyRequest;
import dev.sluice.proto.inference.ServerReadyResponse;
import io.grpc.Context;
import io.grpc.ServerServiceDefinition;
import io.grpc.ServerInterceptors;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.function.BooleanSupplier;

/// `inference.GRPCInferenceService`: the protocol's calls, one short method each.
public final class InferenceService extends GRPCInferenceServiceImplBase {

  private final Inference inference;
  private final ModelQueries queries;
  private final BooleanSupplier ready;

  public InferenceService(Inference inference, ModelQueries queries, BooleanSupplier ready) {
    this.inference = inference;
    this.queries = queries;
    this.ready = ready;
  }

  /// The service with what it needs around it.
  public ServerServiceDefinition definition() {
    return ServerInterceptors.intercept(this, new Caller.HeaderInterceptor());
  }

  // --- inference ------------------------------------------------------------------------------------------------------

  @Override
  public void modelInfer(ModelInferRequest request, StreamObserver<ModelInferResponse> out) {
    // Without a handler of its own, a cancelled call would make the answer throw on the model's thread.
    ((ServerCallStreamObserver<ModelInferResponse>) out).setOnCancelHandler(() -> {});
    inference.infer(request, Caller.of(request), new GrpcLifetime(Context.current()), new GrpcReply(out));
  }

  /// Over gRPC; a caller that has gone takes no notice of either.
  private record GrpcReply(StreamObserver<ModelInferResponse> out) implements Inference.Reply {

    @Override
    public void send(ModelInferResponse response) {
      out.onNext(response);
      out.onCompleted();
    }

    @Override
    public void fail(InferenceFailure failure) {
      out.onError(Statuses.of(failure));
    }
  }

  // --- health and metadata -------------------------------------------------------------------------------------------

  @Override
  public void serverLive(ServerLiveRequest request, StreamObserver<ServerLiveResponse> out) {
    answer(out, () -> ServerLiveResponse.newBuilder().setLive(true).build());
  }

  @Override
  public void serverReady(ServerReadyRequest request, StreamObserver<ServerReadyResponse> out) {
    answer(out, () -> ServerReadyResponse.newBuilder().setReady(ready.getAsBoolean()).build());
  }

  @Override
  public void modelReady(ModelReadyRequest request, StreamObserver<ModelReadyResponse> out) {
    answer(out, () -> queries.ready(request));
  }

  @Override
  public void serverMetadata(ServerMetadataRequest request, StreamObserver<ServerMetadataResponse> out) {
    answer(out, queries::server);
  }

  @Override
  public void modelMetadata(ModelMetadataRequest request, StreamObserver<ModelMetadataResponse> out) {
    answer(out, () -> queries.metadata(request));
  }

  private interface Query<T> {
    T answer() throws InferenceFailure;
  }

  private static <T> void answer(StreamObserver<T> out, Query<T> query) {
    T message;
    try {
      message = query.answer();
    } catch (InferenceFailure failure) {
      out.onError(Statuses.of(failure));
      return;
    }
    out.onNext(message);
    out.onCompleted();
  }
}
