package dev.sluice.gateway.admission;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.OperatingSystemMXBean;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.loadtest.LoadTest;
import dev.sluice.loadtest.LoadTestPlan;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.loadtest.report.Percentiles;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.loadtest.traffic.Callers;
import dev.sluice.loadtest.traffic.ModelTraffic;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.HdrHistogram.ConcurrentHistogram;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// How calm a gateway stays: real calls over real connections, in one process with their generator. It asserts what holds on a
/// busy machine too; the figures are for `docs/overload.md`, which says how to take them again.
@Tag("long")
class OverloadProof {

  /// About 5 ms a run on a machine that is not busy.
  private static final long TRIPS = Long.getLong("sluice.overload.trips", 12_000);

  private static final long SECONDS = Long.getLong("sluice.overload.seconds", 60);
  private static final Duration DEADLINE = Duration.ofMillis(200);

  @TempDir private Path models;
  @TempDir private Path data;

  private record Probe(long atNanos, boolean answered, long nanos) {}

  // --- five times what it can do --------------------------------------------------------------------------------------

  @Test
  void offeredFiveTimesWhatItCanDoItDoesWhatItCanAndRecoversAtOnce() throws Exception {
    OnnxModels.slowLinear(2, 1, 1, TRIPS).writeTo(models, Calls.MODEL, 1);
    Files.writeString(models.resolve("m/config.pbtxt"), "instance_group { kind: KIND_CPU count: 1 }\n");
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      double peak = run(gateway, Calls.MODEL, new Load.ClosedLoop(4), 3, 10).answeredPerSecond();
      double runMillis = gateway.gateway().routes().find(Calls.MODEL, "1").version().typicalRunNanos() / 1e6;

      ConcurrentLinkedQueue<Probe> probes = new ConcurrentLinkedQueue<>();
      AtomicBoolean over = new AtomicBoolean();
      Thread prober = Thread.ofPlatform().start(() -> probe(gateway, probes, over));
      Thread.sleep(2_000); // what it is like before
      long calmUntil = System.nanoTime();

      ConcurrentHistogram answers = new ConcurrentHistogram(3);
      AtomicLong lastRefusedNanos = new AtomicLong();
      List<Long> residentMegabytes = new ArrayList<>();
      Thread sampler = Thread.ofPlatform().start(() -> sample(residentMegabytes, over));
      LoadReport report =
          LoadTest.run(
              plan(gateway, Calls.MODEL, new Load.OpenLoop(new Arrivals.Poisson(5 * peak, 1), 10_000), 3, SECONDS)
                  .withObserver(
                      (n, status, response, latencyNanos) -> {
                        if (status.isOk()) {
                          answers.recordValue(latencyNanos);
                        } else {
                          lastRefusedNanos.set(System.nanoTime());
                        }
                      }),
              _ -> {});
      long ended = lastRefusedNanos.get();
      Thread.sleep(5_000);
      over.set(true);
      prober.join();
      sampler.join();

      double goodput = report.answeredPerSecond() / peak;
      long calm = median(probes.stream().filter(probe -> probe.atNanos() < calmUntil).mapToLong(Probe::nanos).toArray());
      long recovered = recoveredNanos(new ArrayList<>(probes), ended, 2 * calm);
      System.out.printf(
          "FIGURE overload: run %.1f ms, peak %.0f/s, offered %.0f/s for %d s: answered %.0f/s, %.3f of the peak%n",
          runMillis, peak, report.sentPerSecond(), SECONDS, report.answeredPerSecond(), goodput);
      System.out.printf(
          "FIGURE overload: answered, from when it was due, p50 %.1f ms, p99 %.1f ms of a deadline of %d ms; calm again after %d ms%n",
          answers.getValueAtPercentile(50) / 1e6, answers.getValueAtPercentile(99) / 1e6, DEADLINE.toMillis(),
          recovered / 1_000_000);
      System.out.printf("FIGURE overload: errors %s%n", report.errors());
      gateway.gateway().metrics().scrape().lines().filter(l -> l.startsWith("sluice_requests_total")).forEach(
          line -> System.out.println("FIGURE overload: " + line));
      int half = residentMegabytes.size() / 2;
      long first = residentMegabytes.subList(half / 2, half).stream().mapToLong(m -> m).max().orElse(0);
      long second = residentMegabytes.subList(half, residentMegabytes.size()).stream().mapToLong(m -> m).max().orElse(0);
      System.out.printf("FIGURE overload: resident memory at most %d MB in the second quarter, %d MB after it%n", first, second);

      // From the send on: those whose deadline passed are in it, and a generator that was late is not.
      assertThat(requireNonNull(report.serviceMicros()).p99()).isLessThanOrEqualTo(DEADLINE.toNanos() / 1e3 * 1.1);
      assertThat(goodput).isGreaterThan(0.7);
      assertThat(second).isLessThan(first + first / 4);
      assertThat(recovered).isLessThan(TimeUnit.SECONDS.toNanos(1));
    }
  }

  private static void probe(RunningGateway gateway, ConcurrentLinkedQueue<Probe> probes, AtomicBoolean over) {
    var stub = GRPCInferenceServiceGrpc.newBlockingStub(gateway.inferenceChannel());
    while (!over.get()) {
      long start = System.nanoTime();
      boolean answered = true;
      try {
        var _ = stub.withDeadlineAfter(DEADLINE).modelInfer(Calls.of(1).build());
      } catch (StatusRuntimeException e) {
        answered = false;
      }
      probes.add(new Probe(start, answered, System.nanoTime() - start));
      pause(20);
    }
  }

  private static void pause(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /// From the end of the load to the first of ten calls in a row that were all answered, half of them quickly enough.
  private static long recoveredNanos(List<Probe> probes, long ended, long quickNanos) {
    List<Probe> after = probes.stream().filter(probe -> probe.atNanos() - ended >= 0).toList();
    for (int i = 0; i + 10 <= after.size(); i++) {
      List<Probe> ten = after.subList(i, i + 10);
      if (ten.stream().allMatch(Probe::answered)
          && median(ten.stream().mapToLong(Probe::nanos).toArray()) <= quickNanos) {
        return ten.getFirst().atNanos() - ended;
      }
    }
    return Long.MAX_VALUE;
  }

  private static long median(long[] values) {
    Arrays.sort(values);
    return values[values.length / 2];
  }

  private static void sample(List<Long> megabytes, AtomicBoolean over) {
    while (!over.get()) {
      try {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
          if (line.startsWith("VmRSS:")) {
            megabytes.add(Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024);
          }
        }
      } catch (IOException e) {
        return; // not Linux
      }
      pause(500);
    }
  }

  // --- beside a slow one ----------------------------------------------------------------------------------------------

  @Test
  void aTinyModelBesideASaturatedSlowOneIsStillServed() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.slowLinear(2, 1, 1, TRIPS).writeTo(models, "slow", 1);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      List<Double> p50s = new ArrayList<>();
      List<Double> p99s = new ArrayList<>();
      tiny(gateway, 5);
      for (int pair = 0; pair < 5; pair++) {
        Percentiles alone = tiny(gateway, 4);
        LoadTest slow = new LoadTest(plan(gateway, "slow", new Load.ClosedLoop(8), 1, 600), _ -> {});
        Thread beside =
            Thread.ofPlatform()
                .start(
                    () -> {
                      try {
                        var _ = slow.run();
                      } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                      }
                    });
        pause(1_000);
        Percentiles together = tiny(gateway, 4);
        slow.stop();
        beside.join();
        p50s.add(together.p50() / alone.p50());
        p99s.add(together.p99() / alone.p99());
        System.out.printf(
            "FIGURE mixed: tiny alone p50 %.0f us, p99 %.0f us; beside a saturated 5 ms model p50 %.0f us, p99 %.0f us%n",
            alone.p50(), alone.p99(), together.p50(), together.p99());
      }
      System.out.printf("FIGURE mixed: median ratios p50 %.2f, p99 %.2f%n", median(p50s), median(p99s));
    }
  }

  private static double median(List<Double> values) {
    return values.stream().sorted().toList().get(values.size() / 2);
  }

  private static Percentiles tiny(RunningGateway gateway, long seconds) throws InterruptedException {
    LoadReport report =
        LoadTest.run(
            plan(gateway, Calls.MODEL, new Load.OpenLoop(new Arrivals.Poisson(500, 1), 1_000), 1, seconds)
                .withDeadline(Duration.ofSeconds(10)),
            _ -> {});
    assertThat(report.errors()).isEmpty();
    return requireNonNull(report.serviceMicros());
  }

  // --- what a refusal costs -------------------------------------------------------------------------------------------

  @Test
  void aRefusalCostsAboutAsMuchAsATinyAnswer() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.slowLinear(2, 1, 1, 300).writeTo(models, "blocked", 7);
    Files.writeString(
        models.resolve("blocked/config.pbtxt"),
        """
        max_batch_size: 1
        instance_group { kind: KIND_CPU count: 1 }
        dynamic_batching { default_queue_policy { max_queue_size: 1 } }
        """);
    TamperedRuntime runtime = new TamperedRuntime();
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      Semaphore held = new Semaphore(0);
      runtime.tamper(
          7,
          (real, inputs, outputs, control) -> {
            held.acquireUninterruptibly();
            return real.run(inputs, outputs, control);
          });
      var stub = GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel());
      var running = stub.modelInfer(Calls.of(1).setModelName("blocked").build());
      var waiting = stub.modelInfer(Calls.of(1).setModelName("blocked").build());
      List<Double> ratios = new ArrayList<>();
      for (int pair = -1; pair < 5; pair++) {
        double answered = processorMicros(gateway, Calls.MODEL, Status.Code.OK);
        double refused = processorMicros(gateway, "blocked", Status.Code.UNAVAILABLE);
        if (pair >= 0) { // the first one warms
          ratios.add(refused / answered);
          System.out.printf(
              "FIGURE refusal: %.1f us of processor, client and server together; a tiny answer %.1f us%n", refused, answered);
        }
      }
      System.out.printf("FIGURE refusal: median ratio %.2f%n", median(ratios));
      held.release(2);
      var _ = running.get();
      var _ = waiting.get();
      assertThat(median(ratios)).isLessThan(4);
    }
  }

  private static double processorMicros(RunningGateway gateway, String model, Status.Code code) throws InterruptedException {
    AtomicLong ended = new AtomicLong();
    AtomicLong others = new AtomicLong();
    long before = processorNanos();
    var _ =
        LoadTest.run(
            plan(gateway, model, new Load.ClosedLoop(16), 0, 4)
                .withObserver((n, status, response, nanos) -> (status.getCode() == code ? ended : others).incrementAndGet()),
            _ -> {});
    double micros = (processorNanos() - before) / 1e3 / ended.get();
    assertThat(others.get()).as("calls that did not end with %s", code).isZero();
    return micros;
  }

  private static long processorNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  // --- loads ----------------------------------------------------------------------------------------------------------

  private static LoadReport run(RunningGateway gateway, String model, Load load, long warmUpSeconds, long seconds)
      throws InterruptedException {
    return LoadTest.run(plan(gateway, model, load, warmUpSeconds, seconds), _ -> {});
  }

  private static LoadTestPlan plan(RunningGateway gateway, String model, Load load, long warmUpSeconds, long seconds) {
    ModelInferRequest request = Calls.of(1).setModelName(model).build();
    return LoadTestPlan.of(
            "127.0.0.1:" + gateway.gateway().grpcPort(),
            model,
            load,
            new ModelTraffic(List.of(request.toByteArray()), Callers.ANONYMOUS))
        .withWarmUp(Duration.ofSeconds(warmUpSeconds))
        .withDuration(Duration.ofSeconds(seconds))
        .withDeadline(load instanceof Load.OpenLoop ? DEADLINE : Duration.ofSeconds(30));
  }
}
