package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.output;
import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.gateway.testing.InferMessages.typed;
import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.config.ModelControl;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.testing.InferMessages;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.proto.inference.ServerLiveRequest;
import dev.sluice.proto.inference.ServerMetadataRequest;
import dev.sluice.proto.inference.ServerMetadataResponse;
import dev.sluice.proto.inference.ServerReadyRequest;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.TensorAssertions;
import dev.sluice.runtime.testing.Tensors;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// The calls of the Open Inference Protocol when all goes well.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ProtocolTest {

  private static final String ALL_VERSIONS = "version_policy: { all { } }\n";

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    for (int version : List.of(1, 2, 10)) {
      OnnxModels.linear(version, 0, 2).writeTo(models, "linear", version);
    }
    Files.writeString(models.resolve("linear/config.pbtxt"), ALL_VERSIONS);
    OnnxModels.linear(1, 0, 3).writeTo(models, "batched", 1);
    Files.writeString(
        models.resolve("batched/config.pbtxt"),
        """
        max_batch_size: 4
        input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
        """);
    new OnnxGraph()
        .input("x", Datatype.FP32, 2)
        .node("Neg", List.of("x"), List.of("negative"))
        .node("Abs", List.of("x"), List.of("magnitude"))
        .node("Cast", List.of("x"), List.of("whole"), OnnxGraph.number("to", OnnxGraph.elementType(Datatype.INT64)))
        .output("negative", Datatype.FP32, 2)
        .output("magnitude", Datatype.FP32, 2)
        .output("whole", Datatype.INT64, 2)
        .writeTo(models, "three", 1);
    for (Datatype datatype : Datatype.values()) {
      OnnxModels.identity(datatype, -1, -1).writeTo(models, "identity-" + datatype, 1);
    }
    OnnxModels.identity(Datatype.FP32).writeTo(models, "scalar", 1);
    OnnxModels.linear(1, 0, 2).writeTo(models, "retired", 1);
    OnnxModels.linear(1, 0, 2).writeTo(models, "retired", 2);
    Files.writeString(models.resolve("retired/config.pbtxt"), ALL_VERSIONS);
    Files.createDirectories(models.resolve("empty"));
    for (int version : List.of(1, 2)) {
      OnnxModels.linear(version, 0, 2).writeTo(models, "rolling", version);
    }
    Files.writeString(models.resolve("rolling/config.pbtxt"), "version_policy: { specific: { versions: [1] } }\n");
    gateway =
        RunningGateway.start(
            GatewayConfig.onFreePorts(models, folder.resolve("data"))
                .with(ModelControl.defaults().withoutStrictReadiness()));
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  // --- server and models ---------------------------------------------------------------------------------------------

  @Test
  void aStartedServerIsLiveAndReady() {
    assertThat(gateway.inference().serverLive(ServerLiveRequest.getDefaultInstance()).getLive()).isTrue();
    assertThat(gateway.inference().serverReady(ServerReadyRequest.getDefaultInstance()).getReady()).isTrue();
  }

  @Test
  void theServerNamesItselfAndOnlyTheExtensionsItHas() {
    ServerMetadataResponse metadata =
        gateway.inference().serverMetadata(ServerMetadataRequest.getDefaultInstance());

    assertThat(metadata.getName()).isEqualTo("sluice");
    assertThat(metadata.getVersion()).isNotBlank();
    assertThat(metadata.getExtensionsList())
        .containsExactly(
            "classification", "model_repository", "model_repository(unload_dependents)", "schedule_policy",
            "model_configuration", "binary_tensor_data", "parameters", "statistics", "logging");
  }

  @Test
  void aModelIsReadyWhenTheVersionThatWouldAnswerIs() {
    assertThat(isReady("linear", "")).isTrue();
    assertThat(isReady("linear", "2")).isTrue();
    assertThat(isReady("linear", "3")).isFalse();
    assertThat(isReady("empty", "")).isFalse();
  }

  @Test
  void readinessOfAnUnknownModelIsAnErrorAndNotANo() {
    assertRefused(() -> isReady("nosuch", ""), Status.Code.NOT_FOUND, "'nosuch' is not found");
    assertRefused(() -> isReady("nosuch", "1"), Status.Code.NOT_FOUND, "'nosuch' is not found");
    assertRefused(() -> isReady("linear", "latest"), Status.Code.INVALID_ARGUMENT, "'latest'");
  }

  @Test
  void anUnloadedVersionIsNotReadyAndUnavailableWhileTheOtherAnswers() {
    gateway.models().unloadVersion(UnloadVersionRequest.newBuilder().setModel("retired").setVersion(1).build());

    assertThat(isReady("retired", "1")).isFalse();
    assertThat(isReady("retired", "")).isTrue();
    assertRefused(
        () -> infer("retired", "1"), Status.Code.UNAVAILABLE, "'retired' version 1 is not at ready state");
    assertThat(infer("retired", "").getModelVersion()).isEqualTo("2");
  }

  @Test
  void metadataShowsFreeDimensionsAsMinusOneAndEveryReadyVersion() {
    ModelMetadataResponse metadata = metadata("linear", "");

    assertThat(metadata.getName()).isEqualTo("linear");
    assertThat(metadata.getPlatform()).isEqualTo("onnxruntime_onnx");
    assertThat(metadata.getVersionsList()).containsExactly("1", "2", "10");
    assertThat(metadata.getInputsList()).containsExactly(tensor("x", "FP32", -1, 2));
    assertThat(metadata.getOutputsList()).containsExactly(tensor("y", "FP32", -1, 2));
    assertThat(metadata("linear", "2").getVersionsList()).containsExactly("2");
  }

  @Test
  void metadataOfABatchingModelBeginsWithTheBatchDimension() {
    assertThat(metadata("batched", "").getInputsList()).containsExactly(tensor("x", "FP32", -1, 3));
    assertThat(metadata("three", "").getInputsList()).containsExactly(tensor("x", "FP32", 2));
    assertThat(metadata("scalar", "").getInputsList()).containsExactly(tensor("x", "FP32"));
    assertThat(metadata("three", "").getOutputsList())
        .containsExactly(
            tensor("negative", "FP32", 2), tensor("magnitude", "FP32", 2), tensor("whole", "INT64", 2));
  }

  @Test
  void metadataOfWhatIsNotServedIsNotFound() {
    assertRefused(() -> metadata("nosuch", ""), Status.Code.NOT_FOUND, "'nosuch' is not found");
    assertRefused(() -> metadata("linear", "3"), Status.Code.NOT_FOUND, "version 3 is not found");
    assertRefused(() -> metadata("empty", ""), Status.Code.NOT_FOUND, "'empty' has no available versions");
  }

  // --- versions ------------------------------------------------------------------------------------------------------

  @Test
  void withoutAVersionTheHighestNumberAnswers() {
    ModelInferResponse response = infer("linear", "");

    assertThat(response.getModelVersion()).isEqualTo("10"); // not "2", which only text would sort last
    assertThat(outputs(response)).containsExactly(floats("y", Shape.of(1, 2), 30, 40));
  }

  @Test
  void aVersionAskedForAnswersWhateverTheDefaultIs() {
    assertThat(outputs(infer("linear", "2"))).containsExactly(floats("y", Shape.of(1, 2), 6, 8));
    assertThat(infer("linear", "002").getModelVersion()).isEqualTo("2");
  }

  @Test
  void aVersionThatIsNoneIsRefused() {
    assertRefused(() -> infer("linear", "9"), Status.Code.NOT_FOUND, "'linear' version 9 is not found");
    assertRefused(() -> infer("linear", "0"), Status.Code.NOT_FOUND, "'linear' version 0 is not found");
    for (String version : List.of("latest", "-1", "1.0", " 1", "99999999999999999999")) {
      assertRefused(() -> infer("linear", version), Status.Code.INVALID_ARGUMENT, "'" + version + "'");
    }
  }

  // --- answers -------------------------------------------------------------------------------------------------------

  @Test
  void theIdComesBackAsItWasSent() {
    for (String id : List.of("", "42", "Größe/✓ ", "x".repeat(10_000))) {
      ModelInferResponse response =
          gateway.inference().modelInfer(raw("linear", floats("x", Shape.of(1, 2), 3, 4)).setId(id).build());
      assertThat(response.getId()).isEqualTo(id);
    }
  }

  @Test
  void noOutputNamedMeansAllOfThemInTheModelsOrder() {
    List<Tensor> all = outputs(gateway.inference().modelInfer(three().build()));

    assertThat(all)
        .containsExactly(
            floats("negative", Shape.of(2), -1.5f, 2.5f),
            floats("magnitude", Shape.of(2), 1.5f, 2.5f),
            Tensors.longs("whole", Shape.of(2), 1, -2));
  }

  @Test
  void outputsComeInTheOrderOfTheRequestAndOnlyThose() {
    ModelInferResponse response =
        gateway.inference().modelInfer(three().addOutputs(output("whole")).addOutputs(output("negative")).build());

    assertThat(outputs(response))
        .containsExactly(
            Tensors.longs("whole", Shape.of(2), 1, -2), floats("negative", Shape.of(2), -1.5f, 2.5f));
  }

  @ParameterizedTest
  @EnumSource(Datatype.class)
  void everyDatatypeTravelsBothWaysUnchanged(Datatype datatype) {
    long seed = 20_261_121L;
    for (Shape shape : List.of(Shape.of(3, 5), Shape.of(1, 1), Shape.of(0, 4))) {
      Tensor sent = random(datatype, shape, new Random(seed));
      Tensor expected = new Tensor("y", datatype, shape, sent.bytes());
      String model = "identity-" + datatype;

      ModelInferResponse response = gateway.inference().modelInfer(raw(model, sent).build());

      assertThat(outputs(response)).as("raw, seed %d", seed).containsExactly(expected);
      if (InferMessages.canBeTyped(List.of(sent)) && shape.elements() > 0) {
        ModelInferResponse fromTyped = gateway.inference().modelInfer(typed(model, List.of(sent)).build());
        TensorAssertions.assertClose(outputs(fromTyped).getFirst(), expected);
      }
    }
  }

  @Test
  void aScalarHasAnEmptyShape() {
    ModelInferResponse response = gateway.inference().modelInfer(raw("scalar", floats("x", Shape.of(), 7)).build());

    assertThat(response.getOutputs(0).getShapeList()).isEmpty();
    assertThat(outputs(response)).containsExactly(floats("y", Shape.of(), 7));
  }

  @Test
  void sixtyFourMegabytesTravelBothWays() {
    int rows = 16 << 10;
    int columns = 1 << 10;
    byte[] bytes = new byte[rows * columns * Float.BYTES];
    ByteBuffer numbers = ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < rows * columns; i++) {
      numbers.putFloat(i * Float.BYTES, i);
    }
    Tensor sent = new Tensor("x", Datatype.FP32, Shape.of(rows, columns), numbers);

    ModelInferResponse response = gateway.inference().modelInfer(raw("identity-FP32", sent).build());

    assertThat(response.getRawOutputContents(0)).isEqualTo(ByteString.copyFrom(bytes));
  }

  // --- rollouts ------------------------------------------------------------------------------------------------------

  @Test
  void theVariantIsNamedForUnversionedCallsDuringARolloutOnly() {
    assertThat(infer("rolling", "").getParametersMap()).isEmpty();
    gateway.create(
        """
        rollout: rolling-2
        model: rolling
        owner: test
        baseline: 1
        candidate: 2
        steps:
          - canary: 100%
            until: { observations: 1000000 }
        stopRules:
          - error-rate: { limit: 5% }
        """);

    ModelInferResponse candidate = infer("rolling", "");
    assertThat(candidate.getParametersMap()).containsOnlyKeys("sluice_variant");
    assertThat(candidate.getParametersOrThrow("sluice_variant").getStringParam()).isEqualTo("candidate");
    assertThat(candidate.getModelVersion()).isEqualTo("2");
    assertThat(infer("rolling", "1").getParametersMap()).isEmpty();
    assertThat(infer("rolling", "2").getParametersMap()).isEmpty();
    assertThat(infer("linear", "").getParametersMap()).isEmpty();

    // A candidate that is gone: the baseline answers, and says why.
    gateway.models().unloadVersion(UnloadVersionRequest.newBuilder().setModel("rolling").setVersion(2).build());
    ModelInferResponse fallback = infer("rolling", "");
    assertThat(fallback.getModelVersion()).isEqualTo("1");
    assertThat(fallback.getParametersOrThrow("sluice_variant").getStringParam()).isEqualTo("baseline");
    assertThat(fallback.getParametersOrThrow("sluice_fallback").getStringParam()).isEqualTo("unavailable");

    gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("rolling-2").build());
    assertThat(infer("rolling", "").getParametersMap()).isEmpty();
    await().untilAsserted(() -> assertThat(infer("rolling", "").getModelVersion()).isEqualTo("1"));
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private boolean isReady(String model, String version) {
    return gateway
        .inference()
        .modelReady(ModelReadyRequest.newBuilder().setName(model).setVersion(version).build())
        .getReady();
  }

  private ModelMetadataResponse metadata(String model, String version) {
    return gateway
        .inference()
        .modelMetadata(ModelMetadataRequest.newBuilder().setName(model).setVersion(version).build());
  }

  private ModelInferResponse infer(String model, String version) {
    return gateway
        .inference()
        .modelInfer(raw(model, floats("x", Shape.of(1, 2), 3, 4)).setModelVersion(version).build());
  }

  private static dev.sluice.proto.inference.ModelInferRequest.Builder three() {
    return raw("three", floats("x", Shape.of(2), 1.5f, -2.5f));
  }

  private static Tensor random(Datatype datatype, Shape shape, Random random) {
    if (datatype != Datatype.BYTES) {
      return Tensors.random("x", datatype, shape, random);
    }
    String[] texts = new String[Math.toIntExact(shape.elements())];
    for (int i = 0; i < texts.length; i++) {
      texts[i] = "ä\0€".repeat(random.nextInt(4)); // empty ones too
    }
    return Tensors.strings("x", shape, texts);
  }

  private static TensorMetadata tensor(String name, String datatype, long... shape) {
    TensorMetadata.Builder tensor = TensorMetadata.newBuilder().setName(name).setDatatype(datatype);
    for (long dim : shape) {
      tensor.addShape(dim);
    }
    return tensor.build();
  }

  private static void assertRefused(Runnable call, Status.Code code, String words) {
    assertThatThrownBy(call::run)
        .isInstanceOfSatisfying(
            StatusRuntimeException.class,
            e -> {
              assertThat(e.getStatus().getCode()).isEqualTo(code);
              assertThat(e.getStatus().getDescription()).contains(words);
            });
  }
}
