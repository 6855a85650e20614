package dev.sluice.runtime.onnx;

import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtException.OrtErrorCode;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The call past the Java binding does what the binding's own run does, errors included.
@Timeout(60)
class IoBindingTest {
  private static final long SEED = 20261121;

  @TempDir private Path root;

  private final OrtEnvironment environment = OnnxEnvironment.start(OnnxOptions.defaults());
  private final BufferPool pool = BufferPool.shared();

  @Test
  void anErrorHasTheCodeAndTheTextThatTheJavaBindingGives() throws Exception {
    Engine engine = open(OnnxModels.gather());
    Tensor bad = longs("index", Shape.of(1), 1_000_000);
    OrtException expected;
    try (OnnxTensor tensor =
        OnnxTensor.createTensor(environment, LongBuffer.wrap(new long[] {1_000_000}), new long[] {1})) {
      expected =
          catchThrowableOfType(
              OrtException.class, () -> engine.run(Map.of("index", tensor), Set.of("y"), null).close());
    }
    assertThat(expected.getCode()).isEqualTo(OrtErrorCode.ORT_INVALID_ARGUMENT);
    Bound bound = new Bound(engine, List.of(bad), List.of(floats("y", Shape.of(1), 0)));
    for (int run = 0; run < 3; run++) {
      assertThatExceptionOfType(OrtException.class)
          .isThrownBy(() -> bound.run(null))
          .withMessage(expected.getMessage())
          .satisfies(e -> assertThat(e.getCode()).isEqualTo(expected.getCode()))
          .satisfies(e -> assertThat(OnnxErrors.numbered(e)).contains("indices element out of data bounds"));
    }
    bound.close();
    engine.close();
  }

  @Test
  void aModelWithoutSuchAnInputSaysWhichNameItDoesNotKnow() throws Exception {
    Engine engine = open(OnnxModels.linear(2, 1, 1));
    Tensor other = floats("größe", Shape.of(1, 1), 1);
    assertThatExceptionOfType(OrtException.class)
        .isThrownBy(() -> new Bound(engine, List.of(other), List.of(floats("y", Shape.of(1, 1), 0))).run(null))
        .withMessageContaining("größe");
    engine.close();
  }

  @Test
  void anOutputOfAnotherShapeFailsTheRun() throws Exception {
    Engine engine = open(OnnxModels.linear(2, 1, 1));
    Bound bound =
        new Bound(engine, List.of(floats("x", Shape.of(2, 1), 1, 2)), List.of(floats("y", Shape.of(3, 1), 0, 0, 0)));
    assertThatExceptionOfType(OrtException.class).isThrownBy(() -> bound.run(null)).withMessageContaining("{3,1}");
    bound.close();
    engine.close();
  }

  @Test
  void aRunInProgressStopsWhenItIsTold() throws Exception {
    Engine engine = open(OnnxModels.loop());
    List<Tensor> endless = List.of(longs("trips", Shape.of(), Long.MAX_VALUE), floats("x", Shape.of(1), 0));
    Bound bound = new Bound(engine, endless, List.of(floats("y", Shape.of(1), 0)));
    try (OrtSession.RunOptions options = engine.runOptions()) {
      Thread runner = Thread.currentThread();
      Thread stopper =
          Thread.ofPlatform()
              .start(
                  () -> {
                    while (!isIn(runner, "IoBinding")) {
                      Thread.onSpinWait();
                    }
                    OnnxSession.terminate(options);
                  });
      assertThatExceptionOfType(OrtException.class)
          .isThrownBy(() -> bound.run(options))
          .withMessageContaining("terminate");
      stopper.join();
    }
    bound.close();
    engine.close();
  }

  private static boolean isIn(Thread thread, String type) {
    return Arrays.stream(thread.getStackTrace())
        .anyMatch(frame -> frame.getClassName().endsWith("." + type) && frame.getMethodName().equals("run"));
  }

  @Test
  void namesBeyondAsciiReachTheModelAsTheyAre() throws Exception {
    String in = "größe\uD83D\uDE00";
    String out = "сумма";
    OnnxGraph graph =
        new OnnxGraph()
            .constant(floats("c", Shape.of(2), 7, 8))
            .input(in, Datatype.FP32, 2)
            .node("Add", List.of(in, "c"), List.of(out))
            .output(out, Datatype.FP32, 2);
    Engine engine = open(graph);
    Bound bound = new Bound(engine, List.of(floats(in, Shape.of(2), 1, 2)), List.of(floats(out, Shape.of(2), 0, 0)));
    bound.run(null);
    assertThat(bound.answer(0)).isEqualTo(floats(out, Shape.of(2), 8, 10).bytes());
    bound.close();
    engine.close();
  }

  @Test
  void bindingsOfOneSessionRunAtTheSameTimeAndKeepTheirOwn() throws Exception {
    System.out.println("seed " + SEED);
    Engine engine = open(OnnxModels.linear(2, 1, 1));
    int threads = 8;
    try (ExecutorService callersThreads = Executors.newFixedThreadPool(threads)) {
      List<Callable<Void>> callers = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        long seed = SEED + thread;
        callers.add(
            () -> {
              Random random = new Random(seed);
              for (int bindings = 0; bindings < 20; bindings++) {
                callsWithOneBinding(engine, random);
              }
              return null;
            });
      }
      for (Future<Void> caller : callersThreads.invokeAll(callers)) {
        caller.get();
      }
    }
    engine.close();
  }

  private void callsWithOneBinding(Engine engine, Random random) throws OrtException {
    int rows = 1 + random.nextInt(40);
    Shape shape = Shape.of(rows, 1);
    Bound bound =
        new Bound(engine, List.of(floats("x", shape, new float[rows])), List.of(floats("y", shape, new float[rows])));
    for (int run = 0; run < 100; run++) {
      float[] expected = new float[rows];
      for (int i = 0; i < rows; i++) {
        float x = random.nextInt(1_000);
        bound.inputs.getFirst().putFloat(4 * i, x);
        expected[i] = 2 * x + 1;
      }
      bound.run(null);
      assertThat(bound.answer(0)).isEqualTo(floats("y", shape, expected).bytes());
    }
    bound.close();
  }

  @Test
  void aClosedSessionSaysSo() throws Exception {
    Engine engine = open(OnnxModels.linear(2, 1, 1));
    List<Tensor> x = List.of(floats("x", Shape.of(1, 1), 1));
    List<Tensor> y = List.of(floats("y", Shape.of(1, 1), 0));
    Bound bound = new Bound(engine, x, y);
    bound.run(null);
    engine.close();
    assertThatIllegalStateException().isThrownBy(() -> bound.run(null)).withMessageContaining("closed");
    assertThatIllegalStateException().isThrownBy(() -> engine.bind(pool, x, y)).withMessageContaining("closed");
    bound.close();
  }

  /// A binding with memory of its own for everything.
  private final class Bound {
    private final Engine engine;
    private final IoBinding binding;
    private final List<ByteBuffer> inputs = new ArrayList<>();
    private final List<ByteBuffer> outputs = new ArrayList<>();

    Bound(Engine engine, List<Tensor> inputs, List<Tensor> outputs) throws OrtException {
      this.engine = engine;
      this.binding = engine.bind(pool, inputs, outputs);
      for (Tensor input : inputs) {
        ByteBuffer memory = direct(input);
        this.inputs.add(memory);
        binding.input(this.inputs.size() - 1, RunSlot.address(memory));
      }
      for (Tensor output : outputs) {
        ByteBuffer memory = direct(output);
        this.outputs.add(memory);
        binding.output(this.outputs.size() - 1, RunSlot.address(memory));
      }
    }

    void run(OrtSession.@Nullable RunOptions options) throws OrtException {
      engine.run(binding, options);
    }

    ByteBuffer answer(int index) {
      return outputs.get(index);
    }

    void close() {
      binding.close();
    }

    private static ByteBuffer direct(Tensor tensor) {
      int size = tensor.bytes().limit();
      return ByteBuffer.allocateDirect(size).order(ByteOrder.LITTLE_ENDIAN).put(0, tensor.bytes(), 0, size);
    }
  }

  private Engine open(OnnxGraph graph) throws Exception {
    Path file = graph.writeTo(root, "m", 1).resolve("model.onnx");
    return NativeEngine.open(
        environment, file, ExecutionSettings.defaults(), OnnxOptions.defaults(), Engine.ON_CPU);
  }
}
