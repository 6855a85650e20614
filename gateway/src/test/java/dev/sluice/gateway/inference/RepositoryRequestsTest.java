package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.proto.inference.ModelRepositoryParameter;
import dev.sluice.proto.inference.RepositoryModelLoadRequest;
import dev.sluice.proto.inference.RepositoryModelLoadResponse;
import dev.sluice.proto.inference.RepositoryModelUnloadRequest;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.ControlMode;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.RepositoryOptions;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Models as clients load and unload them, in a real repository.
class RepositoryRequestsTest {

  @SuppressWarnings("NullAway.Init") // before each test
  private ModelRepository repository;

  @SuppressWarnings("NullAway.Init")
  private RepositoryRequests requests;

  @BeforeEach
  void start(@TempDir Path models) throws Exception {
    OnnxModels.linear(2, 0, 2).writeTo(models, "linear", 1);
    OnnxGraph.write(models, "broken", 1, "not a model".getBytes(StandardCharsets.US_ASCII));
    repository =
        ModelRepository.open(models, new OnnxRuntime(), RepositoryOptions.defaults().withMode(ControlMode.EXPLICIT));
    requests = new RepositoryRequests(repository, () -> ServerState.READY);
  }

  @AfterEach
  void stop() {
    repository.close();
  }

  @Test
  void aModelIsLoadedAndUnloadedByItsName() throws InferenceFailure {
    RepositoryModelLoadResponse loaded = requests.load(load("linear").build());

    assertThat(loaded.getModelName()).isEqualTo("linear");
    assertThat(loaded.getIsLoaded()).isTrue();
    assertThat(model().versions()).hasSize(1);
    assertThat(
            requests.unload(
                RepositoryModelUnloadRequest.newBuilder().setModelName("linear")
                    .putParameters("unload_dependents", ModelRepositoryParameter.newBuilder().setBoolParam(true).build())
                    .build()).getIsUnloaded())
        .isTrue();
    assertThat(model().versions()).isEmpty();
  }

  /// KServe's message has the model's name as field 1.
  @Test
  void aNameInTheRepositorysPlaceIsTheModels() throws InferenceFailure {
    requests.load(RepositoryModelLoadRequest.newBuilder().setRepositoryName("linear").build());
    assertThat(model().versions()).hasSize(1);

    requests.unload(RepositoryModelUnloadRequest.newBuilder().setRepositoryName("linear").build());
    assertThat(model().versions()).isEmpty();

    InferenceFailure both =
        failure(() -> requests.load(load("linear").setRepositoryName("other").build()));
    assertThat(both.kind()).isEqualTo(Kind.UNSUPPORTED);
    assertThat(both).hasMessage("'repository_name' specification is not supported");
  }

  @Test
  void aConfigurationMayComeWithTheRequest() throws InferenceFailure {
    requests.load(load("linear").putParameters("config", text("{\"max_batch_size\": 16}")).build());
    assertThat(model().maxBatchSize()).isEqualTo(16);

    InferenceFailure wrong =
        failure(() -> requests.load(load("linear").putParameters("config", text("\"parameters\": {{")).build()));
    assertThat(wrong.kind()).isEqualTo(Kind.LOAD_INVALID);
    assertThat(wrong.sentence()).startsWith("failed to load 'linear'");
    assertThat(model().maxBatchSize()).as("stays as it was").isEqualTo(16);
  }

  @Test
  void whatCannotBeLoadedSaysWhy() {
    InferenceFailure unknown = failure(() -> requests.load(load("nosuch").build()));
    assertThat(unknown.kind()).isEqualTo(Kind.LOAD_FAILED);
    assertThat(unknown.sentence()).startsWith("failed to load 'nosuch', failed to poll from model repository");
    InferenceFailure broken = failure(() -> requests.load(load("broken").build()));
    assertThat(broken.kind()).isEqualTo(Kind.LOAD_INVALID);
    assertThat(broken.sentence()).startsWith("load failed for model 'broken': ").contains("broken/1");
    assertThat(failure(() -> requests.load(load(" ").build())).kind()).isEqualTo(Kind.INVALID_REQUEST);
    assertThat(failure(() -> requests.load(load("../linear").build())).kind()).isEqualTo(Kind.LOAD_FAILED);
    assertThat(failure(() -> requests.unload(RepositoryModelUnloadRequest.newBuilder().setModelName("nosuch").build())))
        .satisfies(gone -> assertThat(gone.kind()).isEqualTo(Kind.UNKNOWN_MODEL));
  }

  @Test
  void whatARequestMayBringAlongIsChecked() {
    ModelRepositoryParameter file =
        ModelRepositoryParameter.newBuilder().setBytesParam(ByteString.copyFromUtf8("x")).build();
    InferenceFailure refused = failure(() -> requests.load(load("linear").putParameters("file:1/model.onnx", file).build()));
    // As a failed load: Triton's own example of model control asks for this code and these words.
    assertThat(refused.kind()).isEqualTo(Kind.LOAD_FAILED);
    assertThat(refused.sentence())
        .startsWith("failed to load 'linear', failed to poll from model repository: ")
        .contains("file override is not offered", "'file:1/model.onnx'");
    assertThat(failure(() -> requests.load(load("linear").putParameters("colour", text("red")).build())))
        .hasMessage("unrecognized load parameter 'colour'.");
    assertThat(failure(() -> requests.load(load("linear").putParameters("config", file).build())))
        .hasMessage("invalid value type for load parameter 'config', expected string_param.");
    assertThat(
            failure(
                () ->
                    requests.unload(
                        RepositoryModelUnloadRequest.newBuilder().setModelName("linear")
                            .putParameters("unload_dependents", text("yes")).build())))
        .hasMessage("invalid value type for 'unload_dependents' parameter, expected bool_param.");
  }

  @Test
  void nothingIsLoadedAtTheEnd() {
    RepositoryRequests exiting = new RepositoryRequests(repository, () -> ServerState.EXITING);

    InferenceFailure refused = failure(() -> exiting.load(load("linear").build()));

    assertThat(refused.kind()).isEqualTo(Kind.SHUTTING_DOWN);
    assertThat(refused).hasMessage("Server not ready");
  }

  private interface Call {
    void make() throws InferenceFailure;
  }

  private static InferenceFailure failure(Call call) {
    return catchThrowableOfType(InferenceFailure.class, call::make);
  }

  private Model model() {
    return Objects.requireNonNull(repository.find("linear"));
  }

  private static RepositoryModelLoadRequest.Builder load(String model) {
    return RepositoryModelLoadRequest.newBuilder().setModelName(model);
  }

  private static ModelRepositoryParameter text(String value) {
    return ModelRepositoryParameter.newBuilder().setStringParam(value).build();
  }
}
