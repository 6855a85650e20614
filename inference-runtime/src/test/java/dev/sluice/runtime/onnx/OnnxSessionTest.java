package dev.sluice.runtime.onnx;

import static dev.sluice.runtime.testing.Tensors.bools;
import static dev.sluice.runtime.testing.Tensors.byteStrings;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static dev.sluice.runtime.testing.Tensors.random;
import static dev.sluice.runtime.testing.Tensors.strings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

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
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

@Timeout(60)
class OnnxSessionTest {
  private static final long SEED = 20261121;
  private static final List<String> Y = List.of("y");

  @TempDir private Path root;

  private final OnnxRuntime runtime = new OnnxRuntime();

  @ParameterizedTest
  @EnumSource(mode = Mode.EXCLUDE, names = "BYTES")
  void everyBitOfEveryFixedSizeDatatypeSurvives(Datatype datatype) throws Exception {
    System.out.println("seed " + SEED);
    Random random = new Random(SEED);
    try (Session session = load(OnnxModels.identity(datatype, -1, 3))) {
      assertThat(session.signature().input("x")).isEqualTo(new TensorSpec("x", datatype, Shape.of(-1, 3)));
      // Nothing, one row, a size between two size classes of the pool, and more than the pool keeps.
      for (long rows : new long[] {0, 1, 777, 2_000_000}) {
        Tensor x = random("x", datatype, Shape.of(rows, 3), random);
        Tensor y = session.run(List.of(x), Y, RunControl.none()).getFirst();
        assertThat(y).isEqualTo(new Tensor("y", datatype, x.shape(), x.bytes()));
        assertThat(y.bytes().order()).isEqualTo(ByteOrder.LITTLE_ENDIAN);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"INT16", "UINT16", "BF16", "FP16"})
  void everyValueOfTheSixteenBitDatatypesSurvives(Datatype datatype) throws Exception {
    ByteBuffer all = ByteBuffer.allocate(2 << 16).order(ByteOrder.LITTLE_ENDIAN);
    for (int value = 0; value < 1 << 16; value++) {
      all.putShort((short) value);
    }
    try (Session session = load(OnnxModels.identity(datatype, -1))) {
      Tensor x = new Tensor("x", datatype, Shape.of(1 << 16), all.flip());
      assertThat(session.run(List.of(x), Y, RunControl.none()).getFirst().bytes()).isEqualTo(x.bytes());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"UINT16", "UINT32", "UINT64"})
  void theExtremesOfUnsignedIntegersSurvive(Datatype datatype) throws Exception {
    ByteBuffer bytes = ByteBuffer.allocate(4 * 8).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(-1).putLong(Long.MIN_VALUE).putLong(Long.MAX_VALUE).putLong(0x8000_8000_8000_8000L);
    try (Session session = load(OnnxModels.identity(datatype, -1))) {
      Tensor x = new Tensor("x", datatype, Shape.of(32 / datatype.byteSize()), bytes.flip());
      assertThat(session.run(List.of(x), Y, RunControl.none()).getFirst().bytes()).isEqualTo(x.bytes());
    }
  }

  @ParameterizedTest
  @EnumSource
  void scalarsHaveNoDimensions(Datatype datatype) throws Exception {
    Tensor x =
        datatype == Datatype.BYTES
            ? strings("x", Shape.of(), "one")
            : random("x", datatype, Shape.of(), new Random(SEED));
    try (Session session = load(OnnxModels.identity(datatype))) {
      Tensor y = session.run(List.of(x), Y, RunControl.none()).getFirst();
      assertThat(y).isEqualTo(new Tensor("y", datatype, Shape.of(), x.bytes()));
    }
  }

  @Test
  void stringsArriveByteForByteEvenBeyondTheBasicPlane() throws Exception {
    String[] texts = {"", "plain", "a\0b", "grüße", "😀 and 𝕏", "\0"};
    OnnxGraph graph =
        new OnnxGraph()
            .constant(strings("wanted", Shape.of(2, 3), texts))
            .input("x", Datatype.BYTES, 2, 3)
            .node("Equal", List.of("x", "wanted"), List.of("same"))
            .node("Identity", List.of("wanted"), List.of("y"))
            .output("same", Datatype.BOOL, 2, 3)
            .output("y", Datatype.BYTES, 2, 3);
    try (Session session = load(graph)) {
      List<Tensor> answer =
          session.run(List.of(strings("x", Shape.of(2, 3), texts)), List.of("same", "y"), RunControl.none());
      assertThat(answer.getFirst()).isEqualTo(bools("same", Shape.of(2, 3), true, true, true, true, true, true));
      assertThat(Tensors.strings(answer.getLast())).containsExactly(texts);
    }
  }

  @Test
  void noStringsAtAllIsAnAnswerToo() throws Exception {
    try (Session session = load(OnnxModels.identity(Datatype.BYTES, -1, 2))) {
      Tensor x = strings("x", Shape.of(0, 2));
      assertThat(session.run(List.of(x), Y, RunControl.none())).containsExactly(strings("y", Shape.of(0, 2)));
    }
  }

  @Test
  void bytesThatAreNotStringsAreTheCallersMistake() throws Exception {
    try (Session session = load(OnnxModels.identity(Datatype.BYTES, -1))) {
      byte[] notUtf8 = {'a', (byte) 0xff};
      assertInvalid(session, byteStrings("x", Shape.of(1), List.of(notUtf8)), "input 'x': element 0 is not UTF-8");
      assertInvalid(session, wire(2, 9, 0, 0, 0, 'a'), "input 'x': element 0 of 2 reaches beyond its 5 bytes");
      assertInvalid(session, wire(1, -1, -1, -1, -1), "input 'x': element 0 of 1 reaches beyond its 4 bytes");
      assertInvalid(session, wire(2, 0, 0, 0, 0, 7), "input 'x': element 1 of 2 reaches beyond its 5 bytes");
      assertInvalid(session, wire(1, 0, 0, 0, 0, 7), "input 'x': 1 bytes follow its 1 elements");
    }
  }

  @Test
  void directBuffersAreReadInPlaceAndLeftAlone() throws Exception {
    ByteBuffer memory = ByteBuffer.allocateDirect(64).order(ByteOrder.LITTLE_ENDIAN);
    try (Session session = load(OnnxModels.linear(2, 1, 1))) {
      for (int offset = 0; offset < 16; offset++) {
        ByteBuffer bytes = memory.slice(offset, 8).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putFloat(0, offset).putFloat(4, -offset);
        Tensor x = new Tensor("x", Datatype.FP32, Shape.of(2, 1), bytes.asReadOnlyBuffer());
        Tensor y = session.run(List.of(x), Y, RunControl.none()).getFirst();
        assertThat(y).isEqualTo(floats("y", Shape.of(2, 1), 2 * offset + 1, -2 * offset + 1));
        assertThat(x.bytes().position()).isZero();
      }
    }
  }

  @Test
  void outputsComeInTheOrderAskedFor() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .input("x", Datatype.FP32, 1)
            .node("Identity", List.of("x"), List.of("first"))
            .node("Neg", List.of("x"), List.of("second"))
            .output("first", Datatype.FP32, 1)
            .output("second", Datatype.FP32, 1);
    try (Session session = load(graph)) {
      List<Tensor> x = List.of(floats("x", Shape.of(1), 3));
      assertThat(session.run(x, List.of("second", "first"), RunControl.none()))
          .containsExactly(floats("second", Shape.of(1), -3), floats("first", Shape.of(1), 3));
      assertThat(session.run(x, List.of("second"), RunControl.none()))
          .containsExactly(floats("second", Shape.of(1), -3));
    }
  }

  @Test
  void outputsThatTheProtocolCannotCarryAreNamedAndTheRestIsServed() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .input("x", Datatype.FP32, 1)
            .node("Identity", List.of("x"), List.of("y"))
            .node("SequenceConstruct", List.of("x"), List.of("sequence"))
            .node("Optional", List.of("x"), List.of("optional"))
            .node("Cast", List.of("x"), List.of("small"), OnnxGraph.number("to", 17))
            .output("y", Datatype.FP32, 1)
            .sequenceOutput("sequence", Datatype.FP32)
            .output("small", 17, 1)
            .optionalOutput("optional", Datatype.FP32, 1);
    try (Session session = load(graph)) {
      assertThat(session.signature().outputs()).containsExactly(new TensorSpec("y", Datatype.FP32, Shape.of(1)));
      assertThat(session.signature().unsupportedOutputs()).containsExactly("sequence", "small", "optional");
      assertThat(session.run(List.of(floats("x", Shape.of(1), 3)), Y, RunControl.none()))
          .containsExactly(floats("y", Shape.of(1), 3));
    }
  }

  @Test
  void aModelOfUnsupportedOutputsOnlyIsRefused() {
    OnnxGraph graph =
        new OnnxGraph()
            .input("x", Datatype.FP32, 1)
            .node("SequenceConstruct", List.of("x"), List.of("s"))
            .sequenceOutput("s", Datatype.FP32);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> load(graph))
        .withMessage("m/1/model.onnx: the protocol carries tensors only, and it knows none of the outputs [s]");
  }

  @Test
  void anUnknownOperatorIsNamed() {
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> load(OnnxModels.unknownOperator()))
        .withMessage("m/1/model.onnx uses the operator 'Frobnicate', which ONNX Runtime does not know");
  }

  @Test
  void aFailureInTheModelIsOneSentence() throws Exception {
    try (Session session = load(OnnxModels.gather())) {
      assertThatExceptionOfType(ModelExecutionException.class)
          .isThrownBy(() -> session.run(List.of(longs("index", Shape.of(1), 7)), Y, RunControl.none()))
          .withMessageContaining("Gather")
          .withMessageContaining("idx=7")
          .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.FAILED))
          .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
      assertThat(session.run(List.of(longs("index", Shape.of(1), 2)), Y, RunControl.none()))
          .containsExactly(floats("y", Shape.of(1), 30));
    }
  }

  @Test
  void modelsOfOneSignatureCanDifferInAllThatARolloutWatches() throws Exception {
    Tensor harmless = floats("x", Shape.of(2, 2), 0.5f, 7, -1, 7);
    Tensor harmful = floats("x", Shape.of(2, 2), 0.5f, 7, 1, 7);
    Tensor expected = floats("y", Shape.of(2, 2), 2, 15, -1, 15);
    try (Session plain = load(OnnxModels.linear(2, 1, 2));
        Session slow = load(OnnxModels.slowLinear(2, 1, 2, 10_000));
        Session failing = load(OnnxModels.linearThatFailsFromOne(2, 1, 2))) {
      assertThat(slow.signature()).isEqualTo(plain.signature());
      assertThat(failing.signature()).isEqualTo(plain.signature());
      for (Session session : List.of(plain, slow, failing)) {
        assertThat(session.run(List.of(harmless), Y, RunControl.none())).containsExactly(expected);
      }
      assertThatExceptionOfType(ModelExecutionException.class)
          .isThrownBy(() -> failing.run(List.of(harmful), Y, RunControl.none()));
    }
  }

  @Test
  void aRunThatWouldNeverEndIsTerminated() throws Exception {
    try (Session session = load(OnnxModels.loop());
        ExecutorService threads = Executors.newSingleThreadExecutor()) {
      RunControl control = RunControl.create();
      Future<List<Tensor>> endless = threads.submit(() -> session.run(loopInputs(Long.MAX_VALUE), Y, control));
      await().during(Duration.ofMillis(100)).until(() -> !endless.isDone());
      control.terminate();
      assertTerminated(endless);
      assertThatExceptionOfType(ModelExecutionException.class)
          .isThrownBy(() -> session.run(loopInputs(1), Y, control))
          .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.TERMINATED));
      assertThat(session.run(loopInputs(5), Y, RunControl.create())).containsExactly(floats("y", Shape.of(1), 5));
    }
  }

  @Test
  void terminatingAtAnyMomentEndsTheRunOrComesTooLate() throws Exception {
    System.out.println("seed " + SEED);
    Random random = new Random(SEED);
    try (Session session = load(OnnxModels.loop());
        ExecutorService threads = Executors.newSingleThreadExecutor()) {
      int terminated = 0;
      for (int round = 0; round < 2000; round++) {
        RunControl control = RunControl.create();
        Future<List<Tensor>> run = threads.submit(() -> session.run(loopInputs(20), Y, control));
        for (int spins = random.nextInt(3000); spins > 0; spins--) {
          Thread.onSpinWait();
        }
        control.terminate();
        try {
          assertThat(run.get()).containsExactly(floats("y", Shape.of(1), 20));
        } catch (ExecutionException e) {
          assertThat(e.getCause())
              .isInstanceOfSatisfying(
                  ModelExecutionException.class, cause -> assertThat(cause.kind()).isEqualTo(Kind.TERMINATED));
          terminated++;
        }
      }
      System.out.println(terminated + " of 2000 runs were terminated");
    }
  }

  @Test
  void manyThreadsShareOneSession() throws Exception {
    try (Session session = load(OnnxModels.linear(3, 1, 4));
        ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<Void>> done =
          threads.invokeAll(
              IntStream.range(0, 4)
                  .<Callable<Void>>mapToObj(
                      thread ->
                          () -> {
                            for (int i = 0; i < 2000; i++) {
                              Tensor x = floats("x", Shape.of(1, 4), thread, i, -i, 0.5f);
                              assertThat(session.run(List.of(x), Y, RunControl.none()))
                                  .containsExactly(
                                      floats("y", Shape.of(1, 4), 3 * thread + 1, 3 * i + 1, -3 * i + 1, 2.5f));
                            }
                            return null;
                          })
                  .toList());
      for (Future<Void> future : done) {
        future.get();
      }
    }
  }

  private Session load(OnnxGraph graph) throws IOException, ModelLoadException {
    return runtime.load(graph.writeTo(root, "m", 1), ModelSettings.defaults());
  }

  private static List<Tensor> loopInputs(long trips) {
    return List.of(longs("trips", Shape.of(), trips), floats("x", Shape.of(1), 0));
  }

  private static Tensor wire(long elements, int... bytes) {
    ByteBuffer buffer = ByteBuffer.allocate(bytes.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : bytes) {
      buffer.put((byte) value);
    }
    return new Tensor("x", Datatype.BYTES, Shape.of(elements), buffer.flip());
  }

  private static void assertInvalid(Session session, Tensor x, String message) {
    assertThatExceptionOfType(ModelExecutionException.class)
        .isThrownBy(() -> session.run(List.of(x), Y, RunControl.none()))
        .withMessage(message)
        .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.INVALID_INPUT));
  }

  private static void assertTerminated(Future<List<Tensor>> run) {
    assertThatExceptionOfType(ExecutionException.class)
        .isThrownBy(run::get)
        .satisfies(
            e ->
                assertThat(e.getCause())
                    .isInstanceOfSatisfying(
                        ModelExecutionException.class, cause -> assertThat(cause.kind()).isEqualTo(Kind.TERMINATED)));
  }
}
