package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.proto.inference.ModelRepositoryParameter;
import dev.sluice.proto.inference.ModelRepositoryParameter.ParameterChoiceCase;
import dev.sluice.proto.inference.RepositoryModelLoadRequest;
import dev.sluice.proto.inference.RepositoryModelLoadResponse;
import dev.sluice.proto.inference.RepositoryModelUnloadRequest;
import dev.sluice.proto.inference.RepositoryModelUnloadResponse;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.repository.ModelRepository;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Models loaded and unloaded as clients ask for it, below every wire. Both take as long as the model does: not for a thread
/// that has others waiting.
public final class RepositoryRequests {

  private static final String CONFIG = "config";
  private static final String FILE = "file:";
  private static final String UNLOAD_DEPENDENTS = "unload_dependents";

  private final ModelRepository repository;
  private final Supplier<ServerState> state;

  public RepositoryRequests(ModelRepository repository, Supplier<ServerState> state) {
    this.repository = repository;
    this.state = state;
  }

  public RepositoryModelLoadResponse load(RepositoryModelLoadRequest request) throws InferenceFailure {
    requireRunning();
    String model = model(request.getRepositoryName(), request.getModelName());
    String config = configuration(model, request.getParametersMap());
    try {
      if (config == null) {
        repository.load(model);
      } else {
        repository.load(model, config);
      }
    } catch (ModelLoadException e) {
      throw notLoaded(model, config != null, e);
    }
    return RepositoryModelLoadResponse.newBuilder().setModelName(model).setIsLoaded(true).build();
  }

  /// The configuration that a request brings along, null if it brings none.
  private static @Nullable String configuration(String model, Map<String, ModelRepositoryParameter> parameters)
      throws InferenceFailure {
    for (String name : parameters.keySet()) {
      if (name.startsWith(FILE)) {
        // A failed load and no invalid request: that is what Triton's clients expect when a file is not taken.
        throw new InferenceFailure(
            Kind.LOAD_FAILED,
            ("failed to load '%s', failed to poll from model repository: file override is not offered: "
                    + "load parameter '%s' brings a file; models are loaded from the repository")
                .formatted(model, name));
      }
      if (!name.equals(CONFIG)) {
        throw invalid(name, "unrecognized load parameter '%s'.".formatted(name));
      }
    }
    ModelRepositoryParameter config = parameters.get(CONFIG);
    if (config == null) {
      return null;
    }
    if (config.getParameterChoiceCase() != ParameterChoiceCase.STRING_PARAM) {
      throw invalid(CONFIG, "invalid value type for load parameter 'config', expected string_param.");
    }
    return config.getStringParam();
  }

  private static InferenceFailure notLoaded(String model, boolean configured, ModelLoadException e) {
    return switch (e.kind()) {
      case NOT_FOUND ->
          new InferenceFailure(
              Kind.LOAD_FAILED,
              "failed to load '%s', failed to poll from model repository: %s".formatted(model, e.getMessage()));
      case INVALID ->
          new InferenceFailure(
              Kind.LOAD_INVALID,
              configured
                  ? "failed to load '%s' with the configuration of the request: %s".formatted(model, e.getMessage())
                  : "load failed for model '%s': %s".formatted(model, e.getMessage()));
      case FAILED ->
          new InferenceFailure(Kind.LOAD_FAILED, "failed to load '%s': %s".formatted(model, e.getMessage()));
      case REFUSED, UNAVAILABLE -> new InferenceFailure(Kind.LOAD_NOT_ALLOWED, e.getMessage());
    };
  }

  /// No model depends on another here, so whether its dependents are to go as well makes no difference.
  public RepositoryModelUnloadResponse unload(RepositoryModelUnloadRequest request) throws InferenceFailure {
    requireRunning();
    String model = model(request.getRepositoryName(), request.getModelName());
    ModelRepositoryParameter dependents = request.getParametersMap().get(UNLOAD_DEPENDENTS);
    if (dependents != null && dependents.getParameterChoiceCase() != ParameterChoiceCase.BOOL_PARAM) {
      throw invalid(
          UNLOAD_DEPENDENTS, "invalid value type for 'unload_dependents' parameter, expected bool_param.");
    }
    try {
      repository.unload(model);
    } catch (ModelLoadException e) {
      throw switch (e.kind()) {
        case NOT_FOUND ->
            new InferenceFailure(
                Kind.UNKNOWN_MODEL, "Request for unknown model: '%s' is not found".formatted(model));
        case INVALID, FAILED ->
            new InferenceFailure(Kind.LOAD_FAILED, "failed to unload '%s': %s".formatted(model, e.getMessage()));
        case REFUSED, UNAVAILABLE -> new InferenceFailure(Kind.LOAD_NOT_ALLOWED, e.getMessage());
      };
    }
    return RepositoryModelUnloadResponse.newBuilder().setModelName(model).setIsUnloaded(true).build();
  }

  private void requireRunning() throws InferenceFailure {
    if (state.get() == ServerState.EXITING) {
      throw new InferenceFailure(Kind.SHUTTING_DOWN, "Server not ready");
    }
  }

  /// KServe's message has the model's name where Triton's has the repository's, and no other field.
  private static String model(String repository, String model) throws InferenceFailure {
    if (!model.isEmpty() && !repository.isEmpty()) {
      throw InferenceFailure.unsupported("'repository_name' specification is not supported");
    }
    String name = model.isEmpty() ? repository : model;
    if (name.isBlank()) {
      throw InferenceFailure.invalid(
          "model_name", "Model name cannot be empty. Please enter a valid name to deploy.");
    }
    return name;
  }

  private static InferenceFailure invalid(String parameter, String text) {
    return InferenceFailure.invalid("parameters['%s']".formatted(parameter), text);
  }
}
