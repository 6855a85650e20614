package dev.sluice.gateway.inference;

import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import dev.sluice.gateway.testing.InferMessages;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferStatistics;
import dev.sluice.proto.inference.ModelConfigRequest;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelStatistics;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import dev.sluice.proto.inference.ModelStreamInferResponse;
import dev.sluice.proto.inference.ServerMetadataRequest;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.stub.StreamObserver;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What Triton's `perf_analyzer -i grpc` asks of a server, call by call, and what it makes of the answers.
///
/// The tool reads what it needs from the answers' JSON, with every plain field printed and messages only where they are
/// set; it ends with an error where a field is missing or has another type.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(60)
class PerfAnalyzerConversationTest {

  private static final JsonMapper JSON = JsonMapper.shared();
  private static final JsonFormat.Printer PRINTER =
      JsonFormat.printer().preservingProtoFieldNames().alwaysPrintFieldsWithNoPresence();
  private static final int CONCURRENCY = 4;
  private static final int REQUESTS = 50;
  private static final int COLUMNS = 16;

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  /// What the tool knows of a model once it has parsed its answers.
  private record Parsed(int batchMax, boolean dynamicBatching, boolean decoupled, boolean cached, Tensors tensors) {}

  private record Tensors(List<String> inputs, List<String> outputs) {}

  /// What a window of measurement adds to a version's statistics.
  private record Window(
      long inferences, long executions, long successes, long failures, long queued, long inputs, long inferred,
      long outputs, long cacheHits, long cacheMisses) {

    static Window between(ModelStatistics before, ModelStatistics after) {
      InferStatistics from = before.getInferenceStats();
      InferStatistics to = after.getInferenceStats();
      return new Window(
          after.getInferenceCount() - before.getInferenceCount(),
          after.getExecutionCount() - before.getExecutionCount(),
          to.getSuccess().getCount() - from.getSuccess().getCount(),
          to.getFail().getCount() - from.getFail().getCount(),
          to.getQueue().getCount() - from.getQueue().getCount(),
          to.getComputeInput().getCount() - from.getComputeInput().getCount(),
          to.getComputeInfer().getCount() - from.getComputeInfer().getCount(),
          to.getComputeOutput().getCount() - from.getComputeOutput().getCount(),
          to.getCacheHit().getCount() - from.getCacheHit().getCount(),
          to.getCacheMiss().getCount() - from.getCacheMiss().getCount());
    }
  }

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 1, COLUMNS).writeTo(models, "batched", 1);
    OnnxModels.linear(3, 1, COLUMNS).writeTo(models, "batched", 2);
    Files.writeString(
        models.resolve("batched/config.pbtxt"),
        """
        max_batch_size: 8
        input [ { name: "x" data_type: TYPE_FP32 dims: [ 16 ] } ]
        output [ { name: "y" data_type: TYPE_FP32 dims: [ 16 ] } ]
        dynamic_batching { }
        version_policy { all { } }
        """);
    OnnxModels.identity(Datatype.FP32, COLUMNS).writeTo(models, "plain", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  // --- what it asks before -------------------------------------------------------------------------------------------

  @Test
  void theExtensionsSayThatThereAreStatistics() {
    assertThat(gateway.inference().serverMetadata(ServerMetadataRequest.getDefaultInstance()).getExtensionsList())
        .contains("statistics", "model_configuration");
  }

  @Test
  void metadataAndConfigurationSayHowAModelIsToBeAsked() throws Exception {
    Tensors tensors = new Tensors(List.of("x"), List.of("y"));

    assertThat(parse("batched", "")).isEqualTo(new Parsed(8, true, false, false, tensors));
    assertThat(parse("batched", "1")).isEqualTo(new Parsed(8, true, false, false, tensors));
    assertThat(parse("plain", "")).isEqualTo(new Parsed(0, false, false, false, tensors));
  }

  // --- what it measures ----------------------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 8})
  void aWindowOfCallsIsInTheStatisticsExactly(int batch) throws Exception {
    ModelStatistics before = statistics("batched", "2");
    ModelStatistics other = statistics("batched", "1");

    List<ModelInferResponse> answers = callAll("batched", "", batch, "");

    assertThat(answers).hasSize(REQUESTS).allSatisfy(answer -> assertIsAnswer(answer, "2", batch, 3));
    assertThat(answers).extracting(ModelInferResponse::getId).containsExactlyInAnyOrderElementsOf(ids());
    assertWindow("batched", "2", before, batch);
    // The tool takes the version whose queue count grew: the one beside it must not have.
    assertThat(statistics("batched", "1")).isEqualTo(other);
  }

  @Test
  void aVersionThatIsNamedIsMeasuredAlone() throws Exception {
    ModelStatistics before = statistics("batched", "1");

    assertThat(callAll("batched", "1", 2, "")).allSatisfy(answer -> assertIsAnswer(answer, "1", 2, 2));

    assertWindow("batched", "1", before, 2);
  }

  @Test
  void aModelWithoutBatchesIsCountedByRequests() throws Exception {
    ModelStatistics before = statistics("plain", "1");

    List<ModelInferResponse> answers = callAll("plain", "", 0, "");

    assertThat(answers).allSatisfy(
        answer -> assertThat(InferMessages.outputs(answer)).containsExactly(floats("y", Shape.of(COLUMNS), row())));
    assertWindow("plain", "1", before, 1);
  }

  @Test
  void compressedRequestsAreRequestsToo() throws Exception {
    ModelStatistics before = statistics("batched", "2");

    assertThat(callAll("batched", "", 1, "gzip")).allSatisfy(answer -> assertIsAnswer(answer, "2", 1, 3));

    assertWindow("batched", "2", before, 1);
  }

  @Test
  void aWindowOnAStreamIsInTheStatisticsExactly() throws Exception {
    ModelStatistics before = statistics("batched", "2");
    ConcurrentLinkedQueue<ModelStreamInferResponse> answers = new ConcurrentLinkedQueue<>();
    CompletableFuture<Void> done = new CompletableFuture<>();
    Semaphore free = new Semaphore(CONCURRENCY);
    StreamObserver<ModelInferRequest> stream =
        GRPCInferenceServiceGrpc.newStub(gateway.inferenceChannel())
            .modelStreamInfer(
                observer(
                    answer -> {
                      answers.add(answer);
                      free.release();
                    },
                    done));

    for (String id : ids()) {
      free.acquire();
      stream.onNext(request("batched", "", 4, id));
    }
    stream.onCompleted();
    done.get();

    assertThat(answers).hasSize(REQUESTS).allSatisfy(
        answer -> {
          assertThat(answer.getErrorMessage()).isEmpty();
          assertIsAnswer(answer.getInferResponse(), "2", 4, 3);
          // Without it the tool would wait for more.
          assertThat(answer.getInferResponse().getParametersOrThrow("triton_final_response").getBoolParam()).isTrue();
        });
    assertThat(answers).extracting(answer -> answer.getInferResponse().getId())
        .containsExactlyInAnyOrderElementsOf(ids());
    assertWindow("batched", "2", before, 4);
  }

  @Test
  void anErrorOnAStreamNamesItsRequestAndIsAFailureInTheStatistics() throws Exception {
    ModelStatistics before = statistics("batched", "2");
    ConcurrentLinkedQueue<ModelStreamInferResponse> answers = new ConcurrentLinkedQueue<>();
    CompletableFuture<Void> done = new CompletableFuture<>();
    StreamObserver<ModelInferRequest> stream =
        GRPCInferenceServiceGrpc.newStub(gateway.inferenceChannel()).modelStreamInfer(observer(answers::add, done));

    stream.onNext(request("batched", "", 9, "too-large"));
    stream.onNext(request("batched", "", 1, "fine"));
    stream.onCompleted();
    done.get();

    assertThat(answers).extracting(answer -> answer.getInferResponse().getId()).containsExactly("too-large", "fine");
    assertThat(answers).extracting(answer -> answer.getErrorMessage().isEmpty()).containsExactly(false, true);
    await().untilAsserted(
        () -> assertThat(Window.between(before, statistics("batched", "2")).successes()).isEqualTo(1));
  }

  // --- as the tool does it -------------------------------------------------------------------------------------------

  private Parsed parse(String model, String version) throws InvalidProtocolBufferException {
    JsonNode metadata =
        json(
            gateway.inference().modelMetadata(
                ModelMetadataRequest.newBuilder().setName(model).setVersion(version).build()));
    JsonNode config =
        json(gateway.inference().modelConfig(ModelConfigRequest.newBuilder().setName(model).setVersion(version).build()))
            .required("config");
    assertThat(metadata.required("name").asString()).isEqualTo(model);
    assertThat(config.required("name").asString()).isEqualTo(model);
    int batchMax = config.required("max_batch_size").asInt();
    List<String> inputs = tensors(metadata.required("inputs"), batchMax);
    List<String> outputs = tensors(metadata.required("outputs"), batchMax);
    // It stops at a tensor of the configuration that the metadata does not have.
    for (JsonNode input : config.required("input")) {
      assertThat(inputs).contains(input.required("name").asString());
      assertThat(input.required("optional").asBoolean()).isFalse();
      assertThat(input.required("is_shape_tensor").asBoolean()).isFalse();
    }
    for (JsonNode output : config.required("output")) {
      assertThat(outputs).contains(output.required("name").asString());
    }
    assertThat(config.has("sequence_batching")).isFalse();
    return new Parsed(
        batchMax,
        config.has("dynamic_batching"),
        config.has("model_transaction_policy")
            && config.required("model_transaction_policy").required("decoupled").asBoolean(),
        config.has("response_cache") && config.required("response_cache").required("enable").asBoolean(),
        new Tensors(inputs, outputs));
  }

  /// The first dimension is the batch's when the model takes batches; without a `--shape`, the others have to be fixed.
  private static List<String> tensors(JsonNode tensors, int batchMax) {
    List<String> names = new ArrayList<>();
    for (JsonNode tensor : tensors) {
      assertThat(tensor.required("datatype").asString()).isEqualTo("FP32");
      List<Long> shape = new ArrayList<>();
      tensor.required("shape").forEach(dim -> shape.add(Long.parseLong(dim.asString())));
      assertThat(shape).isEqualTo(batchMax > 0 ? List.of(-1L, (long) COLUMNS) : List.of((long) COLUMNS));
      names.add(tensor.required("name").asString());
    }
    return names;
  }

  private static JsonNode json(Message message) throws InvalidProtocolBufferException {
    return JSON.readTree(PRINTER.print(message));
  }

  private ModelStatistics statistics(String model, String version) {
    List<ModelStatistics> statistics =
        gateway
            .inference()
            .modelStatistics(ModelStatisticsRequest.newBuilder().setName(model).setVersion(version).build())
            .getModelStatsList();
    assertThat(statistics).hasSize(1);
    assertThat(statistics.getFirst().getName()).isEqualTo(model);
    assertThat(statistics.getFirst().getVersion()).isEqualTo(version);
    return statistics.getFirst();
  }

  /// Calls at the tool's `--concurrency-range`, without waiting for one before the next.
  private List<ModelInferResponse> callAll(String model, String version, int batch, String compression)
      throws Exception {
    var stub = GRPCInferenceServiceGrpc.newStub(gateway.inferenceChannel());
    Semaphore free = new Semaphore(CONCURRENCY);
    ConcurrentLinkedQueue<ModelInferResponse> answers = new ConcurrentLinkedQueue<>();
    List<CompletableFuture<Void>> calls = new ArrayList<>();
    for (String id : ids()) {
      free.acquire();
      CompletableFuture<Void> done = new CompletableFuture<>();
      calls.add(done);
      (compression.isEmpty() ? stub : stub.withCompression(compression))
          .modelInfer(request(model, version, batch, id), observer(answers::add, done));
      var _ = done.whenComplete((_, _) -> free.release());
    }
    CompletableFuture.allOf(calls.toArray(CompletableFuture[]::new)).get();
    return List.copyOf(answers);
  }

  /// As the C++ client writes it: raw contents, every output by name, and a parameter that it always sends.
  private static ModelInferRequest request(String model, String version, int batch, String id) {
    float[] row = row();
    float[] rows = new float[Math.max(batch, 1) * COLUMNS];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = row[i % COLUMNS];
    }
    Tensor x = floats("x", batch == 0 ? Shape.of(COLUMNS) : Shape.of(batch, COLUMNS), rows);
    return InferMessages.raw(model, x)
        .setModelVersion(version)
        .setId(id)
        .addOutputs(InferMessages.output("y"))
        .putParameters("triton_enable_empty_final_response", InferParameter.newBuilder().setBoolParam(true).build())
        .putParameters("from-the-command-line", InferParameter.newBuilder().setInt64Param(7).build())
        .build();
  }

  private void assertWindow(String model, String version, ModelStatistics before, int batch) {
    Window expected =
        new Window(
            (long) REQUESTS * batch, 0, REQUESTS, 0, REQUESTS, REQUESTS, REQUESTS, REQUESTS, 0, 0);
    // The last answer may be read before its own numbers are written.
    await()
        .atMost(Duration.ofSeconds(5))
        .untilAsserted(
            () -> {
              Window window = Window.between(before, statistics(model, version));
              assertThat(window).usingRecursiveComparison().ignoringFields("executions").isEqualTo(expected);
              // Requests share executions, never the other way round.
              assertThat(window.executions()).isBetween(1L, (long) REQUESTS);
            });
    InferStatistics stats = statistics(model, version).getInferenceStats();
    assertThat(stats.getSuccess().getNs())
        .as("the tool calls overhead what is left of the whole")
        .isGreaterThanOrEqualTo(
            stats.getQueue().getNs()
                + stats.getComputeInput().getNs()
                + stats.getComputeInfer().getNs()
                + stats.getComputeOutput().getNs());
    assertThat(stats.getComputeInfer().getNs()).isPositive();
  }

  private static void assertIsAnswer(ModelInferResponse answer, String version, int batch, float a) {
    assertThat(answer.getModelVersion()).isEqualTo(version);
    Tensor y = InferMessages.outputs(answer).getFirst();
    assertThat(y.shape()).isEqualTo(Shape.of(batch, COLUMNS));
    float[] row = row();
    for (int i = 0; i < batch * COLUMNS; i++) {
      assertThat(y.bytes().getFloat(i * Float.BYTES)).isEqualTo(a * row[i % COLUMNS] + 1);
    }
  }

  private static float[] row() {
    float[] row = new float[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      row[i] = i - 5;
    }
    return row;
  }

  /// The tool puts the number of its thread into the upper bits.
  private static List<String> ids() {
    return IntStream.range(0, REQUESTS).mapToObj(i -> Long.toString(3L << 48 | i)).toList();
  }

  private static <T> StreamObserver<T> observer(java.util.function.Consumer<T> next, CompletableFuture<Void> done) {
    return new StreamObserver<>() {
      @Override
      public void onNext(T value) {
        next.accept(value);
      }

      @Override
      public void onError(Throwable e) {
        done.completeExceptionally(e);
      }

      @Override
      public void onCompleted() {
        done.complete(null);
      }
    };
  }
}
