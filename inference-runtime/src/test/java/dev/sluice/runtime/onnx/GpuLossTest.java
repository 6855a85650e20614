package dev.sluice.runtime.onnx;

import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtException.OrtErrorCode;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What happens when a GPU fails under a model, played on the CPU: the sessions are real, the faults are CUDA's messages.
class GpuLossTest {
  private static final String ILLEGAL_ADDRESS =
      "CUDA failure 700: an illegal memory access was encountered ; GPU=0";
  private static final String NO_MEMORY =
      "bfc_arena.cc:359 Failed to allocate memory for requested buffer of size 4398046511104";
  private static final TensorSpec X = new TensorSpec("x", Datatype.FP32, Shape.of(-1, 1));
  private static final Signature SIGNATURE =
      new Signature(List.of(X), List.of(new TensorSpec("y", Datatype.FP32, X.shape())), List.of(), 0);

  @TempDir private Path root;

  private final OrtEnvironment environment = OnnxEnvironment.start(OnnxOptions.defaults());
  private final GpuHealth health = new GpuHealth();
  private final List<String> faultsSeen = new ArrayList<>();
  private Path file = Path.of("");

  /// A session that says it is on a GPU, and fails when it is told to.
  private final class Gpu implements Engine {
    private final Engine real;
    private final int number;
    private final AtomicInteger runs = new AtomicInteger();
    private volatile @Nullable String fault;
    private volatile boolean closed;

    Gpu(int number) throws OrtException {
      this.real = cpu();
      this.number = number;
    }

    @Override
    public OrtSession.Result run(
        Map<String, OnnxTensor> inputs, Set<String> outputs, OrtSession.@Nullable RunOptions options)
        throws OrtException {
      runs.incrementAndGet();
      String now = fault;
      if (now != null) {
        throw new OrtException(OrtErrorCode.ORT_FAIL, now);
      }
      return real.run(inputs, outputs, options);
    }

    @Override
    public IoBinding bind(BufferPool pool, List<Tensor> inputs, List<Tensor> outputs) throws OrtException {
      return real.bind(pool, inputs, outputs);
    }

    @Override
    public void run(IoBinding binding, OrtSession.@Nullable RunOptions options) throws OrtException {
      real.run(binding, options);
    }

    @Override
    public OrtSession.RunOptions runOptions() throws OrtException {
      return real.runOptions();
    }

    @Override
    public int gpu() {
      return number;
    }

    @Override
    public void close() throws OrtException {
      closed = true;
      real.close();
    }
  }

  @BeforeEach
  void writeTheModel() throws Exception {
    file = OnnxModels.linear(2, 1, 1).writeTo(root, "m", 1).resolve("model.onnx");
    health.onChange(() -> faultsSeen.add(health.fault().orElse("")));
  }

  @Test
  void gpusTakeTurns() throws Exception {
    Gpu first = new Gpu(0);
    Gpu second = new Gpu(3);
    try (Session session = session(Device.GPU, first, second)) {
      assertThat(session.devices()).isEqualTo(new DeviceUse(Device.GPU, List.of("gpu:0", "gpu:3")));
      assertThat(session.devices().gpus()).containsExactly(0, 3);
      assertThat(session.devices().instancesPerDevice()).isEqualTo(2);
      for (int i = 0; i < 10; i++) {
        assertAnswers(session);
      }
    }
    assertThat(first.runs).hasValue(5);
    assertThat(second.runs).hasValue(5);
    assertThat(first.closed).isTrue();
  }

  @Test
  void aRunWithoutMemoryFailsAloneAndTheNextOneIsServed() throws Exception {
    Gpu gpu = new Gpu(0);
    try (Session session = session(Device.AUTO, gpu)) {
      gpu.fault = NO_MEMORY;
      assertFails(session, Kind.OUT_OF_MEMORY, "onnx runtime error 1: " + NO_MEMORY);
      gpu.fault = null;
      assertAnswers(session);
      assertThat(session.devices().onGpu()).isTrue();
    }
  }

  @Test
  void aModelThatMayMovesToTheCpuAndTheCallerDoesNotNotice() throws Exception {
    Gpu gpu = new Gpu(0);
    try (Session session = session(Device.AUTO, gpu)) {
      gpu.fault = ILLEGAL_ADDRESS;
      assertAnswers(session);
      assertAnswers(session);
      assertThat(gpu.runs).hasValue(1);
      assertThat(session.devices()).isEqualTo(new DeviceUse(Device.AUTO, List.of("cpu")));
      assertThat(health.fault()).isEmpty();
    }
    assertThat(gpu.closed).as("freed into a dead context").isFalse();
  }

  @Test
  void aModelThatMayNotMakesTheProcessUnfitUntilItIsUnloaded() throws Exception {
    Gpu gpu = new Gpu(0);
    String reason = "m/1/model.onnx: onnx runtime error 1: CUDA failure 700: an illegal memory access was encountered ; GPU=0";
    try (Session session = session(Device.GPU, gpu)) {
      gpu.fault = ILLEGAL_ADDRESS;
      assertFails(session, Kind.DEVICE_LOST, reason.substring("m/1/model.onnx: ".length()));
      gpu.fault = null;
      assertFails(session, Kind.DEVICE_LOST, "the GPUs cannot be used any more: " + reason);
      assertThat(gpu.runs).hasValue(1);
      assertThat(session.devices().devices()).isEmpty();
      assertThat(health.fault()).contains(reason);
    }
    assertThat(health.fault()).isEmpty();
    assertThat(faultsSeen).containsExactly("", reason, "");
  }

  @Test
  void oneModelsLossIsEveryModels() throws Exception {
    Gpu first = new Gpu(0);
    Gpu second = new Gpu(1);
    try (Session one = session(Device.AUTO, first);
        Session other = session(Device.AUTO, second)) {
      first.fault = ILLEGAL_ADDRESS;
      assertAnswers(one);
      assertAnswers(other);
      assertThat(second.runs).hasValue(0);
    }
  }

  @Test
  void manyCallsAtTheMomentOfLossAreAllAnswered() throws Exception {
    Gpu gpu = new Gpu(0);
    try (Session session = session(Device.AUTO, gpu);
        ExecutorService threads = Executors.newFixedThreadPool(8)) {
      List<Future<Void>> calls =
          threads.invokeAll(
              IntStream.range(0, 400)
                  .<Callable<Void>>mapToObj(
                      i ->
                          () -> {
                            if (i == 200) {
                              gpu.fault = ILLEGAL_ADDRESS;
                            }
                            assertAnswers(session);
                            return null;
                          })
                  .toList());
      for (Future<Void> call : calls) {
        call.get();
      }
      assertThat(session.devices().devices()).containsExactly("cpu");
    }
  }

  @Test
  void aCpuSessionNeverLosesADevice() throws Exception {
    Gpu liar = new Gpu(Engine.ON_CPU);
    try (Session session = session(Device.CPU, liar)) {
      liar.fault = ILLEGAL_ADDRESS;
      assertThatExceptionOfType(ModelExecutionException.class).isThrownBy(() -> run(session));
      assertThat(health.lost()).isNull();
      liar.fault = null;
      assertAnswers(session);
    }
  }

  private Engine cpu() throws OrtException {
    return NativeEngine.open(
        environment, file, ExecutionSettings.defaults(), OnnxOptions.defaults(), Engine.ON_CPU);
  }

  private Session session(Device asked, Engine... engines) throws OrtException {
    return OnnxSession.create(
        environment,
        new Engines("m/1/model.onnx", asked, List.of(engines), health, asked == Device.AUTO ? this::cpu : null),
        SIGNATURE,
        BufferPool.shared());
  }

  private static List<Tensor> run(Session session) throws ModelExecutionException {
    return session.run(List.of(floats("x", Shape.of(2, 1), 1, 2)), List.of("y"), RunControl.create());
  }

  private static void assertAnswers(Session session) throws ModelExecutionException {
    assertThat(run(session)).containsExactly(floats("y", Shape.of(2, 1), 3, 5));
  }

  private static void assertFails(Session session, Kind kind, String message) {
    assertThatExceptionOfType(ModelExecutionException.class)
        .isThrownBy(() -> run(session))
        .withMessage(message)
        .satisfies(e -> assertThat(e.kind()).isEqualTo(kind));
  }
}
