package dev.sluice.gateway.inference;

import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.routing.Answer;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceRequest;
import dev.sluice.gateway.routing.InferenceRouter;
import dev.sluice.gateway.routing.Responder;
import dev.sluice.gateway.routing.Route;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceImplBase;
import dev.sluice.proto.inference.InferParameter;
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
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.tensor.TensorSpec;
import io.grpc.Context;
import io.grpc.ServerServiceDefinition;
import io.grpc.ServerInterceptors;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.function.BooleanSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// `inference.GRPCInferenceService`: the protocol's calls, one short method each.
public final class InferenceService extends GRPCInferenceServiceImplBase {

  /// Response parameters.
  static final String VARIANT_PARAMETER = "sluice_variant";

  static final String FALLBACK_PARAMETER = "sluice_fallback";

  private static final Logger log = LoggerFactory.getLogger(InferenceService.class);

  private final Routes routes;
  private final InferenceRouter router;
  private final ModelRepository repository;
  private final GatewayMetrics metrics;
  private final BooleanSupplier ready;
  private final String serverVersion;

  public InferenceService(
      Routes routes,
      InferenceRouter router,
      ModelRepository repository,
      GatewayMetrics metrics,
      BooleanSupplier ready,
      String serverVersion) {
    this.routes = routes;
    this.router = router;
    this.repository = repository;
    this.metrics = metrics;
    this.ready = ready;
    this.serverVersion = serverVersion;
  }

  /// The service with what it needs around it.
  public ServerServiceDefinition definition() {
    return ServerInterceptors.intercept(this, new Caller.HeaderInterceptor());
  }

  // --- inference ------------------------------------------------------------------------------------------------------

  @Override
  public void modelInfer(ModelInferRequest request, StreamObserver<ModelInferResponse> out) {
    long startedNanos = System.nanoTime();
    // Without a handler of its own, a cancelled call would make the answer throw on the model's thread.
    ((ServerCallStreamObserver<ModelInferResponse>) out).setOnCancelHandler(() -> {});
    try {
      Route route = routes.find(request.getModelName(), request.getModelVersion());
      Signature signature = route.version().signature();
      InferenceRequest checked =
          new InferenceRequest(
              request.getId(),
              TensorCodec.inputs(request, signature),
              TensorCodec.outputs(request, signature),
              Caller.of(request),
              new GrpcLifetime(Context.current()),
              startedNanos);
      router.infer(route, checked, new GrpcResponder(request, out));
    } catch (InferenceFailure failure) {
      metrics.refused(failure.kind().name());
      out.onError(Statuses.of(failure));
    } catch (RuntimeException e) {
      log.error("a request for model '{}' failed in the gateway itself", request.getModelName(), e);
      out.onError(
          Statuses.of(
              new InferenceFailure(
                  InferenceFailure.Kind.EXECUTION_FAILED, "the gateway failed on this request: " + e)));
    }
  }

  private record GrpcResponder(ModelInferRequest request, StreamObserver<ModelInferResponse> out) implements Responder {

    @Override
    public void answer(Answer answer) {
      ModelInferResponse response;
      try {
        response = response(answer);
      } catch (RuntimeException | Error e) {
        // Too large for a message, or for the heap: the caller must still learn that there is no answer.
        fail(new InferenceFailure(InferenceFailure.Kind.EXECUTION_FAILED, "the answer could not be written: " + e));
        return;
      }
      out.onNext(response);
      out.onCompleted();
    }

    private ModelInferResponse response(Answer answer) {
      ModelInferResponse.Builder response =
          ModelInferResponse.newBuilder()
              .setModelName(request.getModelName())
              .setModelVersion(Long.toString(answer.version()))
              .setId(request.getId());
      if (answer.variant() != null) {
        response.putParameters(VARIANT_PARAMETER, text(answer.variant().label()));
      }
      if (answer.fallback() != null) {
        response.putParameters(FALLBACK_PARAMETER, text(answer.fallback().label()));
      }
      TensorCodec.write(answer.outputs(), response);
      return response.build();
    }

    @Override
    public void fail(InferenceFailure failure) {
      out.onError(Statuses.of(failure));
    }

    private static InferParameter text(String value) {
      return InferParameter.newBuilder().setStringParam(value).build();
    }
  }

  // --- health and metadata -------------------------------------------------------------------------------------------

  @Override
  public void serverLive(ServerLiveRequest request, StreamObserver<ServerLiveResponse> out) {
    reply(out, ServerLiveResponse.newBuilder().setLive(true).build());
  }

  @Override
  public void serverReady(ServerReadyRequest request, StreamObserver<ServerReadyResponse> out) {
    reply(out, ServerReadyResponse.newBuilder().setReady(ready.getAsBoolean()).build());
  }

  @Override
  public void modelReady(ModelReadyRequest request, StreamObserver<ModelReadyResponse> out) {
    try {
      boolean modelReady = true;
      try {
        routes.find(request.getName(), request.getVersion());
      } catch (InferenceFailure failure) {
        if (!repository.known(request.getName()) || failure.kind() == InferenceFailure.Kind.INVALID_REQUEST) {
          throw failure;
        }
        modelReady = false;
      }
      reply(out, ModelReadyResponse.newBuilder().setReady(modelReady).build());
    } catch (InferenceFailure failure) {
      out.onError(Statuses.of(failure));
    }
  }

  @Override
  public void serverMetadata(ServerMetadataRequest request, StreamObserver<ServerMetadataResponse> out) {
    reply(
        out,
        ServerMetadataResponse.newBuilder()
            .setName("sluice")
            .setVersion(serverVersion)
            .addExtensions("binary_tensor_data")
            .addExtensions("parameters")
            .build());
  }

  @Override
  public void modelMetadata(ModelMetadataRequest request, StreamObserver<ModelMetadataResponse> out) {
    try {
      Route route = routes.find(request.getName(), request.getVersion());
      Signature signature = route.version().signature();
      ModelMetadataResponse.Builder response =
          ModelMetadataResponse.newBuilder().setName(request.getName()).setPlatform(Model.PLATFORM);
      if (request.getVersion().isEmpty()) {
        Model model = repository.find(request.getName());
        if (model != null) {
          model.versions().forEach(version -> response.addVersions(Long.toString(version.version())));
        }
      } else {
        response.addVersions(Long.toString(route.version().version()));
      }
      signature.inputs().forEach(spec -> response.addInputs(metadata(spec)));
      signature.outputs().forEach(spec -> response.addOutputs(metadata(spec)));
      reply(out, response.build());
    } catch (InferenceFailure failure) {
      out.onError(Statuses.of(failure));
    }
  }

  private static ModelMetadataResponse.TensorMetadata metadata(TensorSpec spec) {
    ModelMetadataResponse.TensorMetadata.Builder tensor =
        ModelMetadataResponse.TensorMetadata.newBuilder().setName(spec.name()).setDatatype(spec.datatype().name());
    for (long dim : spec.shape().toArray()) {
      tensor.addShape(dim);
    }
    return tensor.build();
  }

  private static <T> void reply(StreamObserver<T> out, T message) {
    out.onNext(message);
    out.onCompleted();
  }
}
