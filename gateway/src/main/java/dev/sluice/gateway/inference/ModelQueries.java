package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.Route;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.proto.inference.ModelReadyResponse;
import dev.sluice.proto.inference.ServerMetadataResponse;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.tensor.TensorSpec;

/// What a client may ask about the server and its models, below every wire.
public final class ModelQueries {

  private final Routes routes;
  private final ModelRepository repository;
  private final String serverVersion;

  public ModelQueries(Routes routes, ModelRepository repository, String serverVersion) {
    this.routes = routes;
    this.repository = repository;
    this.serverVersion = serverVersion;
  }

  public ServerMetadataResponse server() {
    return ServerMetadataResponse.newBuilder()
        .setName("sluice")
        .setVersion(serverVersion)
        .addExtensions("binary_tensor_data")
        .addExtensions("parameters")
        .build();
  }

  public ModelReadyResponse ready(ModelReadyRequest request) throws InferenceFailure {
    boolean ready = true;
    try {
      routes.find(request.getName(), request.getVersion());
    } catch (InferenceFailure failure) {
      if (!repository.known(request.getName()) || failure.kind() == InferenceFailure.Kind.INVALID_REQUEST) {
        throw failure;
      }
      ready = false;
    }
    return ModelReadyResponse.newBuilder().setReady(ready).build();
  }

  public ModelMetadataResponse metadata(ModelMetadataRequest request) throws InferenceFailure {
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
    return response.build();
  }

  private static ModelMetadataResponse.TensorMetadata metadata(TensorSpec spec) {
    ModelMetadataResponse.TensorMetadata.Builder tensor =
        ModelMetadataResponse.TensorMetadata.newBuilder().setName(spec.name()).setDatatype(spec.datatype().name());
    for (long dim : spec.shape().toArray()) {
      tensor.addShape(dim);
    }
    return tensor.build();
  }
}
