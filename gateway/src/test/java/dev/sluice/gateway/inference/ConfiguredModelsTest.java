package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelConfigRequest;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What a model's configuration changes for its callers.
class ConfiguredModelsTest {

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 0, 2).writeTo(models, "plain", 1);
    OnnxModels.linear(2, 0, 2).writeTo(models, "limited", 1);
    Files.writeString(models.resolve("limited/config.pbtxt"), "max_batch_size: 4");
    OnnxModels.identity(Datatype.FP32, -1, -1).writeTo(models, "narrowed", 1);
    Files.writeString(
        models.resolve("narrowed/config.pbtxt"), "input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 3 ] }");
    OnnxModels.identity(Datatype.FP32, -1, 2, 2).writeTo(models, "reshaped", 1);
    Files.writeString(
        models.resolve("reshaped/config.pbtxt"),
        """
        max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 2, 2 ] } }
        output { name: "y" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 2, 2 ] } }
        dynamic_batching { }
        """);
    new OnnxGraph()
        .input("x", Datatype.FP32, -1, 2)
        .input("b", Datatype.FP32, 2)
        .constant(floats("b", Shape.of(2), 100, 200))
        .node("Add", List.of("x", "b"), List.of("y"))
        .output("y", Datatype.FP32, -1, 2)
        .writeTo(models, "defaulted", 1);
    Files.writeString(
        models.resolve("defaulted/config.pbtxt"),
        """
        input { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }
        input { name: "b" data_type: TYPE_FP32 dims: 2 optional: true }
        """);
    new OnnxGraph()
        .inputOfAnyShape("x", Datatype.FP32)
        .node("Identity", List.of("x"), List.of("y"))
        .outputOfAnyShape("y", Datatype.FP32)
        .writeTo(models, "open", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  /// Triton refuses the fifth row of both; here only what was said is a limit.
  @Test
  void aBatchThatNobodySpokeOfIsNoLimit() {
    Tensor five = floats("x", Shape.of(5, 2), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    assertThat(config("plain").getMaxBatchSize()).isEqualTo(4);
    assertThat(infer("plain", five)).isEqualTo(floats("y", Shape.of(5, 2), 2, 4, 6, 8, 10, 12, 14, 16, 18, 20));
    assertThat(config("limited").getMaxBatchSize()).isEqualTo(4);
    assertRefused("limited", "inference request batch-size must be <= 4 for 'limited'", five);
  }

  @Test
  void dimsThatAreNarrowedHoldForCallers() {
    assertThat(infer("narrowed", floats("x", Shape.of(1, 3), 1, 2, 3)).shape()).isEqualTo(Shape.of(1, 3));
    assertRefused(
        "narrowed",
        "unexpected shape for input 'x' for model 'narrowed'. Expected [-1,3], got [1,2]",
        floats("x", Shape.of(1, 2), 1, 2));
    TensorMetadata x =
        gateway.inference().modelMetadata(ModelMetadataRequest.newBuilder().setName("narrowed").build()).getInputs(0);
    assertThat(x.getShapeList()).containsExactly(-1L, 3L);
  }

  @Test
  void callersSendAndGetTheShapesOfTheConfiguration() {
    assertThat(infer("reshaped", floats("x", Shape.of(2, 4), 1, 2, 3, 4, 5, 6, 7, 8)))
        .isEqualTo(floats("y", Shape.of(2, 4), 1, 2, 3, 4, 5, 6, 7, 8));
    assertRefused(
        "reshaped",
        "unexpected shape for input 'x' for model 'reshaped'. Expected [-1,4], got [1,2,2]",
        floats("x", Shape.of(1, 2, 2), 1, 2, 3, 4));
  }

  @Test
  void anOptionalInputMayBeLeftOut() {
    Tensor x = floats("x", Shape.of(1, 2), 1, 2);
    Tensor b = floats("b", Shape.of(2), 5, 6);
    assertThat(infer("defaulted", x)).isEqualTo(floats("y", Shape.of(1, 2), 101, 202));
    assertThat(infer("defaulted", b, x)).isEqualTo(floats("y", Shape.of(1, 2), 6, 8));
    assertRefused(
        "defaulted",
        "expected number of inputs between 1 and 2 but got 0 inputs for model 'defaulted'. Got input(s) [], but missing"
            + " required input(s) ['x']");
    assertRefused("defaulted", "but missing required input(s) ['x']", b);
    assertThat(config("defaulted").getInput(1).getOptional()).isTrue();
  }

  @Test
  void aTensorOfAnyRankTakesEveryShape() {
    assertThat(infer("open", floats("x", Shape.of(), 1)).shape()).isEqualTo(Shape.of());
    assertThat(infer("open", floats("x", Shape.of(1, 2, 1), 1, 2)).shape()).isEqualTo(Shape.of(1, 2, 1));
  }

  private ModelConfig config(String model) {
    return gateway.inference().modelConfig(ModelConfigRequest.newBuilder().setName(model).build()).getConfig();
  }

  private Tensor infer(String model, Tensor... inputs) {
    return outputs(gateway.inference().modelInfer(raw(model, inputs).build())).getFirst();
  }

  private void assertRefused(String model, String words, Tensor... inputs) {
    Refusal refusal = Refusal.of(() -> gateway.inference().modelInfer(raw(model, inputs).build()));
    assertThat(refusal.code()).isEqualTo(Status.Code.INVALID_ARGUMENT);
    assertThat(refusal.message()).contains(words);
  }
}
