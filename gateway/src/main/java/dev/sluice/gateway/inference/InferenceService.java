package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.rpc.UnreadableRequests;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceImplBase;
import dev.sluice.proto.inference.CudaSharedMemoryRegisterRequest;
import dev.sluice.proto.inference.CudaSharedMemoryRegisterResponse;
import dev.sluice.proto.inference.CudaSharedMemoryStatusRequest;
import dev.sluice.proto.inference.CudaSharedMemoryStatusResponse;
import dev.sluice.proto.inference.CudaSharedMemoryUnregisterRequest;
import dev.sluice.proto.inference.CudaSharedMemoryUnregisterResponse;
import dev.sluice.proto.inference.LogSettingsRequest;
import dev.sluice.proto.inference.LogSettingsResponse;
import dev.sluice.proto.inference.ModelConfigRequest;
import dev.sluice.proto.inference.ModelConfigResponse;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.proto.inference.ModelReadyResponse;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import dev.sluice.proto.inference.ModelStatisticsResponse;
import dev.sluice.proto.inference.ModelStreamInferResponse;
import dev.sluice.proto.inference.RepositoryIndexRequest;
import dev.sluice.proto.inference.RepositoryIndexResponse;
import dev.sluice.proto.inference.RepositoryModelLoadRequest;
import dev.sluice.proto.inference.RepositoryModelLoadResponse;
import dev.sluice.proto.inference.RepositoryModelUnloadRequest;
import dev.sluice.proto.inference.RepositoryModelUnloadResponse;
import dev.sluice.proto.inference.ServerLiveRequest;
import dev.sluice.proto.inference.ServerLiveResponse;
import dev.sluice.proto.inference.ServerMetadataRequest;
import dev.sluice.proto.inference.ServerMetadataResponse;
import dev.sluice.proto.inference.ServerReadyRequest;
import dev.sluice.proto.inference.ServerReadyResponse;
import dev.sluice.proto.inference.SystemSharedMemoryRegisterRequest;
import dev.sluice.proto.inference.SystemSharedMemoryRegisterResponse;
import dev.sluice.proto.inference.SystemSharedMemoryStatusRequest;
import dev.sluice.proto.inference.SystemSharedMemoryStatusResponse;
import dev.sluice.proto.inference.SystemSharedMemoryUnregisterRequest;
import dev.sluice.proto.inference.SystemSharedMemoryUnregisterResponse;
import dev.sluice.proto.inference.TraceSettingRequest;
import dev.sluice.proto.inference.TraceSettingResponse;
import io.grpc.ServerServiceDefinition;
import io.grpc.ServerInterceptors;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;

/// `inference.GRPCInferenceService`: the protocol's calls, one short method each.
public final class InferenceService extends GRPCInferenceServiceImplBase {

  private final Inference inference;
  private final ModelQueries queries;
  private final RepositoryRequests repository;
  private final ServerSettings settings;
  private final OpenStreams openStreams;
  private final Executor slow;

  /// @param slow bounded, for requests that take as long as a model's load does
  public InferenceService(
      Inference inference,
      ModelQueries queries,
      RepositoryRequests repository,
      ServerSettings settings,
      OpenStreams openStreams,
      Executor slow) {
    this.inference = inference;
    this.queries = queries;
    this.repository = repository;
    this.settings = settings;
    this.openStreams = openStreams;
    this.slow = slow;
  }

  /// The service with what it needs around it. `ModelInfer` has a way of its own: see [InferCalls].
  public ServerServiceDefinition definition() {
    return new InferCalls(inference)
        .in(UnreadableRequests.refusedBy(ServerInterceptors.intercept(this, new Caller.HeaderInterceptor())));
  }

  // --- inference ------------------------------------------------------------------------------------------------------

  @Override
  public StreamObserver<ModelInferRequest> modelStreamInfer(StreamObserver<ModelStreamInferResponse> out) {
    return InferStream.open(inference, out, openStreams);
  }

  // --- health and metadata -------------------------------------------------------------------------------------------

  @Override
  public void serverLive(ServerLiveRequest request, StreamObserver<ServerLiveResponse> out) {
    answer(out, queries::live);
  }

  @Override
  public void serverReady(ServerReadyRequest request, StreamObserver<ServerReadyResponse> out) {
    answer(out, queries::ready);
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

  @Override
  public void modelConfig(ModelConfigRequest request, StreamObserver<ModelConfigResponse> out) {
    answer(out, () -> queries.config(request));
  }

  @Override
  public void modelStatistics(ModelStatisticsRequest request, StreamObserver<ModelStatisticsResponse> out) {
    answer(out, () -> queries.statistics(request));
  }

  // --- the repository ------------------------------------------------------------------------------------------------

  @Override
  public void repositoryIndex(RepositoryIndexRequest request, StreamObserver<RepositoryIndexResponse> out) {
    answerLater(out, () -> queries.index(request));
  }

  @Override
  public void repositoryModelLoad(
      RepositoryModelLoadRequest request, StreamObserver<RepositoryModelLoadResponse> out) {
    answerLater(out, () -> repository.load(request));
  }

  @Override
  public void repositoryModelUnload(
      RepositoryModelUnloadRequest request, StreamObserver<RepositoryModelUnloadResponse> out) {
    answerLater(out, () -> repository.unload(request));
  }

  // --- settings ------------------------------------------------------------------------------------------------------

  @Override
  public void traceSetting(TraceSettingRequest request, StreamObserver<TraceSettingResponse> out) {
    answer(out, () -> settings.traceSetting(request));
  }

  @Override
  public void logSettings(LogSettingsRequest request, StreamObserver<LogSettingsResponse> out) {
    answer(out, () -> settings.logSettings(request));
  }

  // --- shared memory -------------------------------------------------------------------------------------------------

  @Override
  public void systemSharedMemoryStatus(
      SystemSharedMemoryStatusRequest request, StreamObserver<SystemSharedMemoryStatusResponse> out) {
    answer(
        out,
        () -> {
          SharedMemory.requireNone("system", request.getName());
          return SystemSharedMemoryStatusResponse.getDefaultInstance();
        });
  }

  @Override
  public void systemSharedMemoryRegister(
      SystemSharedMemoryRegisterRequest request, StreamObserver<SystemSharedMemoryRegisterResponse> out) {
    out.onError(Statuses.of(SharedMemory.refused()));
  }

  @Override
  public void systemSharedMemoryUnregister(
      SystemSharedMemoryUnregisterRequest request, StreamObserver<SystemSharedMemoryUnregisterResponse> out) {
    answer(
        out,
        () -> {
          SharedMemory.unregister(request.getName());
          return SystemSharedMemoryUnregisterResponse.getDefaultInstance();
        });
  }

  @Override
  public void cudaSharedMemoryStatus(
      CudaSharedMemoryStatusRequest request, StreamObserver<CudaSharedMemoryStatusResponse> out) {
    answer(
        out,
        () -> {
          SharedMemory.requireNone("cuda", request.getName());
          return CudaSharedMemoryStatusResponse.getDefaultInstance();
        });
  }

  @Override
  public void cudaSharedMemoryRegister(
      CudaSharedMemoryRegisterRequest request, StreamObserver<CudaSharedMemoryRegisterResponse> out) {
    out.onError(Statuses.of(SharedMemory.refused()));
  }

  @Override
  public void cudaSharedMemoryUnregister(
      CudaSharedMemoryUnregisterRequest request, StreamObserver<CudaSharedMemoryUnregisterResponse> out) {
    answer(
        out,
        () -> {
          SharedMemory.unregister(request.getName());
          return CudaSharedMemoryUnregisterResponse.getDefaultInstance();
        });
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private interface Query<T> {
    T answer() throws InferenceFailure;
  }

  /// Off the event loop, which has other callers waiting.
  private <T> void answerLater(StreamObserver<T> out, Query<T> query) {
    // A caller that has gone takes no notice, and what it asked for is done all the same.
    ((ServerCallStreamObserver<T>) out).setOnCancelHandler(() -> {});
    try {
      slow.execute(() -> answer(out, query));
    } catch (RejectedExecutionException e) {
      out.onError(
          Statuses.of(
              new InferenceFailure(
                  InferenceFailure.Kind.OVERLOADED,
                  "too many requests to load or unload a model wait already; try again later")));
    }
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
