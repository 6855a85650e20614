package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.gateway.routing.Route;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.inference.ModelConfigRequest;
import dev.sluice.proto.inference.ModelConfigResponse;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.proto.inference.ModelReadyResponse;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import dev.sluice.proto.inference.ModelStatisticsResponse;
import dev.sluice.proto.inference.RepositoryIndexRequest;
import dev.sluice.proto.inference.RepositoryIndexResponse;
import dev.sluice.proto.inference.RepositoryIndexResponse.ModelIndex;
import dev.sluice.proto.inference.ServerLiveResponse;
import dev.sluice.proto.inference.ServerMetadataResponse;
import dev.sluice.proto.inference.ServerReadyResponse;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.VersionStatus;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.Comparator;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/// What a client may ask about the server and its models, below every wire.
public final class ModelQueries {

  /// What Triton calls the parts of the protocol that are served here.
  private static final List<String> EXTENSIONS =
      List.of(
          "classification",
          "model_repository",
          "model_repository(unload_dependents)",
          "schedule_policy",
          "model_configuration",
          "binary_tensor_data",
          "parameters",
          "statistics",
          "logging");

  private final Routes routes;
  private final ModelRepository repository;
  private final String serverName;
  private final String serverVersion;
  private final Supplier<ServerState> state;
  private final BooleanSupplier modelsReady;

  public ModelQueries(
      Routes routes,
      ModelRepository repository,
      String serverName,
      String serverVersion,
      Supplier<ServerState> state,
      BooleanSupplier modelsReady) {
    this.routes = routes;
    this.repository = repository;
    this.serverName = serverName;
    this.serverVersion = serverVersion;
    this.state = state;
    this.modelsReady = modelsReady;
  }

  // --- the server -----------------------------------------------------------------------------------------------------

  public ServerLiveResponse live() throws InferenceFailure {
    requireNotExiting();
    return ServerLiveResponse.newBuilder().setLive(state.get() != ServerState.FAULTY).build();
  }

  public ServerReadyResponse ready() throws InferenceFailure {
    requireNotExiting();
    boolean ready = state.get() == ServerState.READY && modelsReady.getAsBoolean();
    return ServerReadyResponse.newBuilder().setReady(ready).build();
  }

  private void requireNotExiting() throws InferenceFailure {
    if (state.get() == ServerState.EXITING) {
      throw new InferenceFailure(Kind.SHUTTING_DOWN, "Server exiting");
    }
  }

  public ServerMetadataResponse server() {
    return ServerMetadataResponse.newBuilder()
        .setName(serverName)
        .setVersion(serverVersion)
        .addAllExtensions(EXTENSIONS)
        .build();
  }

  // --- models ---------------------------------------------------------------------------------------------------------

  public ModelReadyResponse ready(ModelReadyRequest request) throws InferenceFailure {
    if (state.get() == ServerState.EXITING) {
      throw new InferenceFailure(Kind.SHUTTING_DOWN, "Server not ready");
    }
    boolean ready = true;
    try {
      routes.find(request.getName(), request.getVersion());
    } catch (InferenceFailure failure) {
      if (!repository.known(request.getName()) || failure.kind() == Kind.INVALID_REQUEST) {
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

  public ModelConfigResponse config(ModelConfigRequest request) throws InferenceFailure {
    return ModelConfigResponse.newBuilder()
        .setConfig(routes.find(request.getName(), request.getVersion()).version().profile().config())
        .build();
  }

  /// Since each version was loaded: of one version, of a model's ready ones, or of all that are ready.
  public ModelStatisticsResponse statistics(ModelStatisticsRequest request) throws InferenceFailure {
    ModelStatisticsResponse.Builder response = ModelStatisticsResponse.newBuilder();
    for (ModelVersion version : counted(request.getName(), request.getVersion())) {
      response.addModelStats(StatisticsMessages.of(version));
    }
    return response.build();
  }

  private List<ModelVersion> counted(String name, String version) throws InferenceFailure {
    if (name.isEmpty()) {
      return repository.models().stream()
          .sorted(Comparator.comparing(Model::name))
          .flatMap(model -> model.versions().stream())
          .toList();
    }
    Model model = repository.find(name);
    if (model == null || model.versions().isEmpty()) {
      throw InferenceFailure.invalid("name", "requested model '%s' is not available".formatted(name));
    }
    if (version.isEmpty()) {
      return model.versions();
    }
    try {
      return List.of(routes.find(name, version).version());
    } catch (InferenceFailure failure) {
      throw failure.kind() == Kind.INVALID_REQUEST
          ? failure
          : InferenceFailure.invalid(
              "version", "requested model version is not available for model '%s': %s".formatted(name, version));
    }
  }

  // --- the repository -------------------------------------------------------------------------------------------------

  /// Every model of the repository, by name: a line for each version that somebody asked for, and one with the name alone
  /// for a model of which nobody asked for anything. Reads the repository's directory.
  public RepositoryIndexResponse index(RepositoryIndexRequest request) throws InferenceFailure {
    if (!request.getRepositoryName().isEmpty()) {
      throw InferenceFailure.unsupported("'repository_name' specification is not supported");
    }
    RepositoryIndexResponse.Builder response = RepositoryIndexResponse.newBuilder();
    for (VersionStatus status : repository.index()) {
      if (!request.getReady() || status.state() == VersionStatus.State.READY) {
        response.addModels(index(status));
      }
    }
    return response.build();
  }

  private static ModelIndex index(VersionStatus status) {
    ModelIndex.Builder index = ModelIndex.newBuilder().setName(status.model());
    if (status.state() == VersionStatus.State.UNKNOWN) {
      return index.build();
    }
    if (status.version() != 0) { // which speaks of the model as a whole
      index.setVersion(Long.toString(status.version()));
    }
    return index.setState(status.state().name()).setReason(status.reason()).build();
  }
}
