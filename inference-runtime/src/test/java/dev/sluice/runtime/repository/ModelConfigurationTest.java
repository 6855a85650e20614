package dev.sluice.runtime.repository;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.DeviceUse;
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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.slf4j.LoggerFactory;

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
    ResolvedModel resolved = Completion.of(configuration, SIGNATURE, DeviceUse.cpu(), () -> null);
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
        .isThrownBy(() -> Completion.of(read("input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 16 ] }"), two, DeviceUse.cpu(), () -> null))
        .withMessage("m/config.pbtxt: input 'x2' of the model is not declared");
  }

  @Test
  void aBatchNeedsAFreeFirstDimensionEverywhere() {
    Signature fixed =
        new Signature(
            SIGNATURE.inputs(), List.of(new TensorSpec("y", Datatype.FP32, Shape.of(1, 3))), List.of(), 4);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> Completion.of(read("max_batch_size: 4"), fixed, DeviceUse.cpu(), () -> null))
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

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          sequence_batching { } | sequence_batching is not supported: each request stands for itself
          ensemble_scheduling { } | ensemble_scheduling is not supported: a model is one ONNX file
          model_transaction_policy { decoupled: true } | model_transaction_policy.decoupled is not supported: an ONNX model gives one answer to each request
          model_operations { op_library_filename: 'x.so' } | model_operations.op_library_filename is not supported: no native code is loaded with a model
          model_repository_agents { agents { name: 'checksum' } } | model_repository_agents is not supported
          batch_input { kind: BATCH_ELEMENT_COUNT } | batch_input is not supported: batches are not ragged
          batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE } | batch_output is not supported: batches are not ragged
          cc_model_filenames { key: '7.5' value: 'a.onnx' } | cc_model_filenames is not supported: every device runs default_model_filename
          runtime: 'libtriton_x.so' | runtime is 'libtriton_x.so', which is not supported: ONNX Runtime comes with Sluice
          input { name: 'x' allow_ragged_batch: true } | model input 'x' says allow_ragged_batch, which is not supported
          input { name: 'x' is_shape_tensor: true } | model input 'x' says is_shape_tensor: shape tensors are only supported for TensorRT platform
          input { name: 'x' is_non_linear_format_io: true } | model input 'x' says is_non_linear_format_io: Non-linear IO format is only supported for the TensorRT platform
          output { name: 'y' is_shape_tensor: true } | model output 'y' says is_shape_tensor: shape tensors are only supported for TensorRT platform
          output { name: 'y' is_non_linear_format_io: true } | model output 'y' says is_non_linear_format_io: Non-linear IO format is only supported for the TensorRT platform
          input { name: 'x' format: FORMAT_NCHW dims: [ 3, 4 ] } | model input 'x' is FORMAT_NCHW: NHWC/NCHW require 3 dims
          input { data_type: TYPE_FP32 } | model input must specify 'name'
          output { name: 'y' } | model output 'y' must specify 'data_type'
          input { name: 'x' data_type: TYPE_FP32 } input { name: 'x' data_type: TYPE_FP32 } | model input 'x' is declared twice
          input { name: 'x' data_type: TYPE_FP32 dims: [ 3, 0 ] } | model input 'x' dimension must be integer >= 1, or -1 to indicate a variable-size dimension: 0 in [3, 0]
          input { name: 'x' data_type: TYPE_FP32 dims: 3 reshape { shape: -7 } } | model input 'x' reshape dimension must be integer >= 1, or -1 to indicate a variable-size dimension: -7 in [-7]
          input { name: 'x' data_type: TYPE_FP32 dims: [ 3, -1 ] reshape { shape: 3 } } | model input 'x' has different number of variable-size dimensions for dims [3, -1] and reshape [3]
          output { name: 'y' data_type: TYPE_FP32 dims: [ 3, -1 ] reshape { shape: [ -1, 3 ] } } | model output 'y' has different size for dims [3, -1] and reshape [-1, 3]
          input { name: 'x' data_type: TYPE_FP32 dims: [ 4294967296, 4294967296 ] reshape { shape: 1 } } | model input 'x' has more elements than can be counted: dims [4294967296, 4294967296], reshape [1]
          default_model_filename: 'a/b' | default_model_filename is 'a/b'; expected the name of a file in the version's folder
          instance_group { count: -1 } | instance group '' has count -1; expected at least 0
          instance_group { kind: KIND_CPU gpus: 0 name: 'g' } | instance group 'g' has kind KIND_CPU but specifies one or more GPUs
          instance_group { profile: '1' } | instance group '' specifies profile field which is only supported for TensorRT models
          instance_group { passive: true } | instance group '' is passive, which is not supported: an instance that runs nothing serves nobody
          instance_group { secondary_devices { } } | instance group '' names secondary_devices, which are not supported
          instance_group { count: 1001 } | instance_group counts 1001 instances; at most 1000 are supported
          max_batch_size: 8 dynamic_batching { preferred_batch_size: 0 } | dynamic batching preferred size must be positive for m: preferred_batch_size is 0
          max_batch_size: 8 dynamic_batching { preferred_batch_size: 9 } | dynamic batching preferred size must be <= max batch size for m: preferred_batch_size is 9, max_batch_size is 8
          dynamic_batching { priority_levels: 3 } | default priority level must be in range [1, 3] for m, is 0
          dynamic_batching { priority_levels: 3 default_priority_level: 4 } | default priority level must be in range [1, 3] for m, is 4
          dynamic_batching { priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 3 value { } } } | priority queue policy must have priority level, which must be in range [1, 2] for m, is 3
          dynamic_batching { priority_levels: 18446744073709551615 } | priority_levels is 18446744073709551615; at most 1000 are supported
          dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 } | Only one priority level is allowed when 'preserve_ordering' is true for m: priority_levels is 2
          dynamic_batching { preserve_ordering: true default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 1 } } | Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for m
          """)
  void whatCannotBeServedIsRefusedByItsName(String config, String fault) {
    assertRefused(config, "m/config.pbtxt: " + fault);
  }

  @Test
  void orderNeedsBatchesOrOneInstance() {
    assertMismatch(
        "max_batch_size: 0 instance_group { count: 2 } dynamic_batching { preserve_ordering: true }",
        "m/config.pbtxt: dynamic_batching.preserve_ordering with 2 instances needs a max_batch_size above 0; it is 0");
  }

  @Test
  void preferredSizesAreHeldAgainstTheBatchThatIsFoundOut() {
    assertMismatch(
        "dynamic_batching { preferred_batch_size: 8 }",
        "m/config.pbtxt: dynamic batching preferred size must be <= max batch size for m: preferred_batch_size is 8,"
            + " max_batch_size is 4");
  }

  /// Triton refuses it too; which of the two was meant nobody knows.
  @Test
  void aFieldThatIsSaidTwiceIsRefused() {
    assertRefused(
        "max_batch_size: 1\nmax_batch_size: 2",
        "m/config.pbtxt, line 2, column 15: Non-repeated field \"inference.ModelConfig.max_batch_size\" cannot be"
            + " overwritten.");
  }

  @Test
  void whatOnlyTunesTritonIsLeftAsideByItsName() throws Exception {
    assertThat(
            logged(
                () ->
                    read(
                        """
                        model_metrics { }
                        instance_group { rate_limiter { priority: 1 } host_policy: "numa" }
                        dynamic_batching { default_priority_level: 1 priority_queue_policy { key: 1 value { } } }
                        """)))
        .containsExactly(
            "m/config.pbtxt: ignored model_metrics, instance_group.rate_limiter, instance_group.host_policy,"
                + " dynamic_batching.default_priority_level (priority_levels is 0),"
                + " dynamic_batching.priority_queue_policy (priority_levels is 0)");
  }

  @Test
  void unknownFieldsAreIgnoredWhenThatIsAskedFor() throws Exception {
    ConfigOptions ignoring = new ConfigOptions(true, 4, true, null);
    Files.writeString(folder.resolve("config.pbtxt"), "max_batch_size: 3\nmax_bach_size: 4");
    assertThat(
            logged(
                () -> {
                  ModelConfiguration configuration = ModelConfiguration.read(folder, "m", ignoring);
                  assertThat(configuration.config().getMaxBatchSize()).isEqualTo(3);
                }))
        .containsExactly(
            "m/config.pbtxt: ignored line 2, column 1: 'ModelConfig.max_bach_size' is not a field of Triton's model"
                + " configuration");
    assertThat(
            logged(
                () -> {
                  ModelConfiguration configuration =
                      ModelConfiguration.ofJson(folder, "m", "{\"max_batch_size\": 3, \"max_bach_size\": 4}", ignoring);
                  assertThat(configuration.config().getMaxBatchSize()).isEqualTo(3);
                }))
        .hasSize(1);
  }

  // --- JSON ---------------------------------------------------------------------------------------------------------

  @Test
  void jsonSaysTheSameInEitherSpelling() throws Exception {
    String json =
        """
        {
          "name": "m", "maxBatchSize": 8, "version_policy": { "all": {} },
          "input": [ { "name": "x", "data_type": "TYPE_FP32", "dims": [ "16" ] } ],
          "dynamic_batching": { "max_queue_delay_microseconds": 100 }
        }
        """;
    ModelConfiguration configuration = ModelConfiguration.ofJson(folder, "m", json, ConfigOptions.defaults());
    assertThat(configuration.wanted(new long[] {1, 2})).containsExactly(1, 2);
    ResolvedModel resolved = Completion.of(configuration, SIGNATURE, DeviceUse.cpu(), () -> null);
    assertThat(resolved.signature().maxBatchSize()).isEqualTo(8);
    assertThat(resolved.scheduling().batching()).isEqualTo(new Batching(8, List.of(), 100_000, false));
  }

  @Test
  void jsonIsCheckedAsTheFileIs() {
    assertJsonRefused(
        "{\"name\": \"n\"}", "the config given for model 'm': name is 'n'; expected the folder's, 'm'");
    assertJsonRefused(
        "{\"max_bach_size\": 4}",
        "the config given for model 'm': Cannot find field: max_bach_size in ModelConfig");
    assertJsonRefused(
        "{\"sequence_batching\": {}}",
        "the config given for model 'm': sequence_batching is not supported: each request stands for itself");
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.ofJson(folder, "m", "{\"name\": ", ConfigOptions.defaults()))
        .withMessageStartingWith("the config given for model 'm': End of input at line 1 column");
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.ofJson(folder, "m", "[]", ConfigOptions.defaults()))
        .withMessageStartingWith("the config given for model 'm': Expect message object but got: []");
    assertJsonRefused(
        " ".repeat((1 << 20) + 1), "the config given for model 'm' has more than 1048576 characters");
  }

  // --- the file -----------------------------------------------------------------------------------------------------

  @Test
  void anotherFileCanBeChosenForTheModelsThatHaveIt() throws Exception {
    ConfigOptions edge = new ConfigOptions(true, 4, false, "edge");
    Files.writeString(folder.resolve("config.pbtxt"), "max_batch_size: 1");
    assertThat(ModelConfiguration.read(folder, "m", edge).config().getMaxBatchSize()).isEqualTo(1);
    Files.createDirectories(folder.resolve("configs"));
    Files.writeString(folder.resolve("configs/edge.pbtxt"), "max_batch_size: 2");
    assertThat(ModelConfiguration.read(folder, "m", edge).config().getMaxBatchSize()).isEqualTo(2);
    Files.writeString(folder.resolve("configs/edge.pbtxt"), "max_batch_size: -2");
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.read(folder, "m", edge))
        .withMessage("m/configs/edge.pbtxt: max_batch_size is -2; expected at least 0");
  }

  @Test
  void aFolderOfThatNameIsNoConfiguration() throws Exception {
    Files.createDirectory(folder.resolve("config.pbtxt"));
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.read(folder, "m", ConfigOptions.defaults()))
        .withMessage("m/config.pbtxt is not a regular file");
  }

  @Test
  void aFileElsewhereIsNotRead(@TempDir Path elsewhere) throws Exception {
    Files.writeString(elsewhere.resolve("config.pbtxt"), "");
    Files.createSymbolicLink(folder.resolve("config.pbtxt"), elsewhere.resolve("config.pbtxt"));
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.read(folder, "m", ConfigOptions.defaults()))
        .withMessage("m/config.pbtxt is a link that leaves the model's folder");
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
        .isThrownBy(() -> Completion.of(read(text), SIGNATURE, DeviceUse.cpu(), () -> null))
        .withMessage(message);
  }

  private interface Action {
    void run() throws Exception;
  }

  private static List<String> logged(Action action) throws Exception {
    Logger logger = (Logger) LoggerFactory.getLogger("dev.sluice.runtime.repository");
    ListAppender<ILoggingEvent> events = new ListAppender<>();
    events.start();
    logger.addAppender(events);
    try {
      action.run();
    } finally {
      logger.detachAppender(events);
    }
    return events.list.stream().map(ILoggingEvent::getFormattedMessage).toList();
  }

  private void assertJsonRefused(String json, String message) {
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> ModelConfiguration.ofJson(folder, "m", json, ConfigOptions.defaults()))
        .withMessage(message);
  }

  private void assertRefused(String text, String message) {
    assertThatExceptionOfType(ModelLoadException.class).isThrownBy(() -> read(text)).withMessage(message);
  }
}
