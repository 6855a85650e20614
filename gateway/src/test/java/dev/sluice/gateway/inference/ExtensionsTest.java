package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.output;
import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.gateway.testing.InferMessages.typed;
import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.testing.InferMessages;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.CudaSharedMemoryRegisterRequest;
import dev.sluice.proto.inference.CudaSharedMemoryStatusRequest;
import dev.sluice.proto.inference.CudaSharedMemoryUnregisterRequest;
import dev.sluice.proto.inference.DataType;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferStatistics;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelConfigRequest;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelStatistics;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import dev.sluice.proto.inference.RepositoryIndexRequest;
import dev.sluice.proto.inference.RepositoryIndexResponse.ModelIndex;
import dev.sluice.proto.inference.SystemSharedMemoryRegisterRequest;
import dev.sluice.proto.inference.SystemSharedMemoryStatusRequest;
import dev.sluice.proto.inference.SystemSharedMemoryUnregisterRequest;
import dev.sluice.proto.inference.TraceSettingRequest;
import dev.sluice.proto.inference.TraceSettingResponse;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import io.grpc.Status;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/// What Triton added to the Open Inference Protocol, as far as a client can see it.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ExtensionsTest {

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 0, 2).writeTo(models, "batched", 1);
    Files.writeString(models.resolve("batched/config.pbtxt"), "max_batch_size: 4\n");
    OnnxModels.linear(2, 0, 3).writeTo(models, "counted", 3);
    OnnxGraph.write(models, "broken", 1, "not a model".getBytes(StandardCharsets.US_ASCII));
    new OnnxGraph()
        .input("x", Datatype.FP32, -1)
        .node("Identity", List.of("x"), List.of("y"))
        .node("Cast", List.of("x"), List.of("half"), OnnxGraph.number("to", OnnxGraph.elementType(Datatype.FP16)))
        .output("y", Datatype.FP32, -1)
        .output("half", Datatype.FP16, -1)
        .writeTo(models, "halves", 1);
    OnnxModels.identity(Datatype.BYTES, -1).writeTo(models, "texts", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  // --- classification ------------------------------------------------------------------------------------------------

  @Test
  void anOutputCanBeHadAsItsBestClasses() {
    ModelInferResponse response =
        gateway.inference().modelInfer(classes("batched", floats("x", Shape.of(2, 2), 1, 2, 4, 3), int64(1)));

    assertThat(outputs(response)).singleElement().satisfies(classes -> {
      assertThat(classes.datatype()).isEqualTo(Datatype.BYTES);
      assertThat(classes.shape()).isEqualTo(Shape.of(2, 1));
      assertThat(Tensors.strings(classes)).containsExactly("4.000000:1", "8.000000:0");
    });
  }

  @Test
  void withoutABatchAllElementsAreRankedTogether() {
    ModelInferResponse response =
        gateway.inference().modelInfer(classes("counted", floats("x", Shape.of(1, 3), 1, 3, 2), int64(2)));

    assertThat(outputs(response)).singleElement().satisfies(classes -> {
      assertThat(classes.shape()).isEqualTo(Shape.of(2));
      assertThat(Tensors.strings(classes)).containsExactly("6.000000:1", "4.000000:2");
    });
  }

  @Test
  void whatCannotBeClassesIsRefused() {
    Tensor row = floats("x", Shape.of(1, 2), 1, 2);
    assertThat(refusal(classes("batched", row, InferParameter.newBuilder().setStringParam("1").build())).message())
        .isEqualTo("invalid value type for 'classification' parameter, expected int64_param");
    assertThat(refusal(classes("batched", row, int64(0))).message())
        .startsWith("invalid value for 'classification' parameter, expected > 0");
    Refusal texts = refusal(classes("texts", Tensors.strings("x", Shape.of(1), "a"), int64(1)));
    assertThat(texts.message())
        .isEqualTo("class result not available for output 'y' due to unsupported type 'BYTES'");
    assertThat(texts.fields()).singleElement().asString().startsWith("outputs[0].parameters['classification']: ");
  }

  // --- typed answers -------------------------------------------------------------------------------------------------

  @Test
  void answersAreRawUnlessTypedContentsAreAskedFor() {
    List<Tensor> row = List.of(floats("x", Shape.of(1, 2), 1, 2));
    ModelInferResponse raw = gateway.inference().modelInfer(typed("batched", row).build());
    ModelInferResponse typed =
        gateway.inference().modelInfer(raw("batched", row).putParameters("sluice_typed_output", flag(true)).build());

    assertThat(raw.getRawOutputContentsCount()).isOne();
    assertThat(raw.getOutputs(0).hasContents()).isFalse();
    assertThat(typed.getRawOutputContentsCount()).isZero();
    assertThat(typed.getOutputs(0).getContents().getFp32ContentsList()).containsExactly(2f, 4f);
  }

  @Test
  void anAnswerWithAnOutputThatCannotBeTypedIsRawAsAWhole() {
    ModelInferRequest.Builder request =
        raw("halves", floats("x", Shape.of(1), 1)).putParameters("sluice_typed_output", flag(true));

    assertThat(gateway.inference().modelInfer(request.build()).getRawOutputContentsCount()).isEqualTo(2);
    assertThat(
            gateway.inference().modelInfer(request.addOutputs(output("y")).build()).getOutputs(0).getContents()
                .getFp32ContentsList())
        .containsExactly(1f);
  }

  @Test
  void classesCanBeTyped() {
    ModelInferRequest request =
        classes("batched", floats("x", Shape.of(1, 2), 1, 2), int64(1)).toBuilder()
            .putParameters("sluice_typed_output", flag(true)).build();

    assertThat(gateway.inference().modelInfer(request).getOutputs(0).getContents().getBytesContentsList())
        .containsExactly(ByteString.copyFromUtf8("4.000000:1"));
  }

  // --- parameters ----------------------------------------------------------------------------------------------------

  @Test
  void whatACallerSaysForItselfIsLetThrough() {
    ModelInferRequest.Builder request = raw("batched", floats("x", Shape.of(1, 2), 1, 2));
    request
        .putParameters("mine", InferParameter.newBuilder().setStringParam("anything").build())
        .putParameters("number", InferParameter.newBuilder().setDoubleParam(1.5).build())
        .putParameters("binary_data_output", flag(true))
        .putParameters("sequence_id", int64(7))
        .putParameters("sequence_start", flag(true))
        .putParameters("sequence_end", flag(true))
        .putParameters("priority", InferParameter.newBuilder().setUint64Param(-1).build())
        .putParameters("timeout", int64(Long.MAX_VALUE))
        .putParameters("triton_enable_empty_final_response", flag(true));

    assertThat(gateway.inference().modelInfer(request.build()).getParametersMap()).isEmpty();
  }

  @Test
  void reservedParametersHaveTheirTypes() {
    assertThat(refused("sequence_id", flag(true)))
        .isEqualTo("invalid value type for 'sequence_id' parameter, expected int64_param or string_param.");
    assertThat(refused("sequence_start", int64(1)))
        .isEqualTo("invalid value type for 'sequence_start' parameter, expected bool_param.");
    assertThat(refused("sequence_end", int64(1)))
        .isEqualTo("invalid value type for 'sequence_end' parameter, expected bool_param.");
    assertThat(refused("priority", flag(true)))
        .isEqualTo("invalid value type for 'priority' parameter, expected int64_param or uint64_param.");
    assertThat(refused("priority", int64(-1))).startsWith("invalid value for 'priority', expected value >= 0");
    assertThat(refused("timeout", InferParameter.newBuilder().setUint64Param(1).build()))
        .isEqualTo("invalid value type for 'timeout' parameter, expected int64_param.");
    assertThat(refused("timeout", int64(-1))).contains("'timeout'", "got -1");
    assertThat(refused("triton_anything", flag(true)))
        .startsWith("parameter keys starting with 'triton_' are reserved for Triton usage.")
        .contains("triton_enable_empty_final_response", "'triton_anything'");
    assertThat(refused("triton_enable_empty_final_response", int64(1)))
        .isEqualTo("invalid value type for 'triton_enable_empty_final_response' parameter, expected bool_param.");
    assertThat(refused("mine", InferParameter.newBuilder().setUint64Param(1).build()))
        .isEqualTo("invalid value type for 'mine' parameter, expected int64_param, bool_param, or string_param.");
    assertThat(refused("mine", InferParameter.getDefaultInstance())).contains("'mine'");
    assertThat(refused("sluice_typed_output", int64(1))).contains("'sluice_typed_output'", "bool_param");
  }

  // --- configuration and statistics ----------------------------------------------------------------------------------

  @Test
  void aModelTellsItsConfiguration() {
    ModelConfig config =
        gateway.inference().modelConfig(ModelConfigRequest.newBuilder().setName("batched").build()).getConfig();

    assertThat(config.getName()).isEqualTo("batched");
    assertThat(config.getPlatform()).isEqualTo("onnxruntime_onnx");
    assertThat(config.getBackend()).isEqualTo("onnxruntime");
    assertThat(config.getMaxBatchSize()).isEqualTo(4);
    assertThat(config.getInputList()).singleElement().satisfies(input -> {
      assertThat(input.getName()).isEqualTo("x");
      assertThat(input.getDataType()).isEqualTo(DataType.TYPE_FP32);
      assertThat(input.getDimsList()).as("without the batch").containsExactly(2L);
    });
    assertThat(config.getOutputList()).singleElement()
        .satisfies(output -> assertThat(output.getDimsList()).containsExactly(2L));
  }

  @Test
  void theConfigurationOfAnUnknownModelIsNotFound() {
    assertThat(
            Refusal.of(
                () -> gateway.inference().modelConfig(ModelConfigRequest.newBuilder().setName("nosuch").build())))
        .satisfies(refusal -> {
          assertThat(refusal.code()).isEqualTo(Status.Code.NOT_FOUND);
          assertThat(refusal.message()).isEqualTo("Request for unknown model: 'nosuch' is not found");
        });
  }

  @Test
  void aModelCountsWhatItDoes() {
    ModelStatistics before = statistics("counted", "3").getFirst();
    gateway.inference().modelInfer(raw("counted", floats("x", Shape.of(1, 3), 1, 2, 3)).build());
    gateway.inference().modelInfer(raw("counted", floats("x", Shape.of(1, 3), 1, 2, 3)).build());
    ModelStatistics after = statistics("counted", "").getFirst();

    assertThat(after.getName()).isEqualTo("counted");
    assertThat(after.getVersion()).isEqualTo("3");
    assertThat(after.getInferenceCount() - before.getInferenceCount()).isEqualTo(2);
    assertThat(after.getExecutionCount() - before.getExecutionCount()).isEqualTo(2);
    assertThat(after.getLastInference()).isPositive();
    InferStatistics times = after.getInferenceStats();
    assertThat(times.getSuccess().getCount() - before.getInferenceStats().getSuccess().getCount()).isEqualTo(2);
    assertThat(times.getSuccess().getNs())
        .isGreaterThanOrEqualTo(times.getComputeInfer().getNs() + times.getQueue().getNs());
    assertThat(times.getComputeInfer().getNs()).isPositive();
    assertThat(after.getBatchStatsList()).isNotEmpty();
  }

  @Test
  void statisticsAreOfAllThatIsReadyOrOfWhatIsNamed() {
    assertThat(statistics("", "").stream().map(ModelStatistics::getName))
        .containsExactly("batched", "counted", "halves", "texts");
    assertThat(statisticsRefusal("broken", "")).isEqualTo("requested model 'broken' is not available");
    assertThat(statisticsRefusal("nosuch", "")).isEqualTo("requested model 'nosuch' is not available");
    assertThat(statisticsRefusal("counted", "1"))
        .startsWith("requested model version is not available for model 'counted'");
  }

  // --- the repository ------------------------------------------------------------------------------------------------

  @Test
  void theIndexListsEveryModelWithItsState() {
    List<ModelIndex> all = gateway.inference().repositoryIndex(RepositoryIndexRequest.getDefaultInstance()).getModelsList();
    List<ModelIndex> ready =
        gateway.inference().repositoryIndex(RepositoryIndexRequest.newBuilder().setReady(true).build()).getModelsList();

    assertThat(all.stream().map(ModelIndex::getName)).containsExactly("batched", "broken", "counted", "halves", "texts");
    assertThat(all.get(1).getState()).isEqualTo("UNAVAILABLE");
    assertThat(all.get(1).getReason()).isNotEmpty();
    assertThat(all.get(2).getVersion()).isEqualTo("3");
    assertThat(all.get(2).getState()).isEqualTo("READY");
    assertThat(all.get(2).getReason()).isEmpty();
    assertThat(ready.stream().map(ModelIndex::getName)).containsExactly("batched", "counted", "halves", "texts");
    assertThat(
            Refusal.of(
                () -> gateway.inference().repositoryIndex(
                    RepositoryIndexRequest.newBuilder().setRepositoryName("other").build())))
        .satisfies(refusal -> {
          assertThat(refusal.code()).isEqualTo(Status.Code.UNIMPLEMENTED);
          assertThat(refusal.message()).isEqualTo("'repository_name' specification is not supported");
        });
  }

  // --- shared memory -------------------------------------------------------------------------------------------------

  @Test
  void thereIsNoSharedMemoryAndNoneCanBeMade() {
    var inference = gateway.inference();
    assertThat(inference.systemSharedMemoryStatus(SystemSharedMemoryStatusRequest.getDefaultInstance()).getRegionsMap())
        .isEmpty();
    assertThat(inference.cudaSharedMemoryStatus(CudaSharedMemoryStatusRequest.getDefaultInstance()).getRegionsMap())
        .isEmpty();
    inference.systemSharedMemoryUnregister(SystemSharedMemoryUnregisterRequest.getDefaultInstance());
    inference.cudaSharedMemoryUnregister(CudaSharedMemoryUnregisterRequest.getDefaultInstance());
    for (Runnable register :
        List.<Runnable>of(
            () -> inference.systemSharedMemoryRegister(
                SystemSharedMemoryRegisterRequest.newBuilder().setName("r").setKey("/r").setByteSize(64).build()),
            () -> inference.cudaSharedMemoryRegister(CudaSharedMemoryRegisterRequest.newBuilder().setName("r").build()),
            () -> inference.systemSharedMemoryUnregister(
                SystemSharedMemoryUnregisterRequest.newBuilder().setName("r").build()))) {
      Refusal refusal = Refusal.of(register);
      assertThat(refusal.code()).isEqualTo(Status.Code.UNIMPLEMENTED);
      assertThat(refusal.message()).startsWith("Client shared memory is disabled.");
    }
    Refusal status =
        Refusal.of(
            () -> inference.systemSharedMemoryStatus(SystemSharedMemoryStatusRequest.newBuilder().setName("r").build()));
    assertThat(status.code()).isEqualTo(Status.Code.NOT_FOUND);
    assertThat(status.message()).isEqualTo("Unable to find system shared memory region: 'r'");
  }

  @Test
  void aTensorInSharedMemoryIsNotFound() {
    ModelInferRequest.Builder request = raw("batched", floats("x", Shape.of(1, 2), 1, 2)).clearRawInputContents();
    request.getInputsBuilder(0)
        .putParameters("shared_memory_region", InferParameter.newBuilder().setStringParam("r").build())
        .putParameters("shared_memory_byte_size", int64(8));
    Refusal input = refusal(request.build());

    assertThat(input.code()).isEqualTo(Status.Code.NOT_FOUND);
    assertThat(input.message()).startsWith("Unable to find shared memory region: 'r'");
    request.getInputsBuilder(0).removeParameters("shared_memory_region");
    assertThat(refusal(request.build()).message())
        .isEqualTo("'shared_memory_byte_size' can not be specified without 'shared_memory_region' parameter for tensor 'x'");
  }

  // --- settings ------------------------------------------------------------------------------------------------------

  @Test
  void requestsAreNotTraced() {
    TraceSettingResponse settings =
        gateway.inference().traceSetting(TraceSettingRequest.newBuilder().setModelName("batched").build());

    assertThat(settings.getSettingsOrThrow("trace_level").getValueList()).containsExactly("OFF");
    assertThat(settings.getSettingsMap().keySet())
        .containsExactlyInAnyOrder("trace_level", "trace_rate", "trace_count", "log_frequency", "trace_file", "trace_mode");
    assertThat(gateway.inference().traceSetting(trace("trace_level", "OFF"))).isEqualTo(settings);
    assertThat(gateway.inference().traceSetting(trace("trace_rate"))).as("cleared").isEqualTo(settings);
    assertThat(traceRefusal(trace("trace_level", "TIMESTAMPS")))
        .satisfies(refusal -> {
          assertThat(refusal.code()).isEqualTo(Status.Code.UNIMPLEMENTED);
          assertThat(refusal.message()).contains("'trace_level'", "[TIMESTAMPS]");
        });
    assertThat(traceRefusal(trace("trace_file", "x")).message())
        .isEqualTo("trace file location can not be updated through network protocol");
    assertThat(traceRefusal(trace("colour", "red")))
        .satisfies(refusal -> {
          assertThat(refusal.code()).isEqualTo(Status.Code.INVALID_ARGUMENT);
          assertThat(refusal.message()).contains("unknown trace setting 'colour'");
        });
    assertThat(traceRefusal(TraceSettingRequest.newBuilder().setModelName("nosuch").build()).code())
        .isEqualTo(Status.Code.NOT_FOUND);
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private static ModelInferRequest classes(String model, Tensor input, InferParameter count) {
    return raw(model, input).addOutputs(InferMessages.output("y").toBuilder().putParameters("classification", count))
        .build();
  }

  private Refusal refusal(ModelInferRequest request) {
    return Refusal.of(() -> gateway.inference().modelInfer(request));
  }

  private String refused(String name, InferParameter value) {
    Refusal refusal = refusal(raw("batched", floats("x", Shape.of(1, 2), 1, 2)).putParameters(name, value).build());
    assertThat(refusal.code()).isEqualTo(Status.Code.INVALID_ARGUMENT);
    assertThat(refusal.fields()).singleElement().asString().startsWith("parameters['%s']: ".formatted(name));
    return refusal.message();
  }

  private List<ModelStatistics> statistics(String model, String version) {
    return gateway.inference()
        .modelStatistics(ModelStatisticsRequest.newBuilder().setName(model).setVersion(version).build())
        .getModelStatsList();
  }

  private String statisticsRefusal(String model, String version) {
    Refusal refusal = Refusal.of(() -> statistics(model, version));
    assertThat(refusal.code()).isEqualTo(Status.Code.INVALID_ARGUMENT);
    return refusal.message();
  }

  private Refusal traceRefusal(TraceSettingRequest request) {
    return Refusal.of(() -> gateway.inference().traceSetting(request));
  }

  private static TraceSettingRequest trace(String name, String... values) {
    return TraceSettingRequest.newBuilder()
        .putAllSettings(
            Map.of(name, TraceSettingRequest.SettingValue.newBuilder().addAllValue(List.of(values)).build()))
        .build();
  }

  private static InferParameter flag(boolean value) {
    return InferParameter.newBuilder().setBoolParam(value).build();
  }

  private static InferParameter int64(long value) {
    return InferParameter.newBuilder().setInt64Param(value).build();
  }
}
