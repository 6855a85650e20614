package dev.sluice.runtime.repository;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.protobuf.TextFormat;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelProfile;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Priorities;
import dev.sluice.runtime.model.QueuePolicy;
import dev.sluice.runtime.model.QueuePolicy.TimeoutAction;
import dev.sluice.runtime.model.Scheduling;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.TensorSpec;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What becomes of a configuration and a model together: what clients are told, and what the queue goes by.
@Timeout(60)
class ModelProfileTest {
  @TempDir private Path root;

  @Test
  void whatAConfigurationLeavesOutIsCompletedFromTheModel() throws Exception {
    ModelProfile profile = load("max_batch_size: 8 metric_tags { key: 'team' value: 'risk' }").profile();
    assertThat(profile.config())
        .isEqualTo(
            config(
                """
                name: "m"
                platform: "onnxruntime_onnx"
                backend: "onnxruntime"
                version_policy { latest { num_versions: 1 } }
                max_batch_size: 8
                input { name: "x" data_type: TYPE_FP32 dims: 3 }
                output { name: "y" data_type: TYPE_FP32 dims: 3 }
                instance_group { name: "m_0" kind: KIND_CPU count: %d }
                default_model_filename: "model.onnx"
                dynamic_batching { }
                metric_tags { key: "team" value: "risk" }
                """
                    .formatted(Runtime.getRuntime().availableProcessors())));
    assertThat(profile.scheduling().batching()).isEqualTo(new Batching(8, List.of(), 0, false));
    assertThat(profile.metricTags()).containsExactly(Map.entry("team", "risk"));
    assertThat(profile.responseCache()).isFalse();
  }

  @Test
  void theQueueGoesByWhatTheConfigurationSays() throws Exception {
    Scheduling scheduling =
        load("""
            max_batch_size: 16
            instance_group [ { kind: KIND_CPU count: 3 }, { kind: KIND_CPU } ]
            dynamic_batching {
              preferred_batch_size: [ 8, 4 ]
              max_queue_delay_microseconds: 100
              priority_levels: 3
              default_priority_level: 2
              default_queue_policy { max_queue_size: 7 }
              priority_queue_policy {
                key: 1
                value { timeout_action: DELAY default_timeout_microseconds: 5 allow_timeout_override: true }
              }
            }
            """)
            .profile()
            .scheduling();
    assertThat(scheduling.instances()).isEqualTo(4);
    assertThat(scheduling.batching()).isEqualTo(new Batching(16, List.of(4, 8), 100_000, false));
    assertThat(scheduling.priorities())
        .isEqualTo(
            new Priorities(
                3,
                2,
                new QueuePolicy(TimeoutAction.REJECT, 0, false, 7),
                Map.of(1, new QueuePolicy(TimeoutAction.DELAY, 5_000, true, QueuePolicy.SIZE_MAX_DEFAULT))));
  }

  @Test
  void aMaxBatchSizeOfZeroStaysZero() throws Exception {
    ModelVersion version = load("max_batch_size: 0");
    assertThat(version.profile().config().hasMaxBatchSize()).isTrue();
    assertThat(version.profile().config().getMaxBatchSize()).isZero();
    assertThat(version.profile().config().getInput(0).getDimsList()).containsExactly(-1L, 3L);
    assertThat(version.profile().config().hasDynamicBatching()).isFalse();
    assertThat(version.profile().scheduling().batching()).isNull();
  }

  /// What is found out bounds the batches, and no request: more rows than that run together as they always did.
  @Test
  void aModelAboutWhichNothingIsSaidIsBatchedWhenItsRowsProveIndependent() throws Exception {
    OnnxModels.linear(2, 1, 3).writeTo(root, "m", 1);
    ModelVersion version = load(ConfigOptions.defaults());
    assertThat(version.profile().config().getMaxBatchSize()).isEqualTo(4);
    assertThat(version.profile().config().hasDynamicBatching()).isTrue();
    assertThat(version.profile().config().getInput(0).getDimsList()).containsExactly(3L);
    assertThat(version.profile().config().getOutput(0).getDimsList()).containsExactly(3L);
    assertThat(version.profile().scheduling().batching()).isEqualTo(new Batching(4, List.of(), 0, false));
    assertThat(version.signature().maxBatchSize()).isZero();
    assertThat(version.signature().inputs())
        .containsExactly(new TensorSpec("x", Datatype.FP32, Shape.of(-1, 3)));
  }

  @Test
  void aModelThatMixesItsRowsIsNotBatched() throws Exception {
    new OnnxGraph()
        .input("x", Datatype.FP32, -1, 3)
        .node("Softmax", List.of("x"), List.of("y"), OnnxGraph.number("axis", 0))
        .output("y", Datatype.FP32, -1, 3)
        .writeTo(root, "m", 1);
    ModelVersion version = load(ConfigOptions.defaults());
    assertThat(version.profile().config().getMaxBatchSize()).isZero();
    assertThat(version.profile().config().getInput(0).getDimsList()).containsExactly(-1L, 3L);
    assertThat(version.profile().scheduling().batching()).isNull();
  }

  @Test
  void theBatchThatIsFoundOutCanBeChosenAndSwitchedOff() throws Exception {
    OnnxModels.linear(2, 1, 3).writeTo(root, "m", 1);
    assertThat(load(new ConfigOptions(true, 32, false, null)).profile().config().getMaxBatchSize()).isEqualTo(32);
    for (int off : new int[] {0, 1}) {
      ModelProfile profile = load(new ConfigOptions(true, off, false, null)).profile();
      assertThat(profile.config().getMaxBatchSize()).isZero();
      assertThat(profile.scheduling().batching()).isNull();
    }
  }

  /// Dimensions that a configuration names without a batch are those of whole tensors.
  @Test
  void aConfigurationThatNamesWholeTensorsHasNoBatch() throws Exception {
    ModelVersion version = load("input { name: 'x' data_type: TYPE_FP32 dims: [ -1, 3 ] }");
    assertThat(version.profile().config().getMaxBatchSize()).isZero();
    assertThat(version.profile().scheduling().batching()).isNull();
  }

  @Test
  void withoutAutoCompleteTheConfigurationHasToBeComplete() throws Exception {
    ConfigOptions off = new ConfigOptions(false, 4, false, null);
    OnnxModels.linear(2, 1, 3).writeTo(root, "m", 1);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> load(off))
        .withMessage(
            "m/config.pbtxt: must specify 'platform' or 'backend', 'input', 'output' for m, because auto-complete is"
                + " switched off (--disable-auto-complete-config)");
    Files.writeString(
        root.resolve("m/config.pbtxt"),
        """
        backend: "onnxruntime"
        input { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] }
        output { name: "y" data_type: TYPE_FP32 dims: [ -1, 3 ] }
        """);
    assertThat(load(off).profile().config().getMaxBatchSize()).isZero();
  }

  /// As in Triton: whoever names all tensors is taken to have said everything.
  @Test
  void batchesAreNotFormedForAConfigurationThatNamesEverythingButThem() throws Exception {
    ModelVersion version =
        load("""
            max_batch_size: 8
            input { name: "x" data_type: TYPE_FP32 dims: 3 }
            output { name: "y" data_type: TYPE_FP32 dims: 3 }
            """);
    assertThat(version.signature().maxBatchSize()).isEqualTo(8);
    assertThat(version.profile().config().hasDynamicBatching()).isFalse();
    assertThat(version.profile().scheduling().batching()).isNull();
  }

  @Test
  void aQueueWithoutBatchesKeepsItsPolicies() throws Exception {
    Scheduling scheduling =
        load("max_batch_size: 0 dynamic_batching { default_queue_policy { max_queue_size: 3 } }").profile().scheduling();
    assertThat(scheduling.batching()).isNull();
    assertThat(scheduling.priorities().defaultPolicy().sizeMax()).isEqualTo(3);
  }

  private ModelVersion load(String config) throws Exception {
    OnnxModels.linear(2, 1, 3).writeTo(root, "m", 1);
    Files.writeString(root.resolve("m/config.pbtxt"), config);
    return load(ConfigOptions.defaults());
  }

  private ModelVersion load(ConfigOptions options) throws Exception {
    return ModelRepository.open(root, new OnnxRuntime(), RepositoryOptions.defaults().withConfiguration(options))
        .load("m", 1);
  }

  private static ModelConfig config(String text) throws TextFormat.ParseException {
    return TextFormat.parse(text, ModelConfig.class);
  }
}
