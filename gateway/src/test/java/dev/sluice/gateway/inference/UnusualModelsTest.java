package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.output;
import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

/// Files that ONNX allows and that few people have seen: they are served, or refused with the reason.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class UnusualModelsTest {

  /// What ONNX Runtime knew when this was written; later ones know more.
  private static final int OPSET_MIN = 7;

  private static final int OPSET_MAX = 26;
  private static final int IR_MIN = 3;
  private static final int IR_MAX = 13;

  private static final ListAppender<ILoggingEvent> WARNINGS = new ListAppender<>();

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    writeModelsWithoutInputs(models);
    writeModelsInSeveralFiles(models);
    writeModelsOfOtherTimes(models);
    writeModelsOfOtherTypes(models);

    Logger logger = (Logger) LoggerFactory.getLogger(OnnxRuntime.class);
    WARNINGS.start();
    logger.addAppender(WARNINGS);
    try {
      gateway = RunningGateway.start(models, folder.resolve("data"));
    } finally {
      logger.detachAppender(WARNINGS);
    }
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  // --- no inputs -----------------------------------------------------------------------------------------------------

  private static void writeModelsWithoutInputs(Path models) throws IOException {
    new OnnxGraph()
        .node("Constant", List.of(), List.of("y"), OnnxGraph.tensor("value", floats("c", Shape.of(2), 3, 4)))
        .output("y", Datatype.FP32, 2)
        .writeTo(models, "constant", 1);
    new OnnxGraph()
        .constant(floats("y", Shape.of(2), 5, 6))
        .output("y", Datatype.FP32, 2)
        .writeTo(models, "only-a-weight", 1);
    new OnnxGraph().input("x", Datatype.FP32, 2).output("x", Datatype.FP32, 2).writeTo(models, "only-a-wire", 1);
  }

  @Test
  void aModelWithoutInputsIsAskedWithNone() {
    assertThat(metadata("constant").getInputsList()).isEmpty();
    assertThat(answer(raw("constant"))).containsExactly(floats("y", Shape.of(2), 3, 4));
    assertThat(answer(raw("constant").addOutputs(output("y")))).containsExactly(floats("y", Shape.of(2), 3, 4));
    assertThat(answer(raw("only-a-weight"))).containsExactly(floats("y", Shape.of(2), 5, 6));
    assertThat(refusal(raw("constant", floats("x", Shape.of(2), 1, 2))).message())
        .contains("expected 0 inputs but got 1 inputs for model 'constant'. Got input(s) ['x']");
  }

  @Test
  void anOutputMayBeAnInputItself() {
    assertThat(answer(raw("only-a-wire", floats("x", Shape.of(2), 1, 2))))
        .containsExactly(floats("x", Shape.of(2), 1, 2));
  }

  // --- weights in other files ----------------------------------------------------------------------------------------

  private static void writeModelsInSeveralFiles(Path models) throws IOException {
    OnnxGraph sum =
        new OnnxGraph()
            .externalConstant("a", "a.bin", 2)
            .externalConstant("b", "weights/b.bin", 2)
            .externalConstantWithin("c", "weights/many.bin", 8, Shape.of(2))
            .externalConstantWithin("d", "weights/many.bin", 0, Shape.of(2))
            .input("x", Datatype.FP32, 2)
            .node("Sum", List.of("x", "a", "b", "c", "d"), List.of("y"))
            .output("y", Datatype.FP32, 2);
    for (String model : List.of("several-files", "a-file-too-few", "a-file-too-short")) {
      Path version = sum.writeTo(models, model, 1);
      Files.createDirectories(version.resolve("weights"));
      write(version.resolve("a.bin"), 1, 2);
      write(version.resolve("weights/b.bin"), 10, 20);
      write(version.resolve("weights/many.bin"), 1_000, 2_000, 100, 200);
    }
    Files.delete(models.resolve("a-file-too-few/1/weights/b.bin"));
    write(models.resolve("a-file-too-short/1/weights/many.bin"), 1_000, 2_000, 100);
  }

  @Test
  void weightsAreReadFromSeveralFilesAndPlacesInThem() {
    assertThat(answer(raw("several-files", floats("x", Shape.of(2), 0.5f, 0.25f))))
        .containsExactly(floats("y", Shape.of(2), 1_111.5f, 2_222.25f));
  }

  @Test
  void aMissingOrShortFileOfWeightsIsNamed() {
    assertThat(version("a-file-too-few").getReason())
        .contains("a-file-too-few/1/model.onnx", "'weights/b.bin'", "does not exist");
    assertThat(version("a-file-too-short").getState()).isEqualTo("UNAVAILABLE");
    assertThat(version("a-file-too-short").getReason()).contains("a-file-too-short/1/model.onnx");
  }

  private static void write(Path file, float... values) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    Files.write(file, bytes.array());
  }

  // --- other times ---------------------------------------------------------------------------------------------------

  private static void writeModelsOfOtherTimes(Path models) throws IOException {
    OnnxGraph weightAmongTheInputs =
        new OnnxGraph()
            .input("x", Datatype.FP32, 2)
            .input("w", Datatype.FP32, 2)
            .constant(floats("w", Shape.of(2), 10, 20))
            .node("Add", List.of("x", "w"), List.of("y"))
            .output("y", Datatype.FP32, 2);
    // Up to IR 3 every weight had to be listed as an input; since then it is one that may be overridden.
    OnnxGraph.write(models, "ir-3", 1, weightAmongTheInputs.model(3, 7));
    OnnxGraph.write(models, "ir-10", 1, weightAmongTheInputs.model(10, 21));
    for (int opset = OPSET_MIN; opset <= OPSET_MAX; opset++) {
      OnnxGraph.write(models, "opset-" + opset, 1, OnnxModels.linear(2, 1, 2).model(8, opset));
    }
    for (int ir = IR_MIN; ir <= IR_MAX; ir++) {
      OnnxGraph.write(models, "ir-version-" + ir, 1, OnnxModels.linear(2, 1, 2).model(ir, 20));
    }
    OnnxGraph.write(models, "opset-99", 1, OnnxModels.linear(2, 1, 2).model(8, 99));
    OnnxGraph.write(models, "ir-version-99", 1, OnnxModels.linear(2, 1, 2).model(99, 20));
  }

  @Test
  void aWeightThatIsListedAsAnInputStaysADefault() {
    for (String model : List.of("ir-3", "ir-10")) {
      assertThat(metadata(model).getInputsList()).extracting(TensorMetadata::getName).containsExactly("x");
      Tensor x = floats("x", Shape.of(2), 1, 2);
      assertThat(answer(raw(model, x))).containsExactly(floats("y", Shape.of(2), 11, 22));
      assertThat(refusal(raw(model, x, floats("w", Shape.of(2), 0, 0))).message())
          .contains("expected 1 inputs but got 2 inputs for model '%s'. Got input(s) ['x','w']".formatted(model));
    }
  }

  @Test
  void modelsOfEveryTimeAnswerAlike() {
    Stream<String> models =
        Stream.concat(
            IntStream.rangeClosed(OPSET_MIN, OPSET_MAX).mapToObj(opset -> "opset-" + opset),
            IntStream.rangeClosed(IR_MIN, IR_MAX).mapToObj(ir -> "ir-version-" + ir));
    assertThat(models)
        .allSatisfy(
            model ->
                assertThat(answer(raw(model, floats("x", Shape.of(1, 2), 3, 4))))
                    .containsExactly(floats("y", Shape.of(1, 2), 7, 9)));
  }

  @Test
  void aModelOfALaterTimeIsRefusedInWordsThatNameIt() {
    assertThat(version("opset-99").getReason())
        .matches("opset-99/1/model.onnx is written for opset 99 of ai.onnx; ONNX Runtime \\S+ has up to \\d+");
    assertThat(version("ir-version-99").getReason())
        .matches("ir-version-99/1/model.onnx has IR version 99; ONNX Runtime \\S+ reads up to \\d+");
  }

  // --- other types ---------------------------------------------------------------------------------------------------

  private static void writeModelsOfOtherTypes(Path models) throws IOException {
    new OnnxGraph()
        .input("x", Datatype.FP32, 2)
        .node("SequenceConstruct", List.of("x", "x"), List.of("both"))
        .node("Neg", List.of("x"), List.of("y"))
        .node("Cast", List.of("x"), List.of("small"), OnnxGraph.number("to", 17))
        .sequenceOutput("both", Datatype.FP32)
        .output("y", Datatype.FP32, 2)
        .output("small", 17, 2)
        .writeTo(models, "sequence", 1);
  }

  @Test
  void anOutputThatTheProtocolLacksIsLeftOutWithAWarning() {
    Tensor x = floats("x", Shape.of(2), 1, 2);

    assertThat(metadata("sequence").getOutputsList()).extracting(TensorMetadata::getName).containsExactly("y");
    assertThat(answer(raw("sequence", x))).containsExactly(floats("y", Shape.of(2), -1, -2));
    Refusal refusal = refusal(raw("sequence", x).addOutputs(output("both")));
    assertThat(refusal.code()).isEqualTo(Status.Code.INVALID_ARGUMENT);
    assertThat(refusal.message()).contains("output 'both' of model 'sequence'", "cannot carry", "[y]");
    assertThat(WARNINGS.list)
        .filteredOn(event -> event.getLevel() == Level.WARN)
        .extracting(ILoggingEvent::getFormattedMessage)
        .containsExactly(
            "sequence/1/model.onnx: output 'both' is left out, because the protocol carries plain tensors only",
            "sequence/1/model.onnx: output 'small' is left out, because the protocol carries plain tensors only");
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private List<Tensor> answer(ModelInferRequest.Builder request) {
    return outputs(gateway.inference().modelInfer(request.build()));
  }

  private Refusal refusal(ModelInferRequest.Builder request) {
    return Refusal.of(() -> gateway.inference().modelInfer(request.build()));
  }

  private ModelMetadataResponse metadata(String model) {
    return gateway.inference().modelMetadata(ModelMetadataRequest.newBuilder().setName(model).build());
  }

  private ModelVersion version(String model) {
    return gateway.models().listModels(ListModelsRequest.newBuilder().setModel(model).build()).getVersions(0);
  }
}
