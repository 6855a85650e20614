package dev.sluice.gateway.routing;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.UnsafeByteOperations;
import com.sun.management.OperatingSystemMXBean;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceStub;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.VersionStatistics.Snapshot;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.Tensors;
import io.grpc.stub.StreamObserver;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.HdrHistogram.Histogram;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What sharing runs brings and costs, as ratios of rounds that take turns in one process. It asserts only that nothing
/// failed: the figures are for `docs/performance.md`, which says how to take them again.
@Tag("long")
class BatchingFiguresTest {

  private static final int ROUNDS = 7;
  private static final long ROUND_NANOS = 2_000_000_000L;
  private static final List<String> MODELS = List.of("unbatched", "batched", "delayed");
  private static final int CALLERS = 64;
  private static final int BATCH = 32;

  /// 64 MiB of weights.
  private static final int COLUMNS = 2048;

  private static final int LAYERS = 4;
  private static final String CLOCK = ", rows/s";
  private static final String PROCESSOR = ", rows/processor second";
  private static final int INSTANCES = Runtime.getRuntime().availableProcessors();

  @TempDir private Path models;
  @TempDir private Path data;

  /// What was done in one round: by the clock, and by the time that this process had of the processors. The second is the
  /// one to compare where others use the machine too; the callers are in it as well.
  private record Rate(double perSecond, double perProcessorSecond) {

    static Rate of(long done, long startedNanos, long processorNanos) {
      return new Rate(
          done * 1e9 / (System.nanoTime() - startedNanos), done * 1e9 / (processorNanos() - processorNanos));
    }
  }

  /// Rounds by what they measure, each a rate or a time.
  private final Map<String, List<Double>> figures = new LinkedHashMap<>();

  @Test
  void whatSharingRunsBrings() throws Exception {
    byte[] network = network().model();
    Path alone = OnnxGraph.write(data.resolve("alone"), "network", 1, network);
    write(network, "unbatched", "max_batch_size: 1\n");
    write(network, "batched", "max_batch_size: %d\ndynamic_batching { }\n".formatted(BATCH));
    write(
        network,
        "delayed",
        "max_batch_size: %d\ndynamic_batching { max_queue_delay_microseconds: 2000 }\n".formatted(BATCH));
    try (Session session = new OnnxRuntime().load(alone, ModelSettings.defaults());
        RunningGateway gateway = RunningGateway.start(models, data.resolve("gateway"))) {
      for (int round = -1; round < ROUNDS; round++) { // the first one warms
        boolean counts = round >= 0;
        List<String> turns = round % 2 == 0 ? MODELS : MODELS.reversed();
        keep(counts, "ONNX Runtime, batch 1", rows(session, 1));
        keep(counts, "ONNX Runtime, batch " + BATCH, rows(session, BATCH));
        for (String model : turns) {
          keep(counts, model, answers(gateway, model));
        }
        for (String model : turns) {
          keep(counts, "%s, one caller, p50 us".formatted(model), medianMicros(gateway, model));
        }
      }
      for (String model : MODELS) {
        Snapshot statistics =
            Objects.requireNonNull(gateway.gateway().routes().version(model, 1)).statistics().snapshot();
        assertThat(statistics.failure().count()).isZero();
        System.out.printf(
            "FIGURE %s: %d rows in %d runs, %.1f each%n",
            model,
            statistics.inferenceCount(),
            statistics.executionCount(),
            (double) statistics.inferenceCount() / statistics.executionCount());
      }
    }
    figures.forEach((name, rounds) -> System.out.printf("FIGURE %s: %.0f of %s%n", name, median(name), rounds));
    for (String unit : List.of(CLOCK, PROCESSOR)) {
      System.out.printf(
          "FIGURE%s: batching brings %.1f x by itself, through the gateway %.1f x, with a delay %.1f x%n",
          unit,
          median("ONNX Runtime, batch " + BATCH + unit) / median("ONNX Runtime, batch 1" + unit),
          median("batched" + unit) / median("unbatched" + unit),
          median("delayed" + unit) / median("unbatched" + unit));
    }
    System.out.printf(
        "FIGURE of one caller's time, batching takes %.2f x%n",
        median("batched, one caller, p50 us") / median("unbatched, one caller, p50 us"));
  }

  private void write(byte[] network, String model, String config) throws Exception {
    OnnxGraph.write(models, model, 1, network);
    Files.writeString(
        models.resolve(model).resolve("config.pbtxt"),
        config + "instance_group { kind: KIND_CPU count: %d }\n".formatted(INSTANCES));
  }

  /// A few dense layers, whose weights no cache holds: a row alone waits for memory, many share the way.
  private static OnnxGraph network() {
    OnnxGraph graph = new OnnxGraph().input("x", Datatype.FP32, -1, COLUMNS);
    Random random = new Random(7);
    String before = "x";
    for (int layer = 0; layer < LAYERS; layer++) {
      float[] weights = new float[COLUMNS * COLUMNS];
      for (int i = 0; i < weights.length; i++) {
        weights[i] = (float) (random.nextGaussian() / Math.sqrt(COLUMNS));
      }
      String weight = "w" + layer;
      String after = layer == LAYERS - 1 ? "y" : "h" + layer;
      graph
          .constant(Tensors.floats(weight, Shape.of(COLUMNS, COLUMNS), weights))
          .node("MatMul", List.of(before, weight), List.of(after));
      before = after;
    }
    return graph.output("y", Datatype.FP32, -1, COLUMNS);
  }

  private static ByteBuffer rows(int rows) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(rows * COLUMNS * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    Random random = new Random(3);
    while (bytes.hasRemaining()) {
      bytes.putFloat(random.nextFloat());
    }
    return bytes.flip();
  }

  /// On as many threads as the gateway has instances.
  private static Rate rows(Session session, int batch) throws InterruptedException {
    Tensor input = new Tensor("x", Datatype.FP32, Shape.of(batch, COLUMNS), rows(batch));
    LongAdder done = new LongAdder();
    long processor = processorNanos();
    long start = System.nanoTime();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < INSTANCES; i++) {
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    while (System.nanoTime() - start < ROUND_NANOS) {
                      try {
                        var _ = session.run(List.of(input), List.of("y"), RunControl.none());
                      } catch (ModelExecutionException e) {
                        throw new AssertionError(e);
                      }
                      done.add(batch);
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    return Rate.of(done.sum(), start, processor);
  }

  private static ModelInferRequest request(String model) {
    return ModelInferRequest.newBuilder()
        .setModelName(model)
        .addInputs(InferInputTensor.newBuilder().setName("x").setDatatype("FP32").addShape(1).addShape(COLUMNS))
        .addRawInputContents(UnsafeByteOperations.unsafeWrap(rows(1)))
        .build();
  }

  /// Callers who ask again as soon as they are answered.
  private static Rate answers(RunningGateway gateway, String model) throws InterruptedException {
    GRPCInferenceServiceStub stub = GRPCInferenceServiceGrpc.newStub(gateway.inferenceChannel());
    ModelInferRequest request = request(model);
    AtomicLong answers = new AtomicLong();
    AtomicLong failures = new AtomicLong();
    CountDownLatch ended = new CountDownLatch(CALLERS);
    long processor = processorNanos();
    long start = System.nanoTime();
    for (int i = 0; i < CALLERS; i++) {
      stub.modelInfer(
          request,
          new StreamObserver<>() {
            @Override
            public void onNext(ModelInferResponse response) {
              answers.incrementAndGet();
            }

            @Override
            public void onError(Throwable t) {
              failures.incrementAndGet();
              ended.countDown();
            }

            @Override
            public void onCompleted() {
              if (System.nanoTime() - start < ROUND_NANOS) {
                stub.modelInfer(request, this);
              } else {
                ended.countDown();
              }
            }
          });
    }
    ended.await();
    assertThat(failures).hasValue(0);
    return Rate.of(answers.get(), start, processor);
  }

  private static double medianMicros(RunningGateway gateway, String model) {
    ModelInferRequest request = request(model);
    Histogram nanos = new Histogram(3);
    long end = System.nanoTime() + ROUND_NANOS / 3;
    while (System.nanoTime() - end < 0) {
      long start = System.nanoTime();
      var _ = gateway.inference().modelInfer(request);
      nanos.recordValue(System.nanoTime() - start);
    }
    return nanos.getValueAtPercentile(50) / 1e3;
  }

  private static long processorNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private void keep(boolean counts, String name, Rate rate) {
    keep(counts, name + CLOCK, rate.perSecond());
    keep(counts, name + PROCESSOR, rate.perProcessorSecond());
  }

  private void keep(boolean counts, String name, double value) {
    if (counts) {
      figures.computeIfAbsent(name, _ -> new ArrayList<>()).add((double) Math.round(value));
    }
  }

  private double median(String name) {
    return Objects.requireNonNull(figures.get(name)).stream().sorted().toList().get(ROUNDS / 2);
  }
}
