package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.output;
import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.gateway.testing.InferMessages.typed;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.ints;
import static dev.sluice.runtime.testing.Tensors.longs;
import static dev.sluice.runtime.testing.Tensors.strings;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status.Code;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every mistake that a caller can make has one code, one reason and one sentence, and does the server no harm.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BadRequestTest {

  record Case(String name, ModelInferRequest request, Code code, String reason, List<String> words) {
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
    OnnxModels.linear(2, 1, 3).writeTo(models, "linear", 1);
    new OnnxGraph()
        .input("a", Datatype.FP32, -1, 2)
        .input("b", Datatype.FP32, -1, 2)
        .node("Concat", List.of("a", "b"), List.of("y"), OnnxGraph.number("axis", 1))
        .output("y", Datatype.FP32, -1, 4)
        .writeTo(models, "batched", 1);
    Files.writeString(models.resolve("batched/config.pbtxt"), "max_batch_size: 4\n");
    for (Datatype datatype : List.of(Datatype.BYTES, Datatype.FP16, Datatype.INT32, Datatype.UINT8)) {
      OnnxModels.identity(datatype, -1).writeTo(models, "identity-" + datatype, 1);
    }
    OnnxModels.identity(Datatype.FP32, -1, -1, -1).writeTo(models, "cube", 1);
    OnnxModels.gather().writeTo(models, "gather", 1);
    OnnxGraph.write(models, "broken", 1, "not a model".getBytes(java.nio.charset.StandardCharsets.US_ASCII));
    new OnnxGraph()
        .input("x", Datatype.FP32, 1)
        .node("Identity", List.of("x"), List.of("y"))
        .node("SequenceConstruct", List.of("x"), List.of("sequence"))
        .output("y", Datatype.FP32, 1)
        .sequenceOutput("sequence", Datatype.FP32)
        .writeTo(models, "sequence", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  @AfterEach
  void theServerStillAnswers() {
    assertThat(outputs(gateway.inference().modelInfer(linear().build())))
        .containsExactly(floats("y", Shape.of(1, 3), 3, 5, 7));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void eachMistakeIsNamed(Case mistake) {
    Refusal refusal = Refusal.of(() -> gateway.inference().modelInfer(mistake.request()));

    assertThat(refusal.message()).contains(mistake.words());
    assertThat(refusal.code()).isEqualTo(mistake.code());
    assertThat(refusal.reason()).isEqualTo(mistake.reason());
  }

  private static Stream<Case> cases() {
    return Stream.of(
        // what is asked for
        notFound("unknown model", "UNKNOWN_MODEL", linear().setModelName("nosuch"), "'nosuch' is not found"),
        notFound("no model", "UNKNOWN_MODEL", linear().setModelName(""), "'' is not found"),
        notFound("a path for a model", "UNKNOWN_MODEL", linear().setModelName("../models/linear"), "is not found"),
        notFound("an endless model name", "UNKNOWN_MODEL", linear().setModelName("m".repeat(1 << 20)), "'mmm"),
        notFound("an endless model name of wide letters", "UNKNOWN_MODEL", linear().setModelName("模".repeat(1 << 19)), "'模模"),
        notFound("unknown version", "UNKNOWN_VERSION", linear().setModelVersion("9"), "'linear' version 9"),
        notFound("nothing ready", "UNKNOWN_VERSION", linear().setModelName("broken"), "'broken' has no available"),
        new Case("a version that did not load", linear().setModelName("broken").setModelVersion("1").build(),
            Code.UNAVAILABLE, "MODEL_NOT_READY", List.of("'broken' version 1 is not at ready state")),
        invalid("a version that is no number", linear().setModelVersion("one"), "'one'", "'linear'"),
        invalid("a negative version", linear().setModelVersion("-1"), "'-1'"),
        invalid("an endless version", linear().setModelVersion("x".repeat(1 << 20)), "'xxx"),
        invalid("unknown output", linear().addOutputs(output("z")), "output 'z'", "[y]"),
        invalid("output twice",
            raw("batched", pair(1)).addOutputs(output("y")).addOutputs(output("y")), "2 outputs requested", "has 1"),
        invalid("output twice of two",
            raw("sequence", floats("x", Shape.of(1), 1)).addOutputs(output("y")).addOutputs(output("y")),
            "output 'y' already exists in request"),
        invalid("an output that the protocol cannot carry",
            raw("sequence", floats("x", Shape.of(1), 1)).addOutputs(output("sequence")), "'sequence'", "[y]"),
        invalid("a hundred thousand outputs",
            linear().addAllOutputs(Collections.nCopies(100_000, output("y"))), "100000 outputs requested", "has 1"),

        // which inputs
        invalid("unknown input", raw("linear", floats("z", Shape.of(1, 3), 1, 2, 3)), "input 'z'", "[x]"),
        invalid("an endless input name", raw("linear", floats("z".repeat(1 << 20), Shape.of(1, 3), 1, 2, 3)), "'zzz"),
        invalid("unknown input beside the right one",
            linear().mergeFrom(raw("linear", floats("z", Shape.of(1), 1)).build()), "got 2 inputs", "['x','z']"),
        invalid("no input", ModelInferRequest.newBuilder().setModelName("linear"),
            "expected 1 inputs but got 0", "missing required input(s) ['x']. Please provide all required input(s)."),
        invalid("missing input", raw("batched", pair(1).getFirst()),
            "expected 2 inputs but got 1", "Got input(s) ['a'], but missing required input(s) ['b']"),
        invalid("input twice",
            raw("batched", pair(1).getFirst(), pair(1).getFirst()), "input 'a' already exists in request"),
        invalid("a hundred thousand inputs",
            raw("linear", Collections.nCopies(100_000, floats("x", Shape.of(1, 3), 1, 2, 3))), "input 'x' already exists"),

        // their datatype and shape
        invalid("wrong datatype", raw("linear", ints("x", Shape.of(1, 3), 1, 2, 3)), "'x'", "'INT32'", "'FP32'"),
        invalid("unknown datatype", input(i -> i.setDatatype("FLOAT")), "'x'", "'FLOAT'", "'FP32'"),
        invalid("lower-case datatype", input(i -> i.setDatatype("fp32")), "'fp32'", "'FP32'"),
        invalid("no datatype", input(InferInputTensor.Builder::clearDatatype), "''", "'FP32'"),
        invalid("rank too low", shape(3), "'x'", "Expected [-1,3], got [3]"),
        invalid("rank too high", shape(1, 1, 3), "Expected [-1,3], got [1,1,3]"),
        invalid("no shape", shape(), "Expected [-1,3], got []."),
        invalid("fixed dimension", shape(1, 4), "Expected [-1,3], got [1,4]"),
        invalid("a free dimension in a request", shape(-1, 3), "All input dimensions should be specified for input 'x'", "got [-1,3]", "dimension -1 is below 0"),
        invalid("a very negative dimension", shape(Long.MIN_VALUE, 3), "dimension -9223372036854775808"),
        invalid("rank 10 000", input(i -> i.clearShape().addAllShape(Collections.nCopies(10_000, 1L))),
            "'x'", "Expected [-1,3], got [1,1,1"),
        invalid("dimensions that overflow", cube(1L << 31, 1L << 31, 1L << 31),
            "'x'", "[2147483648,2147483648,2147483648]", "more elements than can be counted"),
        invalid("bytes that overflow", cube(1L << 31, 1L << 31, 1), "more elements than can be counted"),
        invalid("far more elements than bytes", cube(1L << 20, 1L << 20, 1L << 19),
            "byte size mismatch", "Expected 2305843009213693952, got 4"),
        invalid("overflow hidden behind a zero", cube(1L << 62, 1L << 62, 0), "more elements than can be counted"),

        // batches
        invalid("batch disagreement",
            raw("batched", List.of(floats("a", Shape.of(1, 2), 1, 2), floats("b", Shape.of(2, 2), 1, 2, 3, 4))),
            "input 'b' batch size does not match other inputs for 'batched'", "2 instead of 1"),
        invalid("batch above the maximum", raw("batched", pair(5)), "inference request batch-size must be <= 4 for 'batched'", "got 5"),

        // raw contents
        invalid("too few bytes", bytes(11), "byte size mismatch", "'x'", "Expected 12, got 11"),
        invalid("too many bytes", bytes(13), "Expected 12, got 13"),
        invalid("no bytes", bytes(0), "Expected 12, got 0"),
        invalid("no contents at all", linear().clearRawInputContents(),
            "unable to find data for input tensor 'x' for model 'linear' in request."),
        invalid("missing raw entry", rawOfOneInput(), "unable to find data for input tensor 'b' for model 'batched' in request.", "2 inputs and 1 raw_input_contents"),
        invalid("mixed raw and typed",
            linear().setInputs(0, linear().getInputs(0).toBuilder().setContents(
                InferTensorContents.newBuilder().addFp32Contents(1))), "contents", "raw_input_contents", "'x'"),

        // typed contents
        invalid("FP16 typed", typedInput("identity-FP16", "FP16", c -> c.addFp32Contents(1)),
            "unexpected explicit tensor data for input tensor 'x'", "'FP32', expected datatype 'FP16'",
            "raw_input_contents only"),
        invalid("too few typed elements", typedInput("identity-INT32", "INT32", c -> {}), "byte size mismatch", "Expected 4, got 0"),
        invalid("too many typed elements",
            typedInput("identity-INT32", "INT32", c -> c.addIntContents(1).addIntContents(2)), "byte size mismatch", "Expected 4, got 8"),
        invalid("elements in another field",
            typedInput("identity-INT32", "INT32", c -> c.addInt64Contents(1)), "unexpected explicit tensor data",
            "of type 'INT64', expected datatype 'INT32'"),
        invalid("elements in two fields",
            typedInput("identity-INT32", "INT32", c -> c.addIntContents(1).addFp32Contents(1)), "binary data was already supplied"),

        // strings
        invalid("too few strings", text(2, prefixed("one")), "expected 2 string elements for inference input 'x' for model 'identity-BYTES', got 1"),
        invalid("too many strings", text(1, prefixed("one").concat(prefixed("two"))),
            "unexpected number of string elements 2 for inference input 'x'", "expecting 1"),
        invalid("bytes behind the last string", text(1, prefixed("one").concat(ByteString.copyFrom(new byte[2]))),
            "incomplete string length indicator", "expecting 4 bytes but only 2 bytes available"),
        invalid("half a length", text(1, ByteString.copyFrom(new byte[3])), "only 3 bytes available"),
        invalid("a string longer than its bytes", text(1, prefixed("three").substring(0, 7)),
            "string element 0 for inference input 'x'", "has 5 bytes", "2 more than there are"),
        invalid("a string of four gigabytes", text(1, ByteString.copyFrom(new byte[] {-1, -1, -1, -1, 65})),
            "string element 0", "has 4294967295 bytes"),
        invalid("a billion strings in no bytes", text(1_000_000_000, ByteString.EMPTY),
            "expected 1000000000 string elements", "got 0"),
        invalid("a string that is not UTF-8",
            text(1, ByteString.copyFrom(new byte[] {1, 0, 0, 0, (byte) 0xff})), "'x'", "element 0", "UTF-8"),

        // the model itself
        new Case("an input that the model cannot compute",
            raw("gather", longs("index", Shape.of(1), 99)).build(),
            Code.INTERNAL, "EXECUTION_FAILED", List.of("Gather")));
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private interface Edit<T> {
    void of(T builder);
  }

  private static Case invalid(String name, ModelInferRequest.Builder request, String... words) {
    return new Case(name, request.build(), Code.INVALID_ARGUMENT, "INVALID_REQUEST", List.of(words));
  }

  private static Case notFound(String name, String reason, ModelInferRequest.Builder request, String... words) {
    return new Case(name, request.build(), Code.NOT_FOUND, reason, List.of(words));
  }

  private static ModelInferRequest.Builder linear() {
    return raw("linear", floats("x", Shape.of(1, 3), 1, 2, 3));
  }

  private static ModelInferRequest.Builder input(Edit<InferInputTensor.Builder> edit) {
    ModelInferRequest.Builder request = linear();
    edit.of(request.getInputsBuilder(0));
    return request;
  }

  private static ModelInferRequest.Builder shape(long... dims) {
    return input(input -> reshape(input, dims));
  }

  private static void reshape(InferInputTensor.Builder input, long... dims) {
    input.clearShape();
    for (long dim : dims) {
      input.addShape(dim);
    }
  }

  private static ModelInferRequest.Builder bytes(int count) {
    return linear().setRawInputContents(0, ByteString.copyFrom(new byte[count]));
  }

  private static ModelInferRequest.Builder cube(long... dims) {
    ModelInferRequest.Builder request = raw("cube", floats("x", Shape.of(1, 1, 1), 1));
    reshape(request.getInputsBuilder(0), dims);
    return request;
  }

  private static List<Tensor> pair(int batch) {
    float[] values = new float[batch * 2];
    return List.of(floats("a", Shape.of(batch, 2), values), floats("b", Shape.of(batch, 2), values));
  }

  private static ModelInferRequest.Builder rawOfOneInput() {
    ModelInferRequest.Builder request = raw("batched", pair(1));
    ByteString first = request.getRawInputContents(0);
    return request.clearRawInputContents().addRawInputContents(first);
  }

  private static ModelInferRequest.Builder typedInput(
      String model, String datatype, Edit<InferTensorContents.Builder> contents) {
    ModelInferRequest.Builder request = typed(model, List.of(ints("x", Shape.of(1), 1)));
    InferTensorContents.Builder builder = InferTensorContents.newBuilder();
    contents.of(builder);
    request.getInputsBuilder(0).setDatatype(datatype).setContents(builder);
    return request;
  }

  private static ModelInferRequest.Builder text(long elements, ByteString contents) {
    ModelInferRequest.Builder request = raw("identity-BYTES", strings("x", Shape.of(1), "")).setRawInputContents(0, contents);
    reshape(request.getInputsBuilder(0), elements);
    return request;
  }

  private static ByteString prefixed(String text) {
    ByteBuffer length = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(0, text.length());
    return ByteString.copyFrom(length).concat(ByteString.copyFromUtf8(text));
  }
}
