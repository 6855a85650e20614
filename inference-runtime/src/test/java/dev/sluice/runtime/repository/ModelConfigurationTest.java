package dev.sluice.runtime.repository;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.TensorSpec;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelConfigurationTest {
  private static final Signature SIGNATURE =
      new Signature(
          List.of(new TensorSpec("x", Datatype.FP32, Shape.of(-1, 16))),
          List.of(
              new TensorSpec("y", Datatype.BYTES, Shape.of(-1, -1)),
              new TensorSpec("z", Datatype.BF16, Shape.of(-1, 2))),
          List.of(),
          0);

  @TempDir private Path folder;

  @Test
  void withoutAFileEverythingHasItsDefault() throws Exception {
    ModelConfiguration configuration = ModelConfiguration.read(folder, "m", ConfigOptions.defaults());
    assertThat(configuration.wanted(new long[] {1, 5})).containsExactly(5);
    assertThat(configuration.wanted(new long[0])).isEmpty();
    assertThat(configuration.settings()).isEqualTo(ModelSettings.defaults());
  }

  @Test
  void theBatchDimensionIsLeftOutOfDims() throws Exception {
    ModelConfiguration configuration =
        read(
            """
            name: "m"  # a comment
            platform: "onnxruntime_onnx"
            backend: "onnxruntime"
            max_batch_size: 8
            input [ { name: "x", data_type: TYPE_FP32, dims: [ 16 ] } ]
            output [
              { name: "y", data_type: TYPE_STRING, dims: [ 7 ] },
              { name: "z", data_type: TYPE_BF16, dims: [ 2 ] }
            ]
            """);
    ResolvedModel resolved = Completion.of(configuration, SIGNATURE, () -> null);
    assertThat(resolved.signature().maxBatchSize()).isEqualTo(8);
    assertThat(resolved.signature().input("x")).isEqualTo(SIGNATURE.input("x"));
    assertThat(resolved.signature().output("y")).isEqualTo(new TensorSpec("y", Datatype.BYTES, Shape.of(-1, 7)));
    assertMismatch(
        "max_batch_size: 8 input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 16 ] }",
        "m/config.pbtxt: input 'x' has dims [-1, 16] after the batch dimension; the model has [-1, 16]");
  }

  @Test
  void whatIsDeclaredMustBeWhatTheModelHas() throws Exception {
    assertMismatch("output { name: 'w' data_type: TYPE_FP16 dims: 1 }", "m/config.pbtxt: output 'w' is not a tensor of the model");
    assertMismatch(
        "output { name: 'z' data_type: TYPE_FP16 dims: [ -1, 2 ] }",
        "m/config.pbtxt: output 'z' is TYPE_FP16; the model has BF16");
    assertMismatch(
        "input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 17 ] }",
        "m/config.pbtxt: input 'x' has dims [-1, 17]; the model has [-1, 16]");
    Signature two =
        new Signature(
            List.of(SIGNATURE.inputs().getFirst(), new TensorSpec("x2", Datatype.FP32, Shape.of(-1))),
            SIGNATURE.outputs(),
            List.of(),
            0);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> Completion.of(read("input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 16 ] }"), two, () -> null))
        .withMessage("m/config.pbtxt: input 'x2' of the model is not declared");
  }

  @Test
  void aBatchNeedsAFreeFirstDimensionEverywhere() {
    Signature fixed =
        new Signature(
            SIGNATURE.inputs(), List.of(new TensorSpec("y", Datatype.FP32, Shape.of(1, 3))), List.of(), 4);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> Completion.of(read("max_batch_size: 4"), fixed, () -> null))
        .withMessage(
            "m/config.pbtxt: autofill failed for model 'm': model does not support batching while non-zero"
                + " max_batch_size is specified: max_batch_size is 4; output 'y' has shape [1, 3], which does not begin with a free batch"
                + " dimension");
  }

  @Test
  void otherServersAndOtherNamesAreRefused() {
    assertRefused("name: 'n'", "m/config.pbtxt: name is 'n'; expected the folder's, 'm'");
    assertRefused(
        "platform: 'tensorrt_plan'", "m/config.pbtxt: platform is 'tensorrt_plan'; expected 'onnxruntime_onnx'");
    assertRefused("backend: 'python'", "m/config.pbtxt: backend is 'python'; expected 'onnxruntime'");
    assertRefused("max_batch_size: -1", "m/config.pbtxt: max_batch_size is -1; expected at least 0");
  }

  @Test
  void aSyntaxErrorIsShownWithItsPlace() {
    assertRefused("name: 'm'\ninput [ { name 'x' } ]\n", "m/config.pbtxt, line 2, column 16: Expected \":\".");
    assertRefused(
        "input { data_type: TYPE_FLOAT }",
        "m/config.pbtxt, line 1, column 20: "
            + "Enum type \"inference.DataType\" has no value named \"TYPE_FLOAT\".");
  }

  @Test
  void aFieldThatTritonDoesNotHaveIsRefusedWithItsPlace() {
    assertRefused(
        """
        max_batch_size: 3
        instance_group [ { kind: KIND_CPU, cuont: 2 } ]
          dynamic_batchin { }
        """,
        "m/config.pbtxt, line 2, column 36: 'ModelInstanceGroup.cuont' is not a field of Triton's model configuration;"
            + " line 3, column 3: 'ModelConfig.dynamic_batchin' is not a field of Triton's model configuration");
  }

  @Test
  void aFileThatIsNoTextIsRefused() throws IOException {
    Files.write(folder.resolve("config.pbtxt"), new byte[] {(byte) 0xff, (byte) 0xfe});
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.read(folder, "m", ConfigOptions.defaults()))
        .withMessage("m/config.pbtxt is not UTF-8");
    Files.write(folder.resolve("config.pbtxt"), " ".repeat((1 << 20) + 1).getBytes(StandardCharsets.UTF_8));
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.read(folder, "m", ConfigOptions.defaults()))
        .withMessage("m/config.pbtxt has more than 1048576 bytes");
  }

  private ModelConfiguration read(String text) throws IOException, ModelLoadException {
    Files.writeString(folder.resolve("config.pbtxt"), text);
    return ModelConfiguration.read(folder, "m", ConfigOptions.defaults());
  }

  private void assertMismatch(String text, String message) {
    assertThatCode(() -> read(text)).doesNotThrowAnyException();
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> Completion.of(read(text), SIGNATURE, () -> null))
        .withMessage(message);
  }

  private void assertRefused(String text, String message) {
    assertThatExceptionOfType(ModelLoadException.class).isThrownBy(() -> read(text)).withMessage(message);
  }
}
