package dev.sluice.gateway.routing;

import static dev.sluice.runtime.testing.OnnxGraph.elementType;
import static dev.sluice.runtime.testing.OnnxGraph.number;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.ModelControl;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.Tensors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.HdrHistogram.ConcurrentHistogram;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/// A version's file is replaced again and again while it answers: no call fails, memory stays where it is, and the
/// figures say what callers notice.
@EnabledOnOs(OS.LINUX)
@Timeout(900)
class HotSwapTest {

  private static final int ROUNDS = 5;
  private static final int LONG_ROUNDS = 200;

  /// 8 MiB each: one session in eight that is not freed shows.
  private static final int WEIGHTS = 2 << 20;

  /// Beside the table, a product whose weights are packed when the model is loaded: it takes some of the time.
  private static final int WIDTH = 512;

  private static final long MARGIN_KIB = 200 << 10;
  private static final int CALLERS = 3;
  private static final long THINK_NANOS = TimeUnit.MILLISECONDS.toNanos(1);
  private static final Duration QUIET = Duration.ofMillis(150);

  @TempDir Path models;
  @TempDir Path data;

  /// Beside the repository, on the same file system: they come in by a link and a rename, which cost nothing.
  private final List<Path> editions = new ArrayList<>();

  private final AtomicLong loadsBegun = new AtomicLong();

  @BeforeEach
  void writeTwoEditions() throws IOException {
    for (int edition = 0; edition < 2; edition++) {
      model().writeTo(models, ".editions", edition + 1);
      Path file = models.resolve(".editions/%d/model.onnx".formatted(edition + 1));
      Files.setLastModifiedTime(file, FileTime.from(Instant.parse("2026-01-0%dT00:00:00Z".formatted(edition + 1))));
      editions.add(file);
    }
    Files.createDirectories(models.resolve("m/1"));
    replaceFile(0);
  }

  @Test
  void aFewReplacementsByPollDropNoCall() throws Exception {
    byPoll(ROUNDS);
  }

  @Test
  void aFewReplacementsByLoadDropNoCall() throws Exception {
    byLoad(ROUNDS);
  }

  @Test
  @Tag("long")
  void twoHundredReplacementsByPollDropNoCallAndLeaveNothingBehind() throws Exception {
    byPoll(LONG_ROUNDS);
  }

  @Test
  @Tag("long")
  void twoHundredReplacementsByLoadDropNoCallAndLeaveNothingBehind() throws Exception {
    byLoad(LONG_ROUNDS);
  }

  private void byPoll(int rounds) throws Exception {
    swap("poll", rounds, ModelControl.polling(Duration.ofMillis(25)), gateway -> {});
  }

  private void byLoad(int rounds) throws Exception {
    swap("explicit load", rounds, ModelControl.explicit(Calls.MODEL), gateway -> gateway.repository().load(Calls.MODEL));
  }

  private interface Trigger {
    void pull(Gateway gateway) throws ModelLoadException;
  }

  private void swap(String by, int rounds, ModelControl control, Trigger trigger) throws Exception {
    GatewayConfig config = GatewayConfig.onFreePorts(models, data).with(control);
    try (Gateway gateway = Gateway.start(config, new NotedRuntime(), Clock.systemUTC());
        Load load = new Load(gateway.grpcPort())) {
      load.awaitAnswers(2_000);
      load.forget(); // nobody's first calls belong to the figures
      List<Long> residentKib = new ArrayList<>();
      List<Long> loadMillis = new ArrayList<>();
      for (int round = 1; round <= rounds; round++) {
        ModelVersion before = loaded(gateway);
        long begun = loadsBegun.get();
        replaceFile(round % 2);
        if (control.loadAtStart().isEmpty()) {
          await().pollInterval(Duration.ofMillis(1)).until(() -> loadsBegun.get() > begun);
        }
        long start = System.nanoTime();
        load.duringALoad(true);
        trigger.pull(gateway);
        await().pollInterval(Duration.ofMillis(2)).until(() -> loaded(gateway) != before);
        loadMillis.add(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
        before.closed().get(10, TimeUnit.SECONDS);
        load.duringALoad(false);
        load.awaitTime(QUIET);
        residentKib.add(residentKib());
      }
      load.stop();
      assertThat(load.failures).isEmpty();
      long first = residentKib.subList(0, Math.min(20, rounds)).stream().mapToLong(Long::longValue).max().orElseThrow();
      long last =
          residentKib.subList(Math.max(0, rounds - 10), rounds).stream().mapToLong(Long::longValue).min().orElseThrow();
      System.out.printf(
          "FIGURE hot swap by %s: %d rounds, a load takes %d ms (median), %d calls, 0 failed;"
              + " resident %d MiB in the first rounds, %d MiB in the last%n",
          by, rounds, loadMillis.stream().sorted().toList().get(rounds / 2), load.answered.get(), first >> 10, last >> 10);
      System.out.printf(
          "FIGURE hot swap by %s: quiet p50 %.3f p99 %.3f p99.9 %.3f ms of %d calls;"
              + " during a load p50 %.3f p99 %.3f p99.9 %.3f ms of %d calls; p99 is %.2f times the quiet one%n",
          by,
          millis(load.quiet, 50), millis(load.quiet, 99), millis(load.quiet, 99.9), load.quiet.getTotalCount(),
          millis(load.disturbed, 50), millis(load.disturbed, 99), millis(load.disturbed, 99.9),
          load.disturbed.getTotalCount(),
          millis(load.disturbed, 99) / millis(load.quiet, 99));
      assertThat(last).as("resident memory, KiB: %s", residentKib).isLessThan(first + MARGIN_KIB);
    }
  }

  private static double millis(ConcurrentHistogram histogram, double percentile) {
    return histogram.getValueAtPercentile(percentile) / 1e6;
  }

  private static ModelVersion loaded(Gateway gateway) {
    return requireNonNull(requireNonNull(gateway.repository().find(Calls.MODEL)).version(1));
  }

  private void replaceFile(int edition) throws IOException {
    Path file = models.resolve("m/1/model.onnx");
    Path next = models.resolve("m/1/.model.onnx");
    Files.createLink(next, editions.get(edition));
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /// Without the Java heap, which grows and shrinks with whatever else this process has tested.
  private static long residentKib() throws IOException {
    long heapKib = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getCommitted() >> 10;
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) - heapKib;
      }
    }
    throw new AssertionError("no VmRSS in /proc/self/status");
  }

  /// `y = 2 * x + 1`, with a table of zeros and a product by zero that nothing can fold away.
  private static OnnxGraph model() {
    return new OnnxGraph()
        .constant(Tensors.floats("a", Shape.of(), 2))
        .constant(Tensors.floats("b", Shape.of(), 1))
        .constant(Tensors.floats("nothing", Shape.of(), 0))
        .constant(Tensors.floats("row", Shape.of(1, WIDTH), new float[WIDTH]))
        .constant(Tensors.floats("square", Shape.of(WIDTH, WIDTH), new float[WIDTH * WIDTH]))
        .constant(Tensors.floats("column", Shape.of(WIDTH, 1), new float[WIDTH]))
        .constant(Tensors.floats("table", Shape.of(WEIGHTS), new float[WEIGHTS]))
        .input("x", Datatype.FP32, -1, 1)
        .node("Mul", List.of("x", "nothing"), List.of("none"))
        .node("Cast", List.of("none"), List.of("first"), number("to", elementType(Datatype.INT64)))
        .node("Gather", List.of("table", "first"), List.of("zero"))
        .node("MatMul", List.of("x", "row"), List.of("wide"))
        .node("MatMul", List.of("wide", "square"), List.of("still"))
        .node("MatMul", List.of("still", "column"), List.of("narrow"))
        .node("Mul", List.of("x", "a"), List.of("scaled"))
        .node("Add", List.of("scaled", "b"), List.of("shifted"))
        .node("Add", List.of("shifted", "narrow"), List.of("more"))
        .node("Add", List.of("more", "zero"), List.of("y"))
        .output("y", Datatype.FP32, -1, 1);
  }

  /// ONNX Runtime, which notes when a load begins.
  private final class NotedRuntime implements ModelRuntime {
    private final ModelRuntime real = new OnnxRuntime();

    @Override
    public Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException {
      loadsBegun.incrementAndGet();
      return real.load(versionFolder, settings);
    }
  }

  /// A few callers that ask, wait for the answer, think for a moment, and ask again; a call that a load touches counts as
  /// one during a load.
  private static final class Load implements AutoCloseable {
    private final ManagedChannel channel;
    private final List<Thread> callers = new ArrayList<>();
    private final ConcurrentHistogram quiet = new ConcurrentHistogram(TimeUnit.MINUTES.toNanos(1), 3);
    private final ConcurrentHistogram disturbed = new ConcurrentHistogram(TimeUnit.MINUTES.toNanos(1), 3);
    private final ConcurrentLinkedQueue<String> failures = new ConcurrentLinkedQueue<>();
    private final AtomicLong answered = new AtomicLong();
    private volatile boolean duringALoad;
    private volatile boolean stopped;

    private Load(int port) {
      channel = Grpc.newChannelBuilder("127.0.0.1:" + port, InsecureChannelCredentials.create()).build();
      GRPCInferenceServiceBlockingStub stub = GRPCInferenceServiceGrpc.newBlockingStub(channel);
      for (int i = 0; i < CALLERS; i++) {
        int first = i;
        callers.add(Thread.ofPlatform().daemon().name("caller-" + i).start(() -> call(stub, first)));
      }
    }

    private void call(GRPCInferenceServiceBlockingStub stub, int first) {
      for (int n = first; !stopped; n++) {
        ModelInferRequest request = Calls.of(n % 9).build();
        boolean touched = duringALoad;
        long start = System.nanoTime();
        try {
          float y = Calls.y(stub.modelInfer(request));
          long nanos = System.nanoTime() - start;
          (touched || duringALoad ? disturbed : quiet).recordValue(nanos);
          answered.incrementAndGet();
          if (y != 2 * (n % 9) + 1) {
            failures.add("x = %d: answered %s".formatted(n % 9, y));
          }
        } catch (StatusRuntimeException e) {
          failures.add(e.getStatus().toString());
        }
        LockSupport.parkNanos(THINK_NANOS);
      }
    }

    void duringALoad(boolean now) {
      duringALoad = now;
    }

    void forget() {
      quiet.reset();
      disturbed.reset();
    }

    void awaitAnswers(long more) {
      long enough = answered.get() + more;
      await().atMost(Duration.ofSeconds(60)).until(() -> answered.get() >= enough);
    }

    void awaitTime(Duration time) {
      await().pollDelay(time).until(() -> true);
    }

    void stop() {
      stopped = true;
      for (Thread caller : callers) {
        try {
          caller.join();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
      }
    }

    @Override
    public void close() {
      stopped = true;
      channel.shutdownNow(); // what a caller still waits for ends with it
    }
  }
}
