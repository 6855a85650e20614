package dev.sluice.runtime.repository;

import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What callers see of a model whose configuration says more than the model: its shapes, its labels.
@Timeout(60)
class CallersViewTest {
  private static final List<String> Y = List.of("y");

  @TempDir private Path root;

  // --- dims ---------------------------------------------------------------------------------------------------------

  @Test
  void dimsMayBeNarrowerThanTheModels() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1, -1).writeTo(root, "m", 1);
    Signature signature =
        load("""
            input { name: "x" data_type: TYPE_FP32 dims: [ -1, 16 ] }
            output { name: "y" data_type: TYPE_FP32 dims: [ -1, 16 ] }
            """)
            .signature();
    assertThat(signature.inputs()).containsExactly(new TensorSpec("x", Datatype.FP32, Shape.of(-1, 16)));
    assertThat(signature.outputs()).containsExactly(new TensorSpec("y", Datatype.FP32, Shape.of(-1, 16)));
  }

  /// As in Triton: an output that the configuration does not name is not served.
  @Test
  void onlyTheOutputsThatAreNamedAreServed() throws Exception {
    new OnnxGraph()
        .input("x", Datatype.FP32, -1)
        .node("Identity", List.of("x"), List.of("y"))
        .node("Neg", List.of("x"), List.of("z"))
        .output("y", Datatype.FP32, -1)
        .output("z", Datatype.FP32, -1)
        .writeTo(root, "m", 1);
    assertThat(load("output { name: 'z' data_type: TYPE_FP32 dims: -1 }").signature().outputs())
        .containsExactly(new TensorSpec("z", Datatype.FP32, Shape.of(-1)));
  }

  @Test
  void aScalarIsDeclaredWithoutDims() throws Exception {
    OnnxModels.loop().writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            max_batch_size: 0
            input { name: "trips" data_type: TYPE_INT64 }
            input { name: "x" data_type: TYPE_FP32 dims: 1 }
            """);
    assertThat(version.signature().input("trips")).isEqualTo(new TensorSpec("trips", Datatype.INT64, Shape.of()));
  }

  // --- reshape ------------------------------------------------------------------------------------------------------

  @Test
  void callersSeeDimsAndTheModelSeesReshape() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1, 2, 3).writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            max_batch_size: 8
            input { name: "x" data_type: TYPE_FP32 dims: 6 reshape { shape: [ 2, 3 ] } }
            output { name: "y" data_type: TYPE_FP32 dims: [ 3, 2 ] reshape { shape: [ 2, 3 ] } }
            """);
    assertThat(version.signature().input("x")).isEqualTo(new TensorSpec("x", Datatype.FP32, Shape.of(-1, 6)));
    assertThat(version.signature().output("y")).isEqualTo(new TensorSpec("y", Datatype.FP32, Shape.of(-1, 3, 2)));
    Tensor answer = run(version, floats("x", Shape.of(2, 6), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
    assertThat(answer.shape()).isEqualTo(Shape.of(2, 3, 2));
    assertThat(Tensors.floats(answer)).containsExactly(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
  }

  @Test
  void aColumnIsAVectorToTheModel() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1).writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            max_batch_size: 8
            input { name: "x" data_type: TYPE_FP32 dims: 1 reshape { shape: [ ] } }
            output { name: "y" data_type: TYPE_FP32 dims: 1 reshape { shape: [ ] } }
            """);
    assertThat(run(version, floats("x", Shape.of(3, 1), 1, 2, 3)).shape()).isEqualTo(Shape.of(3, 1));
  }

  @Test
  void aVectorOfOneIsAScalarToTheModel() throws Exception {
    OnnxModels.identity(Datatype.FP32).writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            max_batch_size: 0
            input { name: "x" data_type: TYPE_FP32 dims: 1 reshape { shape: [ ] } }
            output { name: "y" data_type: TYPE_FP32 dims: [ 1, 1 ] reshape { shape: [ ] } }
            """);
    assertThat(run(version, floats("x", Shape.of(1), 7)).shape()).isEqualTo(Shape.of(1, 1));
  }

  @Test
  void freeDimensionsAreMatchedInTheirOrder() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1, 8, -1, -1, 1).writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            max_batch_size: 8
            input { name: "x" data_type: TYPE_FP32 dims: [ 2, 4, -1, -1 ] reshape { shape: [ 8, -1, -1, 1 ] } }
            """);
    Tensor answer = run(version, floats("x", Shape.of(1, 2, 4, 3, 2), new float[48]));
    assertThat(answer.shape()).isEqualTo(Shape.of(1, 8, 3, 2, 1));
  }

  @Test
  void anOutputThatCannotBeReshapedIsTheModelsFault() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1, -1).writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            max_batch_size: 8
            output { name: "y" data_type: TYPE_FP32 dims: [ 3, 2 ] reshape { shape: 6 } }
            """);
    assertThatExceptionOfType(ModelExecutionException.class)
        .isThrownBy(() -> run(version, floats("x", Shape.of(1, 4), 1, 2, 3, 4)))
        .withMessage("'y' has shape [1, 4]; expected [-1, 6], to be reshaped to [-1, 3, 2]")
        .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.FAILED));
  }

  @Test
  void theReshapeMustBeWhatTheModelHas() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1, 2, 3).writeTo(root, "m", 1);
    assertRefused(
        "max_batch_size: 8 input { name: 'x' data_type: TYPE_FP32 dims: 6 reshape { shape: [ 3, 2 ] } }",
        "m/config.pbtxt: input 'x' has reshape [3, 2] after the batch dimension; the model has [-1, 2, 3]");
  }

  // --- what a model leaves open --------------------------------------------------------------------------------------

  @Test
  void aTensorOfAnyRankTakesEveryShape() throws Exception {
    anyRank().writeTo(root, "m", 1);
    ModelVersion version = load("");
    assertThat(version.signature().inputs()).containsExactly(new TensorSpec("x", Datatype.FP32, Shape.ofAnyRank()));
    assertThat(version.signature().outputs()).containsExactly(new TensorSpec("y", Datatype.FP32, Shape.ofAnyRank()));
    assertThat(run(version, floats("x", Shape.of(2, 1), 1, 2)).shape()).isEqualTo(Shape.of(2, 1));
    assertThat(run(version, floats("x", Shape.of(), 1)).shape()).isEqualTo(Shape.of());
  }

  @Test
  void aTensorOfAnyRankTakesTheConfigurationsDims() throws Exception {
    anyRank().writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            max_batch_size: 8
            input { name: "x" data_type: TYPE_FP32 dims: 3 }
            output { name: "y" data_type: TYPE_FP32 dims: 3 }
            dynamic_batching { }
            """);
    assertThat(version.signature().inputs()).containsExactly(new TensorSpec("x", Datatype.FP32, Shape.of(-1, 3)));
    assertThat(version.signature().outputs()).containsExactly(new TensorSpec("y", Datatype.FP32, Shape.of(-1, 3)));
    assertRefused(
        "max_batch_size: 8",
        "m/config.pbtxt: autofill failed for model 'm': model does not support batching while non-zero max_batch_size"
            + " is specified: max_batch_size is 8; input 'x' has shape of any rank, which does not begin with a free"
            + " batch dimension");
  }

  private static OnnxGraph anyRank() {
    return new OnnxGraph()
        .inputOfAnyShape("x", Datatype.FP32)
        .node("Identity", List.of("x"), List.of("y"))
        .outputOfAnyShape("y", Datatype.FP32);
  }

  // --- inputs that may be left out -----------------------------------------------------------------------------------

  @Test
  void anInputWithADefaultMayBeLeftOutWhenTheConfigurationSaysSo() throws Exception {
    withDefault().writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            input { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }
            input { name: "b" data_type: TYPE_FP32 dims: 2 optional: true }
            """);
    assertThat(version.signature().requiredInputs()).isEqualTo(1);
    assertThat(version.signature().input("b")).isEqualTo(new TensorSpec("b", Datatype.FP32, Shape.of(2), true));
    Tensor x = floats("x", Shape.of(1, 2), 1, 2);
    assertThat(Tensors.floats(run(version, x))).containsExactly(101, 202);
    assertThat(Tensors.floats(run(version, x, floats("b", Shape.of(2), 5, 6)))).containsExactly(6, 8);
    assertThat(Tensors.floats(run(version, floats("b", Shape.of(2), 5, 6), x))).containsExactly(6, 8);
    assertThat(Tensors.floats(run(version, x))).containsExactly(101, 202);
  }

  @Test
  void aDefaultIsNoInputUnlessTheConfigurationNamesIt() throws Exception {
    withDefault().writeTo(root, "m", 1);
    ModelVersion version = load("");
    assertThat(version.signature().inputs()).containsExactly(new TensorSpec("x", Datatype.FP32, Shape.of(-1, 2)));
    assertThat(version.profile().config().getInputCount()).isEqualTo(1);
    assertThat(version.profile().config().getMaxBatchSize()).isEqualTo(4);
  }

  @Test
  void anInputWithADefaultCanBeDemanded() throws Exception {
    withDefault().writeTo(root, "m", 1);
    ModelVersion version =
        load("""
            input { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }
            input { name: "b" data_type: TYPE_FP32 dims: 2 }
            """);
    assertThat(version.signature().requiredInputs()).isEqualTo(2);
  }

  @Test
  void anInputWithoutADefaultCannotBeOptional() throws Exception {
    withDefault().writeTo(root, "m", 1);
    assertRefused(
        "input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 2 ] optional: true }",
        "m/config.pbtxt: input 'x' is optional, but the model has no default for it, which is an initialiser of that"
            + " name");
  }

  @Test
  void anInputOfAnOptionalTypeIsRefused() throws Exception {
    new OnnxGraph()
        .optionalInput("x", Datatype.FP32, 2)
        .node("OptionalHasElement", List.of("x"), List.of("y"))
        .output("y", Datatype.BOOL)
        .writeTo(root, "m", 1);
    assertRefused(
        "", "m/1/model.onnx: input 'x' is no plain tensor, and the protocol cannot carry anything else");
  }

  /// A model of nothing but defaults has no inputs, as ever.
  @Test
  void aModelOfDefaultsAloneIsServed() throws Exception {
    new OnnxGraph()
        .input("b", Datatype.FP32, 2)
        .constant(floats("b", Shape.of(2), 100, 200))
        .node("Identity", List.of("b"), List.of("y"))
        .output("y", Datatype.FP32, 2)
        .writeTo(root, "m", 1);
    ModelVersion version = load("");
    assertThat(version.signature().inputs()).isEmpty();
    assertThat(Tensors.floats(run(version))).containsExactly(100, 200);
  }

  /// `y = x + b`, where `b` is [100, 200] unless a run says otherwise.
  private static OnnxGraph withDefault() {
    return new OnnxGraph()
        .input("x", Datatype.FP32, -1, 2)
        .input("b", Datatype.FP32, 2)
        .constant(floats("b", Shape.of(2), 100, 200))
        .node("Add", List.of("x", "b"), List.of("y"))
        .output("y", Datatype.FP32, -1, 2);
  }

  // --- labels -------------------------------------------------------------------------------------------------------

  @Test
  void labelsAreReadALineForEachClass() throws Exception {
    OnnxModels.linear(1, 0, 3).writeTo(root, "m", 1);
    Files.writeString(root.resolve("m/labels.txt"), "cat\r\ndog\n\nZürich\n");
    assertThat(labelled("labels.txt").profile().labels()).containsOnlyKeys("y");
    assertThat(labelled("labels.txt").profile().labels().get("y")).containsExactly("cat", "dog", "", "Zürich");
  }

  @Test
  void labelsThatCannotBeReadAreNamed() throws Exception {
    OnnxModels.linear(1, 0, 3).writeTo(root, "m", 1);
    Files.writeString(root.resolve("secret"), "x");
    Files.write(root.resolve("m/binary"), new byte[] {(byte) 0xff});
    Files.write(root.resolve("m/huge"), new byte[(16 << 20) + 1]);
    String field = "m/config.pbtxt: label_filename of output 'y' names ";
    assertUnlabelled("nowhere.txt", field + "'m/nowhere.txt', which does not exist");
    assertUnlabelled("../secret", field + "'../secret', which leaves the folder m");
    assertUnlabelled("1", field + "'m/1', which is not a regular file");
    assertUnlabelled("binary", field + "'m/binary', which is not UTF-8");
    assertUnlabelled("huge", field + "'m/huge', which has 16777217 bytes; at most 16777216 are read");
  }

  private ModelVersion labelled(String file) throws Exception {
    return load(
        "max_batch_size: 4 output { name: 'y' data_type: TYPE_FP32 dims: 3 label_filename: '%s' }".formatted(file));
  }

  private void assertUnlabelled(String file, String message) {
    assertThatExceptionOfType(ModelLoadException.class).isThrownBy(() -> labelled(file)).withMessage(message);
  }

  // --- the file -----------------------------------------------------------------------------------------------------

  @Test
  void theModelsFileMayHaveAnotherName() throws Exception {
    Path folder = OnnxModels.linear(3, 0, 3).writeTo(root, "m", 1);
    Files.move(folder.resolve("model.onnx"), folder.resolve("net.onnx"));
    ModelVersion version = load("default_model_filename: 'net.onnx'");
    assertThat(version.profile().config().getDefaultModelFilename()).isEqualTo("net.onnx");
    assertThat(Tensors.floats(run(version, floats("x", Shape.of(1, 3), 1, 2, 3)))).containsExactly(3, 6, 9);
    assertRefused("default_model_filename: 'other.onnx'", "m/1/other.onnx does not exist");
    assertRefused(
        "default_model_filename: '../1/net.onnx'",
        "m/config.pbtxt: default_model_filename is '../1/net.onnx'; expected the name of a file in the version's folder");
  }

  private ModelVersion load(String config) throws Exception {
    Files.writeString(root.resolve("m/config.pbtxt"), config);
    return ModelRepository.open(root, new OnnxRuntime()).load("m", 1);
  }

  private void assertRefused(String config, String message) {
    assertThatExceptionOfType(ModelLoadException.class).isThrownBy(() -> load(config)).withMessage(message);
  }

  private static Tensor run(ModelVersion version, Tensor... inputs) throws ModelExecutionException {
    assertThat(version.tryAcquire()).isTrue();
    try {
      return version.run(List.of(inputs), Y, RunControl.none()).getFirst();
    } finally {
      version.release();
    }
  }
}
