package dev.sluice.runtime.repository;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// What a configuration's `model_warmup` does to a version that is being loaded.
@Timeout(60)
class WarmUpTest {
  @TempDir private Path root;

  @Test
  void zerosRandomNumbersAndFilesWarmAModelUp() throws Exception {
    OnnxModels.linear(2, 0, 3).writeTo(root, "m", 1);
    file("row", floats(1, 2, 3));
    assertThat(
            load("""
                max_batch_size: 4
                model_warmup { name: "zeros" batch_size: 1
                  inputs { key: "x" value { data_type: TYPE_FP32 dims: 3 zero_data: true } } }
                model_warmup { name: "random" batch_size: 4 count: 5
                  inputs { key: "x" value { data_type: TYPE_FP32 dims: 3 random_data: true } } }
                model_warmup { name: "file" batch_size: 2
                  inputs { key: "x" value { data_type: TYPE_FP32 dims: 3 input_data_file: "row" } } }
                """)
                .typicalRunNanos())
        .isPositive();
  }

  /// What a file holds does reach the model: this one fails from 1 on.
  @Test
  void aWarmUpThatFailsMakesTheVersionFail() throws Exception {
    OnnxModels.linearThatFailsFromOne(2, 0, 3).writeTo(root, "m", 1);
    String config =
        """
        max_batch_size: 4
        model_warmup { name: "first" batch_size: 2
          inputs { key: "x" value { data_type: TYPE_FP32 dims: 3 input_data_file: "row" } } }
        """;
    file("row", floats(0.5f, 2, 3));
    assertThat(load(config).typicalRunNanos()).isPositive();
    file("row", floats(5, 2, 3));
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> load(config))
        .withMessageStartingWith("model 'm' version 1: failed to run warmup sample 'first': ")
        .withMessageContaining("indices element out of data bounds");
  }

  /// Triton draws random bytes, which are an index of nothing.
  @Test
  void randomIntegersAreSmall() throws Exception {
    new OnnxGraph()
        .constant(Tensors.floats("table", Shape.of(4), 1, 2, 3, 4))
        .input("x", Datatype.INT64, -1, 100)
        .node("Gather", List.of("table", "x"), List.of("y"))
        .output("y", Datatype.FP32, -1, 100)
        .writeTo(root, "m", 1);
    assertThat(
            load("""
                max_batch_size: 4
                model_warmup { batch_size: 1
                  inputs { key: "x" value { data_type: TYPE_INT64 dims: 100 random_data: true } } }
                """)
                .typicalRunNanos())
        .isPositive();
  }

  @Test
  void stringsComeFromFilesWithTheirLengths() throws Exception {
    OnnxModels.identity(Datatype.BYTES, -1, 2).writeTo(root, "m", 1);
    String config =
        """
        max_batch_size: 4
        model_warmup { name: "texts" batch_size: 3
          inputs { key: "x" value { data_type: TYPE_STRING dims: 2 input_data_file: "texts" } } }
        """;
    file("texts", new byte[] {1, 0, 0, 0, 'a', 0, 0, 0, 0});
    assertThat(load(config).typicalRunNanos()).isPositive();
    file("texts", new byte[] {1, 0, 0, 0, 'a'});
    assertRefused(
        config,
        "m/config.pbtxt: model_warmup 'texts': input_data_file of input 'x' names 'm/warmup/texts', which has 1"
            + " elements; expected 2");
    file("texts", new byte[] {1, 0, 0, 0, 'a', 7, 0, 0, 0});
    assertRefused(
        config,
        "m/config.pbtxt: model_warmup 'texts': input_data_file of input 'x' names 'm/warmup/texts', which ends in the"
            + " middle of element 1");
  }

  @Test
  void aModelWithoutInputsIsWarmedUp() throws Exception {
    new OnnxGraph()
        .constant(Tensors.floats("c", Shape.of(2), 1, 2))
        .node("Identity", List.of("c"), List.of("y"))
        .output("y", Datatype.FP32, 2)
        .writeTo(root, "m", 1);
    assertThat(load("model_warmup { name: 'nothing' batch_size: 1 count: 2 }").typicalRunNanos()).isPositive();
    assertThat(load("").typicalRunNanos()).isPositive();
  }

  @Test
  void aSampleOfNoRowsIsLeftOut() throws Exception {
    OnnxModels.linear(2, 0, 3).writeTo(root, "m", 1);
    assertThat(load("max_batch_size: 4 model_warmup { name: 'none' }").typicalRunNanos()).isPositive();
  }

  @Test
  void aModelWithoutABatchTakesWholeTensors() throws Exception {
    OnnxModels.linear(2, 0, 3).writeTo(root, "m", 1);
    assertThat(
            load("""
                max_batch_size: 0
                model_warmup { batch_size: 1
                  inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 7, 3 ] random_data: true } } }
                """)
                .typicalRunNanos())
        .isPositive();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          batch_size: 5 inputs { key: 'x' value { data_type: TYPE_FP32 dims: 3 zero_data: true } } | batch size 5 for 'm', max allowed is 4
          batch_size: 1 | input 'x' of the model is missing
          batch_size: 1 inputs { key: 'x' value { data_type: TYPE_FP32 dims: 3 zero_data: true } } inputs { key: 'z' value { } } | input 'z' is not an input of the model
          batch_size: 1 inputs { key: 'x' value { data_type: TYPE_INT32 dims: 3 zero_data: true } } | input 'x' is TYPE_INT32; the model has FP32
          batch_size: 1 inputs { key: 'x' value { data_type: TYPE_FP32 dims: -1 zero_data: true } } | warmup setting expects all variable-size dimensions are specified for input 'x': dims are [-1]
          batch_size: 1 inputs { key: 'x' value { data_type: TYPE_FP32 dims: [ 1, 3 ] zero_data: true } } | input 'x' has dims [1, 3]; the model expects [-1, 3]
          batch_size: 1 inputs { key: 'x' value { data_type: TYPE_FP32 dims: 3 } } | warmup setting expects input 'x' to have input_data_type set: zero_data, random_data or input_data_file
          batch_size: 1 inputs { key: 'x' value { data_type: TYPE_FP32 dims: 3 input_data_file: 'short' } } | warmup setting expects 12 bytes, but the data provided from short only has 8 bytes
          """)
  void aSampleThatDoesNotFitIsRefused(String sample, String fault) throws Exception {
    OnnxModels.linear(2, 0, 3).writeTo(root, "m", 1);
    file("short", new byte[8]);
    assertRefused(
        "max_batch_size: 4 model_warmup { name: 'w' %s }".formatted(sample),
        "m/config.pbtxt: model_warmup 'w': " + fault);
  }

  @Test
  void aSampleIsReadFromTheWarmUpFolderAlone() throws Exception {
    OnnxModels.linear(2, 0, 3).writeTo(root, "m", 1);
    Files.write(root.resolve("m/outside"), floats(1, 2, 3));
    Files.createDirectories(root.resolve("m/warmup/folder"));
    Files.createSymbolicLink(root.resolve("m/warmup/link"), root.resolve("m/outside"));
    String field = "m/config.pbtxt: model_warmup 'w': input_data_file of input 'x' names ";
    assertRefused(fromFile("nowhere"), field + "'m/warmup/nowhere', which does not exist");
    assertRefused(fromFile("../outside"), field + "'../outside', which leaves the folder m/warmup");
    assertRefused(fromFile("link"), field + "'link', which leaves the folder m/warmup");
    assertRefused(fromFile("folder"), field + "'m/warmup/folder', which is not a regular file");
  }

  @Test
  void aHugeSampleIsRefused() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1, -1).writeTo(root, "m", 1);
    assertRefused(
        """
        max_batch_size: 64
        model_warmup { name: "w" batch_size: 64
          inputs { key: "x" value { data_type: TYPE_FP32 dims: 100000000 zero_data: true } } }
        """,
        "m/config.pbtxt: model_warmup 'w': 64 rows of input 'x' with dims [100000000] are more than 268435456 bytes");
  }

  private static String fromFile(String file) {
    return """
        max_batch_size: 4
        model_warmup { name: "w" batch_size: 1
          inputs { key: "x" value { data_type: TYPE_FP32 dims: 3 input_data_file: "%s" } } }
        """
        .formatted(file);
  }

  private ModelVersion load(String config) throws Exception {
    Files.writeString(root.resolve("m/config.pbtxt"), config);
    return ModelRepository.open(root, new OnnxRuntime()).load("m", 1);
  }

  private void assertRefused(String config, String message) {
    assertThatExceptionOfType(ModelLoadException.class).isThrownBy(() -> load(config)).withMessage(message);
  }

  private void file(String name, byte[] bytes) throws Exception {
    Files.write(Files.createDirectories(root.resolve("m/warmup")).resolve(name), bytes);
  }

  private static byte[] floats(float... values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes.array();
  }
}
