package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.output;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static dev.sluice.runtime.testing.Tensors.strings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import com.google.common.util.concurrent.ListenableFuture;
import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.proto.inference.RepositoryModelLoadRequest;
import dev.sluice.proto.inference.RepositoryModelUnloadRequest;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What a client of Triton matches on when a call fails: the code and the beginning of the text, and beside them what Triton
/// does not have, a reason and a place for machines.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class TritonErrorsTest {

  private static final long FOR_EVER = Long.MAX_VALUE;

  /// @param text the beginning of what the client reads
  /// @param field the part of the request that is named, empty for none
  record Row(
      String name, Consumer<GRPCInferenceServiceBlockingStub> call, Code code, String text, String reason, String field) {
    @Override
    public String toString() {
      return name;
    }
  }

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    new OnnxGraph()
        .input("A", Datatype.FP32, -1, 16)
        .input("B", Datatype.FP32, -1, 16)
        .node("Add", List.of("A", "B"), List.of("Y"))
        .output("Y", Datatype.FP32, -1, 16)
        .writeTo(models, "m", 1);
    Files.writeString(models.resolve("m/config.pbtxt"), "max_batch_size: 4\n");
    OnnxModels.identity(Datatype.BYTES, 4).writeTo(models, "texts", 1);
    OnnxModels.gather().writeTo(models, "gather", 1);
    OnnxGraph.write(models, "broken", 1, "not a model".getBytes(StandardCharsets.US_ASCII));
    OnnxModels.loop().writeTo(models, "full", 1);
    Files.writeString(
        models.resolve("full/config.pbtxt"),
        "instance_group [ { count: 1 } ]\ndynamic_batching { default_queue_policy { max_queue_size: 1 } }\n");
    OnnxModels.loop().writeTo(models, "impatient", 1);
    Files.writeString(
        models.resolve("impatient/config.pbtxt"),
        """
        instance_group [ { count: 1 } ]
        dynamic_batching { default_queue_policy { default_timeout_microseconds: 1000 } }
        """);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  @ParameterizedTest
  @MethodSource("rows")
  void aRowOfTheTable(Row row) throws InvalidProtocolBufferException {
    check(row, catchThrowableOfType(StatusRuntimeException.class, () -> row.call().accept(gateway.inference())));
  }

  private static Stream<Row> rows() {
    return Stream.of(
        // which model
        infer("unknown model", request().setModelName("x"), Code.NOT_FOUND,
            "Request for unknown model: 'x' is not found", "UNKNOWN_MODEL", ""),
        infer("unknown version", request().setModelVersion("9"), Code.NOT_FOUND,
            "Request for unknown model: 'm' version 9 is not found", "UNKNOWN_VERSION", ""),
        infer("nothing ready", request().setModelName("broken"), Code.NOT_FOUND,
            "Request for unknown model: 'broken' has no available versions", "UNKNOWN_VERSION", ""),
        infer("a version that failed to load", request().setModelName("broken").setModelVersion("1"), Code.UNAVAILABLE,
            "Request for unknown model: 'broken' version 1 is not at ready state", "MODEL_NOT_READY", ""),
        new Row("ModelReady of an unknown model",
            stub -> stub.modelReady(ModelReadyRequest.newBuilder().setName("x").build()), Code.NOT_FOUND,
            "Request for unknown model: 'x' is not found", "UNKNOWN_MODEL", ""),

        // which tensors
        infer("bad shape", request().setInputs(1, input("B", "FP32", 1, 17)), Code.INVALID_ARGUMENT,
            "[request id: 7] unexpected shape for input 'B' for model 'm'. Expected [-1,16], got [1,17]. NOTE: ",
            "INVALID_REQUEST", "inputs[1].shape"),
        infer("bad rank", request().setInputs(0, input("A", "FP32", 16)), Code.INVALID_ARGUMENT,
            "[request id: 7] unexpected shape for input 'A' for model 'm'. Expected [-1,16], got [16].",
            "INVALID_REQUEST", "inputs[0].shape"),
        infer("no id", request().clearId().setInputs(0, input("A", "FP32", 16)), Code.INVALID_ARGUMENT,
            "[request id: <id_unknown>] unexpected shape for input 'A'", "INVALID_REQUEST", "inputs[0].shape"),
        infer("free dimension", request().setInputs(0, input("A", "FP32", 1, -1)), Code.INVALID_ARGUMENT,
            "[request id: 7] All input dimensions should be specified for input 'A' for model 'm', got [1,-1]",
            "INVALID_REQUEST", "inputs[0].shape"),
        infer("batch above the maximum", batch(5, 5), Code.INVALID_ARGUMENT,
            "[request id: 7] inference request batch-size must be <= 4 for 'm'", "INVALID_REQUEST", "inputs[0].shape"),
        infer("batches that differ", batch(1, 2), Code.INVALID_ARGUMENT,
            "[request id: 7] input 'B' batch size does not match other inputs for 'm'", "INVALID_REQUEST",
            "inputs[1].shape"),
        infer("bad datatype", request().setInputs(0, input("A", "INT32", 1, 16)), Code.INVALID_ARGUMENT,
            "[request id: 7] inference input 'A' data-type is 'INT32', but model 'm' expects 'FP32'",
            "INVALID_REQUEST", "inputs[0].datatype"),
        infer("missing input", raw("m", floats("A", Shape.of(1, 16), new float[16])).setId("7"),
            Code.INVALID_ARGUMENT,
            "[request id: 7] expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['A'], but missing required "
                + "input(s) ['B']. Please provide all required input(s).",
            "INVALID_REQUEST", "inputs"),
        infer("unknown input", request().setInputs(1, input("C", "FP32", 1, 16)), Code.INVALID_ARGUMENT,
            "unexpected inference input 'C' for model 'm'", "INVALID_REQUEST", "inputs[1].name"),
        infer("input twice", request().setInputs(1, input("A", "FP32", 1, 16)), Code.INVALID_ARGUMENT,
            "[request id: 7] input 'A' already exists in request", "INVALID_REQUEST", "inputs[1].name"),
        infer("unknown output", request().addOutputs(output("Z")), Code.INVALID_ARGUMENT,
            "unexpected inference output 'Z' for model 'm'", "INVALID_REQUEST", "outputs[0].name"),
        infer("wrong byte size", request().setRawInputContents(0, ByteString.copyFrom(new byte[60])),
            Code.INVALID_ARGUMENT,
            "[request id: 7] input byte size mismatch for input 'A' for model 'm'. Expected 64, got 60",
            "INVALID_REQUEST", "inputs[0].contents"),
        infer("no data", request().clearRawInputContents(), Code.INVALID_ARGUMENT,
            "unable to find data for input tensor 'A' for model 'm' in request.", "INVALID_REQUEST",
            "inputs[0].contents"),
        infer("too few strings",
            raw("texts", strings("x", Shape.of(4), "a", "b", "c", "d"))
                .setRawInputContents(0, ByteString.copyFrom(new byte[12])),
            Code.INVALID_ARGUMENT,
            "[request id: <id_unknown>] expected 4 string elements for inference input 'x' for model 'texts', got 3",
            "INVALID_REQUEST", "inputs[0].contents"),

        // the model
        infer("an input that the model cannot compute", raw("gather", longs("index", Shape.of(1), 99)),
            Code.INTERNAL, "", "EXECUTION_FAILED", ""),

        // the repository of a server that loads by itself
        new Row("load",
            stub -> stub.repositoryModelLoad(RepositoryModelLoadRequest.newBuilder().setModelName("m").build()),
            Code.UNAVAILABLE, "explicit model load / unload is not allowed if polling is enabled", "LOAD_NOT_ALLOWED", ""),
        new Row("unload",
            stub -> stub.repositoryModelUnload(RepositoryModelUnloadRequest.newBuilder().setModelName("m").build()),
            Code.UNAVAILABLE, "explicit model load / unload is not allowed if polling is enabled", "LOAD_NOT_ALLOWED",
            ""));
  }

  @Test
  void aFullQueueRefusesTheNextRequestAndSaysWhenToComeAgain() throws InvalidProtocolBufferException {
    List<ListenableFuture<ModelInferResponse>> before = List.of(start("full"), start("full"));
    try {
      await().untilAsserted(
          () -> {
            StatusRuntimeException refused =
                catchThrowableOfType(
                    StatusRuntimeException.class,
                    () -> gateway.inference().withDeadlineAfter(java.time.Duration.ofSeconds(5)).modelInfer(loop("full")));
            check(
                new Row("queue full", _ -> {}, Code.UNAVAILABLE,
                    "[request id: <id_unknown>] Exceeds maximum queue size", "OVERLOADED", ""),
                refused);
            assertThat(detail(refused, RetryInfo.class)).isNotNull();
          });
    } finally {
      before.forEach(call -> call.cancel(true));
    }
  }

  @Test
  void aRequestThatHasWaitedTooLongIsRefused() throws InvalidProtocolBufferException {
    ListenableFuture<ModelInferResponse> before = start("impatient");
    try {
      await().until(() -> inFlight("impatient") == 1);
      check(
          new Row("queue timeout", _ -> {}, Code.UNAVAILABLE, "Request timeout expired", "QUEUE_TIMEOUT", ""),
          catchThrowableOfType(
              StatusRuntimeException.class, () -> gateway.inference().modelInfer(loop("impatient"))));
    } finally {
      before.cancel(true);
    }
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private static void check(Row row, StatusRuntimeException refused) throws InvalidProtocolBufferException {
    assertThat(refused).as("a refusal").isNotNull();
    assertThat(refused.getStatus().getCode()).isEqualTo(row.code());
    assertThat(refused.getStatus().getDescription()).startsWith(row.text());
    ErrorInfo info = detail(refused, ErrorInfo.class);
    assertThat(info.getReason()).isEqualTo(row.reason());
    assertThat(info.getDomain()).isEqualTo("sluice.dev");
    if (!row.field().isEmpty()) {
      assertThat(detail(refused, BadRequest.class).getFieldViolationsList()).singleElement()
          .satisfies(violation -> {
            assertThat(violation.getField()).isEqualTo(row.field());
            assertThat(refused.getStatus().getDescription()).startsWith(violation.getDescription().replaceAll("\\.{3}$", ""));
          });
    }
  }

  @Test
  void whatAFailedCallWasAboutStandsBesideTheText() throws InvalidProtocolBufferException {
    StatusRuntimeException refused =
        catchThrowableOfType(
            StatusRuntimeException.class,
            () -> gateway.inference().modelInfer(request().setModelVersion("9").build()));

    assertThat(detail(refused, ErrorInfo.class).getMetadataMap())
        .isEqualTo(Map.of("model", "m", "version", "9", "request_id", "7"));
  }

  private static <T extends com.google.protobuf.Message> T detail(StatusRuntimeException refused, Class<T> type)
      throws InvalidProtocolBufferException {
    com.google.rpc.Status status = Objects.requireNonNull(StatusProto.fromThrowable(refused));
    for (Any any : status.getDetailsList()) {
      if (any.is(type)) {
        return any.unpack(type);
      }
    }
    throw new AssertionError("no " + type.getSimpleName() + " in " + status);
  }

  private static Row infer(
      String name, ModelInferRequest.Builder request, Code code, String text, String reason, String field) {
    ModelInferRequest built = request.build();
    return new Row(name, stub -> stub.modelInfer(built), code, text, reason, field);
  }

  private static ModelInferRequest.Builder request() {
    return batch(1, 1);
  }

  private static ModelInferRequest.Builder batch(int a, int b) {
    return raw(
            "m", floats("A", Shape.of(a, 16), new float[16 * a]), floats("B", Shape.of(b, 16), new float[16 * b]))
        .setId("7");
  }

  private static ModelInferRequest.InferInputTensor input(String name, String datatype, long... shape) {
    ModelInferRequest.InferInputTensor.Builder input =
        ModelInferRequest.InferInputTensor.newBuilder().setName(name).setDatatype(datatype);
    for (long dim : shape) {
      input.addShape(dim);
    }
    return input.build();
  }

  private ListenableFuture<ModelInferResponse> start(String model) {
    return GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel()).modelInfer(loop(model));
  }

  private long inFlight(String model) {
    return gateway.gateway().repository().models().stream()
        .filter(found -> found.name().equals(model))
        .flatMap(found -> found.versions().stream())
        .mapToLong(version -> version.callsInFlight())
        .sum();
  }

  private static ModelInferRequest loop(String model) {
    return raw(model, longs("trips", Shape.of(), FOR_EVER), floats("x", Shape.of(1), 0)).build();
  }
}
