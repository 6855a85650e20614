package dev.sluice.runtime.repository;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import com.google.protobuf.TextFormat;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ExecutionSettings.GraphLevel;
import dev.sluice.runtime.model.ModelLoadException;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.slf4j.LoggerFactory;

class ExecutionConfigurationTest {
  @Test
  void whatIsNotSaidIsTheServersChoice() throws Exception {
    assertThat(settings("")).isEqualTo(ExecutionSettings.defaults());
    assertThat(settings("instance_group { count: 3 }")).isEqualTo(ExecutionSettings.defaults());
  }

  @Test
  void theParametersOfTritonsBackendAreRead() throws Exception {
    ExecutionSettings settings =
        settings(
            parameters(
                    "intra_op_thread_count", "4",
                    "inter_op_thread_count", "0",
                    "execution_mode", "1",
                    "enable_mem_arena", "True",
                    "enable_mem_pattern", "0",
                    "memory.enable_memory_arena_shrinkage", "cpu:0;gpu:1",
                    "session.use_device_allocator_for_initializers", "1")
                + "optimization { graph { level: 1 } }");
    assertThat(settings.threads())
        .isEqualTo(new ExecutionSettings.Threads(OptionalInt.of(4), OptionalInt.of(0), true));
    assertThat(settings.graphLevel()).isEqualTo(GraphLevel.EXTENDED);
    assertThat(settings.memory().arena()).isTrue();
    assertThat(settings.memory().pattern()).isFalse();
    assertThat(settings.memory().shrunkAfterRun()).containsExactlyInAnyOrder("cpu:0", "gpu:1");
    assertThat(settings.sessionEntries()).isEqualTo(Map.of("session.use_device_allocator_for_initializers", "1"));
  }

  @ParameterizedTest
  @CsvSource({"-1, BASIC", "0, ALL", "1, EXTENDED", "2, NONE", "7, ALL"})
  void theGraphsLevelIsNumberedAsInTriton(int number, GraphLevel level) throws Exception {
    assertThat(settings("optimization { graph { level: %d } }".formatted(number)).graphLevel()).isEqualTo(level);
  }

  @ParameterizedTest
  @CsvSource({"KIND_AUTO,", "KIND_MODEL,", "KIND_CPU, CPU", "KIND_GPU, GPU"})
  void theKindOfTheInstancesChoosesTheDevice(String kind, Device device) throws Exception {
    assertThat(settings("instance_group { kind: %s }".formatted(kind)).placement().device()).isEqualTo(device);
  }

  @Test
  void gpusTakeTurnsAcrossInstanceGroups() throws Exception {
    ExecutionSettings settings =
        settings("instance_group [ { kind: KIND_GPU, gpus: [ 1, 0 ] }, { kind: KIND_GPU, gpus: [ 1, 2 ] } ]");
    assertThat(settings.placement().gpus()).containsExactly(1, 0, 2);
    assertThat(settings("instance_group { gpus: [ 3 ] }").placement().device()).isEqualTo(Device.GPU);
  }

  @Test
  void theDeviceParameterSaysMoreThanTheKind() throws Exception {
    ExecutionSettings settings =
        settings("instance_group { kind: KIND_GPU, gpus: [ 1 ] }" + parameters("device", "auto"));
    assertThat(settings.placement().device()).isEqualTo(Device.AUTO);
    assertThat(settings.placement().gpus()).containsExactly(1);
  }

  @Test
  void theCudaProvidersOptionsAreWrittenInItsOwnWords() throws Exception {
    ExecutionSettings settings =
        settings(
            parameters(
                    "cudnn_conv_algo_search", "1",
                    "arena_extend_strategy", "kSameAsRequested",
                    "gpu_mem_limit", "18446744073709551615",
                    "use_tf32", "false",
                    "gpu.strict", "1")
                + """
                optimization { execution_accelerators { gpu_execution_accelerator {
                  name: "cuda"
                  parameters { key: "use_ep_level_unified_stream" value: "True" }
                  parameters { key: "arena_extend_strategy" value: "0" }
                } } }
                """);
    assertThat(settings.placement().strict()).isTrue();
    assertThat(settings.placement().cudaOptions())
        .isEqualTo(
            Map.of(
                "cudnn_conv_algo_search", "HEURISTIC",
                "arena_extend_strategy", "kNextPowerOfTwo",
                "gpu_mem_limit", "18446744073709551615",
                "use_tf32", "0",
                "use_ep_level_unified_stream", "1"));
  }

  @Test
  void aValueThatCannotBeMeantIsRefused() {
    assertRefused(
        parameters("intra_op_thread_count", "many"),
        "parameter 'intra_op_thread_count' is 'many'; expected an integer from 0 to 1024");
    assertRefused(
        parameters("execution_mode", "2"), "parameter 'execution_mode' is '2'; expected an integer from 0 to 1");
    assertRefused(parameters("enable_mem_arena", "yes!"), "parameter 'enable_mem_arena' is 'yes!'; expected '0' or '1'");
    assertRefused(
        parameters("memory.enable_memory_arena_shrinkage", "tpu:0"), "'tpu:0' is no device; expected 'cpu:0' or one like 'gpu:1'");
    assertRefused(
        parameters("memory.enable_memory_arena_shrinkage", "cpu:0", "enable_mem_arena", "0"),
        "an arena that is switched off cannot be shrunk");
    assertRefused(parameters("device", "tpu"), "parameter 'device' is 'tpu'; expected 'cpu', 'gpu' or 'auto'");
    assertRefused(
        parameters("gpu_mem_limit", "0"), "parameter 'gpu_mem_limit' is '0'; expected a number of bytes, at least 1");
    assertRefused(
        parameters("cudnn_conv_algo_search", "3"),
        "parameter 'cudnn_conv_algo_search' is '3'; expected one of [EXHAUSTIVE, HEURISTIC, DEFAULT], or its place from 0");
    assertRefused("instance_group { kind: KIND_GPU, gpus: [ 64 ] }", "gpu is 64; expected 0 to 63");
    assertRefused(
        "instance_group { kind: KIND_CPU, gpus: [ 0 ] }",
        "instance_group names gpus [0] for a model that is to run on the CPU");
    assertRefused(
        "instance_group [ { kind: KIND_CPU }, { kind: KIND_GPU } ]",
        "the instance groups are of the kinds [KIND_CPU, KIND_GPU]; all groups of a model run on one kind");
  }

  @Test
  void nothingThatOpensFilesOrLibrariesIsPassedOn() {
    for (String key :
        List.of(
            "session.model_external_initializers_file_folder_path",
            "session.optimized_model_external_initializers_file_name",
            "session.save_model_format",
            "session.load_model_format",
            "session.collect_node_memory_stats_to_file",
            "ep.context_file_path",
            "session.anything_new")) {
      assertThatExceptionOfType(ModelLoadException.class)
          .isThrownBy(() -> settings(parameters(key, "1")))
          .withMessageStartingWith(
              "m/config.pbtxt: parameter '%s' is not one of the settings of ONNX Runtime that a model may choose, which are "
                  .formatted(key));
    }
    assertRefused(
        "model_operations { op_library_filename: '/tmp/evil.so' }",
        "model_operations names the library '/tmp/evil.so'; custom operator libraries are never loaded");
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> settings(cuda("user_compute_stream", "1")))
        .withMessageStartingWith("m/config.pbtxt: gpu_execution_accelerator 'cuda': parameter 'user_compute_stream' is not one");
  }

  @Test
  void anAcceleratorThatSluiceDoesNotHaveIsRefusedWhereItIsAskedFor() {
    String tensorrt = "optimization { execution_accelerators { gpu_execution_accelerator { name: 'tensorrt' } } }";
    assertRefused(
        "instance_group { kind: KIND_GPU }" + tensorrt,
        "gpu_execution_accelerator 'tensorrt' is not supported; expected 'cuda'");
    assertThat(warnings(tensorrt))
        .containsExactly("m/config.pbtxt: gpu_execution_accelerator 'tensorrt' is not supported and left aside");
    assertRefused(
        "optimization { execution_accelerators { cpu_execution_accelerator { name: 'openvino' } } }",
        "cpu_execution_accelerator 'openvino' is not supported; expected none");
  }

  @Test
  void parametersWithoutAMeaningAreNamedOnce() {
    assertThat(warnings(parameters("zebra", "1", "intra_op_thread_count", "1", "apple", "2") + "optimization { cuda {} }"))
        .containsExactly("m/config.pbtxt: ignored parameters['apple'], parameters['zebra'], optimization.cuda");
    assertThat(warnings(parameters("use_tf32", "1"))).isEmpty();
  }

  private static ExecutionSettings settings(String text) throws Exception {
    return ExecutionConfiguration.of(TextFormat.parse(text, ModelConfig.class), "m/config.pbtxt");
  }

  private static String cuda(String key, String value) {
    return """
        optimization { execution_accelerators { gpu_execution_accelerator {
          name: 'cuda' parameters { key: '%s' value: '%s' }
        } } }
        """
        .formatted(key, value);
  }

  private static String parameters(String... keysAndValues) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < keysAndValues.length; i += 2) {
      text.append("parameters { key: '%s' value { string_value: '%s' } }\n"
          .formatted(keysAndValues[i], keysAndValues[i + 1]));
    }
    return text.toString();
  }

  private static List<String> warnings(String text) {
    Logger logger = (Logger) LoggerFactory.getLogger(ExecutionConfiguration.class);
    ListAppender<ILoggingEvent> events = new ListAppender<>();
    events.start();
    logger.addAppender(events);
    try {
      settings(text);
    } catch (Exception e) {
      throw new AssertionError(e);
    } finally {
      logger.detachAppender(events);
    }
    return Stream.of(events.list.toArray(ILoggingEvent[]::new)).map(ILoggingEvent::getFormattedMessage).toList();
  }

  private static void assertRefused(String text, String fault) {
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> settings(text))
        .withMessage("m/config.pbtxt: " + fault);
  }
}
