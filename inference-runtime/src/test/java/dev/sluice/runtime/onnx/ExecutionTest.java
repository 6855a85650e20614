package dev.sluice.runtime.onnx;

import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static dev.sluice.runtime.testing.Tensors.strings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ExecutionSettings.GraphLevel;
import dev.sluice.runtime.model.ExecutionSettings.Memory;
import dev.sluice.runtime.model.ExecutionSettings.Placement;
import dev.sluice.runtime.model.ExecutionSettings.Threads;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.slf4j.LoggerFactory;

/// Models as they come, and the settings that they come with.
@Timeout(60)
class ExecutionTest {
  private static final List<String> Y = List.of("y");
  private static final ExecutionSettings DEFAULTS = ExecutionSettings.defaults();

  @TempDir private Path root;

  private final OnnxRuntime runtime = new OnnxRuntime();

  // --- settings -----------------------------------------------------------------------------------------------------

  static Stream<ExecutionSettings> settings() {
    Threads one = Threads.unspecified();
    Memory memory = DEFAULTS.memory();
    Placement anywhere = DEFAULTS.placement();
    return Stream.of(
        new ExecutionSettings(
            new Threads(OptionalInt.of(2), OptionalInt.of(3), true), GraphLevel.NONE, memory, anywhere, Map.of()),
        new ExecutionSettings(
            new Threads(OptionalInt.of(0), OptionalInt.of(0), true), GraphLevel.BASIC, memory, anywhere, Map.of()),
        new ExecutionSettings(one, GraphLevel.EXTENDED, new Memory(false, false, Set.of()), anywhere, Map.of()),
        new ExecutionSettings(
            one, GraphLevel.ALL, new Memory(true, false, Set.of("cpu:0", "gpu:0")), anywhere, Map.of()),
        new ExecutionSettings(
            one,
            GraphLevel.ALL,
            memory,
            new Placement(Device.CPU, List.of(), true, Map.of("use_tf32", "0")),
            Map.of("session.use_device_allocator_for_initializers", "1", "session.intra_op.allow_spinning", "1")));
  }

  @ParameterizedTest
  @MethodSource
  void settings(ExecutionSettings settings) throws Exception {
    try (Session session = load(OnnxModels.linear(2, 1, 3), settings)) {
      for (RunControl control : List.of(RunControl.none(), RunControl.create(), RunControl.none())) {
        assertThat(session.run(List.of(floats("x", Shape.of(2, 3), 1, 2, 3, 4, 5, 6)), Y, control))
            .containsExactly(floats("y", Shape.of(2, 3), 3, 5, 7, 9, 11, 13));
      }
      assertThat(session.devices()).isEqualTo(DeviceUse.cpu());
    }
  }

  // --- memory -------------------------------------------------------------------------------------------------------

  @Test
  void aRunThatNeedsMoreMemoryThanThereIsFailsAlone() throws Exception {
    try (Session session = load(expand(), DEFAULTS)) {
      assertThatExceptionOfType(ModelExecutionException.class)
          .isThrownBy(() -> session.run(List.of(longs("n", Shape.of(1), 1L << 40)), Y, RunControl.none()))
          .withMessageStartingWith("onnx runtime error 1: ")
          .withMessageContaining("4398046511104")
          .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.OUT_OF_MEMORY));
      assertThat(session.run(List.of(longs("n", Shape.of(1), 2)), Y, RunControl.none()))
          .containsExactly(floats("y", Shape.of(2), 1, 1));
    }
  }

  /// By the resident size of the whole process, which other tests' heaps move: it is run alone.
  @Test
  @Tag("long")
  void anArenaThatShrinksGivesBackWhatABigRunTook() throws Exception {
    long kept;
    try (Session session = load(expand(), DEFAULTS)) {
      kept = residentAfterABigRun(session);
    }
    ExecutionSettings shrinking =
        new ExecutionSettings(
            DEFAULTS.threads(), GraphLevel.ALL, new Memory(true, true, Set.of("cpu:0")), DEFAULTS.placement(), Map.of());
    long given;
    try (Session session = load(expand(), shrinking)) {
      given = residentAfterABigRun(session);
    }
    assertThat(kept).isGreaterThan(200 << 20);
    assertThat(given).isLessThan(100 << 20);
  }

  @Test
  void aClosedSessionsMemoryIsFree() throws Exception {
    Path folder = weights(64 << 20).writeTo(root, "m", 1);
    runtime.load(folder, ModelSettings.defaults()).close();
    long before = residentBytes();
    for (int i = 0; i < 10; i++) {
      try (Session session = runtime.load(folder, ModelSettings.defaults())) {
        assertThat(session.run(List.of(longs("i", Shape.of(1), 7)), Y, RunControl.none())).hasSize(1);
      }
    }
    assertThat(residentBytes() - before).isLessThan(200L << 20);
  }

  // --- models -------------------------------------------------------------------------------------------------------

  @Test
  void aModelWithoutInputsAnswers() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .constant(strings("c", Shape.of(2), "a", "b"))
            .node("Identity", List.of("c"), Y)
            .output("y", Datatype.BYTES, 2);
    try (Session session = load(graph, DEFAULTS)) {
      assertThat(session.signature().inputs()).isEmpty();
      assertThat(Tensors.strings(session.run(List.of(), Y, RunControl.none()).getFirst())).containsExactly("a", "b");
    }
  }

  @Test
  void anInputWithADefaultIsLeftToTheModel() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .constant(floats("w", Shape.of(1), 3))
            .input("x", Datatype.FP32, 1)
            .input("w", Datatype.FP32, 1)
            .node("Mul", List.of("x", "w"), Y)
            .output("y", Datatype.FP32, 1);
    Path folder = OnnxGraph.write(root, "m", 1, graph.model(3, 7));
    try (Session session = runtime.load(folder, ModelSettings.defaults())) {
      assertThat(session.signature().inputs()).containsExactly(new TensorSpec("x", Datatype.FP32, Shape.of(1)));
      assertThat(session.run(List.of(floats("x", Shape.of(1), 2)), Y, RunControl.none()))
          .containsExactly(floats("y", Shape.of(1), 6));
    }
  }

  @Test
  void anyDimensionMayBeFreeAndAnyMayBeZero() throws Exception {
    try (Session session = load(OnnxModels.identity(Datatype.FP32, -1, 2, -1, -1), DEFAULTS)) {
      for (Shape shape : List.of(Shape.of(1, 2, 3, 1), Shape.of(0, 2, 3, 1), Shape.of(3, 2, 0, 7), Shape.of(0, 2, 0, 0))) {
        Tensor x = floats("x", shape, new float[(int) shape.elements()]);
        assertThat(session.run(List.of(x), Y, RunControl.none()))
            .containsExactly(new Tensor("y", Datatype.FP32, shape, x.bytes()));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "14, COMPLEX64", "15, COMPLEX128", "17, FLOAT8E4M3FN", "20, FLOAT8E5M2FNUZ", "21, UINT4", "22, INT4", "23, FLOAT4E2M1",
    "24, FLOAT8E8M0", "26, INT2", "77, of ONNX's element type 77"
  })
  void anInputThatTheProtocolCannotCarryIsNamedWithItsType(int type, String name) throws Exception {
    OnnxGraph graph = new OnnxGraph().input("x", type, 1).node("Identity", List.of("x"), Y).output("y", type, 1);
    Path folder = OnnxGraph.write(root, "m", 1, graph.model(13, 25));
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> runtime.load(folder, ModelSettings.defaults()))
        .withMessage("m/1/model.onnx: input 'x' is %s, which the protocol cannot carry", name);
  }

  @ParameterizedTest
  @CsvSource({"3, 1", "3, 7", "7, 13", "10, 21", "13, 26"})
  void everyFormatThatOnnxRuntimeReadsIsServed(int irVersion, int opset) throws Exception {
    Path folder = OnnxGraph.write(root, "m", 1, OnnxModels.identity(Datatype.FP32, 1).model(irVersion, opset));
    try (Session session = runtime.load(folder, ModelSettings.defaults())) {
      assertThat(session.run(List.of(floats("x", Shape.of(1), 2)), Y, RunControl.none())).hasSize(1);
    }
  }

  @Test
  void aNewerFormatIsRefusedWithBothNumbers() throws Exception {
    assertRefused(
        OnnxModels.identity(Datatype.FP32, 1).model(14, 21),
        "m/1/model.onnx has IR version 14; ONNX Runtime 1.29.0 reads up to 13");
    assertRefused(
        OnnxModels.identity(Datatype.FP32, 1).model(10, 27),
        "m/1/model.onnx is written for opset 27 of ai.onnx; ONNX Runtime 1.29.0 has up to 26");
  }

  @Test
  void anOperatorThatLacksATypeIsNotCalledUnknown() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .input("x", Datatype.BYTES, 1)
            .node("Abs", List.of("x"), Y)
            .output("y", Datatype.BYTES, 1);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> load(graph, DEFAULTS))
        .withMessageContaining("Type 'tensor(string)' of input parameter (x) of operator (Abs)");
    OnnxGraph lacking =
        new OnnxGraph()
            .input("x", Datatype.BF16, 1)
            .node("Hardmax", List.of("x"), Y)
            .output("y", Datatype.BF16, 1);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> load(lacking, DEFAULTS))
        .withMessage(
            "m/1/model.onnx uses the operator 'Hardmax' of opset 13 on types for which ONNX Runtime does not have it");
  }

  // --- files --------------------------------------------------------------------------------------------------------

  @Test
  void weightsMayBeInSeveralFilesAndSubfolders() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .externalConstant("a", "a.bin", 2)
            .externalConstant("b", "weights/deep/b.bin", 2)
            .input("x", Datatype.FP32, 2)
            .node("Mul", List.of("x", "a"), List.of("scaled"))
            .node("Add", List.of("scaled", "b"), Y)
            .output("y", Datatype.FP32, 2);
    Path folder = Files.createDirectories(root.resolve("m/1/model.onnx"));
    Files.write(folder.resolve("model.onnx"), graph.model());
    Files.createDirectories(folder.resolve("weights/deep"));
    writeFloats(folder.resolve("a.bin"), 2, 3);
    writeFloats(folder.resolve("weights/deep/b.bin"), 10, 20);
    try (Session session = runtime.load(root.resolve("m/1"), ModelSettings.defaults())) {
      assertThat(session.run(List.of(floats("x", Shape.of(2), 1, 1)), Y, RunControl.none()))
          .containsExactly(floats("y", Shape.of(2), 12, 23));
    }
  }

  @Test
  @Tag("long")
  void weightsOfMoreThanTwoGibibytesAreServed() throws Exception {
    long each = (900L << 20) / Float.BYTES;
    OnnxGraph graph = new OnnxGraph().input("i", Datatype.INT64, 1);
    String sum = "";
    for (String name : List.of("a", "b", "c")) {
      graph.externalConstant(name, name + ".bin", each).node("Gather", List.of(name, "i"), List.of("from_" + name));
      if (!sum.isEmpty()) {
        graph.node("Add", List.of(sum, "from_" + name), List.of("sum_" + name));
      }
      sum = sum.isEmpty() ? "from_" + name : "sum_" + name;
    }
    Path folder = graph.output(sum, Datatype.FP32, 1).writeTo(root, "m", 1);
    for (String name : List.of("a", "b", "c")) {
      try (RandomAccessFile file = new RandomAccessFile(folder.resolve(name + ".bin").toFile(), "rw")) {
        file.setLength(each * Float.BYTES);
        file.seek((each - 1) * Float.BYTES);
        file.write(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(1.5f).array());
      }
    }
    try (Session session = runtime.load(folder, ModelSettings.defaults())) {
      assertThat(session.run(List.of(longs("i", Shape.of(1), each - 1)), List.of(sum), RunControl.none()))
          .containsExactly(floats(sum, Shape.of(1), 4.5f));
    }
  }

  // --- devices ------------------------------------------------------------------------------------------------------

  @Test
  void aModelThatWantsAGpuIsRefusedWithTheTrueCause() throws Exception {
    Path folder = OnnxModels.linear(2, 1, 3).writeTo(root, "m", 1);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> runtime.load(folder, on(Device.GPU, 2)))
        .withMessage(
            "m/1/model.onnx cannot be loaded on GPU 2: this build of ONNX Runtime is for the CPU only "
                + "(onnx runtime error 11: Failed to find CUDA shared provider)");
    assertThat(runtime.fault()).isEmpty();
  }

  @Test
  void aModelThatMayFallsBackToTheCpuAndSaysSo() throws Exception {
    Path folder = OnnxModels.linear(2, 1, 1).writeTo(root, "m", 1);
    Logger logger = (Logger) LoggerFactory.getLogger(OnnxRuntime.class);
    ListAppender<ILoggingEvent> events = new ListAppender<>();
    events.start();
    logger.addAppender(events);
    try (Session session = runtime.load(folder, on(Device.AUTO, 0))) {
      assertThat(session.devices()).isEqualTo(new DeviceUse(Device.AUTO, List.of("cpu")));
      assertThat(session.run(List.of(floats("x", Shape.of(1, 1), 2)), Y, RunControl.none()))
          .containsExactly(floats("y", Shape.of(1, 1), 5));
      assertThat(events.list.stream().map(ILoggingEvent::getFormattedMessage))
          .containsExactly(
              "m/1/model.onnx cannot be loaded on GPU 0: this build of ONNX Runtime is for the CPU only "
                  + "(onnx runtime error 11: Failed to find CUDA shared provider); it runs on the CPU");
    } finally {
      logger.detachAppender(events);
    }
  }

  @Test
  void theServersDeviceIsForModelsThatDoNotSay() throws Exception {
    OnnxRuntime gpuFirst = new OnnxRuntime(new OnnxOptions(Device.GPU, false, Threads.unspecified()));
    Path folder = OnnxModels.linear(2, 1, 1).writeTo(root, "m", 1);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> gpuFirst.load(folder, ModelSettings.defaults()))
        .withMessageStartingWith("m/1/model.onnx cannot be loaded on GPU 0: ");
    try (Session session = gpuFirst.load(folder, on(Device.CPU, 0))) {
      assertThat(session.devices()).isEqualTo(DeviceUse.cpu());
    }
  }

  @Test
  void aProcessHasOnePoolOfSharedThreadsOrNone() {
    assertThatExceptionOfType(IllegalStateException.class)
        .isThrownBy(() -> new OnnxRuntime(new OnnxOptions(Device.CPU, true, Threads.unspecified())))
        .withMessageStartingWith("ONNX Runtime runs already in this process, started with OnnxOptions[");
  }

  // --- parts --------------------------------------------------------------------------------------------------------

  private static ModelSettings on(Device device, int gpu) {
    return ModelSettings.defaults()
        .withExecution(
            new ExecutionSettings(
                DEFAULTS.threads(),
                GraphLevel.ALL,
                DEFAULTS.memory(),
                new Placement(device, device == Device.CPU ? List.of() : List.of(gpu), true, Map.of("use_tf32", "0")),
                Map.of()));
  }

  /// `y` is as many ones as `n` says.
  private static OnnxGraph expand() {
    return new OnnxGraph()
        .constant(floats("one", Shape.of(1), 1))
        .input("n", Datatype.INT64, 1)
        .node("Expand", List.of("one", "n"), Y)
        .output("y", Datatype.FP32, -1);
  }

  private static OnnxGraph weights(int bytes) {
    return new OnnxGraph()
        .constant(new Tensor("w", Datatype.UINT8, Shape.of(bytes), ByteBuffer.allocate(bytes)))
        .input("i", Datatype.INT64, 1)
        .node("Gather", List.of("w", "i"), Y)
        .output("y", Datatype.UINT8, 1);
  }

  /// How much more memory the process has after a run whose intermediate results take 256 MiB.
  private static long residentAfterABigRun(Session session) throws Exception {
    session.run(List.of(longs("n", Shape.of(1), 1)), Y, RunControl.none());
    long before = residentBytes();
    session.run(List.of(longs("n", Shape.of(1), 64 << 20)), Y, RunControl.none());
    System.gc();
    return residentBytes() - before;
  }

  private static long residentBytes() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("RssAnon:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
        .findFirst()
        .orElseThrow();
  }

  private static void writeFloats(Path file, float... values) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    Files.write(file, bytes.array());
  }

  private Session load(OnnxGraph graph, ExecutionSettings settings) throws IOException, ModelLoadException {
    return runtime.load(graph.writeTo(root, "m", 1), ModelSettings.defaults().withExecution(settings));
  }

  private void assertRefused(byte[] model, String message) throws IOException {
    Path folder = OnnxGraph.write(root, "m", 1, model);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> runtime.load(folder, ModelSettings.defaults()))
        .withMessage(message);
  }
}
