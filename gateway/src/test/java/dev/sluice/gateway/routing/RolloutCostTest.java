package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.loadtest.LoadTest;
import dev.sluice.loadtest.LoadTestPlan;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.ProgressListener;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.loadtest.traffic.Callers;
import dev.sluice.loadtest.traffic.Keys;
import dev.sluice.loadtest.traffic.ModelTraffic;
import dev.sluice.loadtest.traffic.SegmentMix;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.testing.OnnxModels;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadInfo;
import java.lang.management.ThreadMXBean;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What an active rollout costs a whole gateway, over gRPC and with a model of microseconds: processor time of all threads but
/// the generator's, a canary of 10 %, a shadow of 1 %, ten segments and six rules, none of which holds live calls of both variants
/// against each other, against no rollout, turn and turn about.
@Tag("long")
class RolloutCostTest {

  private static final int ROUNDS = Integer.getInteger("sluice.rounds", 10);
  private static final Duration ROUND = Duration.ofSeconds(4);
  private static final int WARM_UP_ROUNDS = 5;
  private static final int IN_FLIGHT = 16;

  @TempDir Path models;
  @TempDir Path data;

  @Test
  void anActiveRolloutBesideNone() throws Exception {
    // Not to be batched: one that is has to be faster still to run where its requests arrive.
    OnnxModels.identity(Datatype.FP32, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.identity(Datatype.FP32, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      for (int round = 0; round < WARM_UP_ROUNDS; round++) {
        run(gateway);
      }
      double[] without = new double[ROUNDS];
      double[] with = new double[ROUNDS];
      for (int round = 0; round < 2 * ROUNDS; round++) {
        boolean active = round % 4 == 1 || round % 4 == 2; // A B, B A
        String name = "cost-" + round;
        if (active) {
          gateway.create(note(name, ROLLOUT));
          run(gateway); // its candidate has to earn its place first
        }
        (active ? with : without)[round / 2] = run(gateway);
        if (active) {
          gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName(name).build());
        }
      }
      double[] ratios = IntStream.range(0, ROUNDS).mapToDouble(i -> with[i] / without[i]).sorted().toArray();
      System.out.printf(
          "FIGURE rollout over gRPC: %.2f us of processor time a request without, %.2f us with; ratio of pairs: median %.3f,"
              + " from %.3f to %.3f%n",
          median(without), median(with), ratios[ROUNDS / 2], ratios[0], ratios[ROUNDS - 1]);
    }
  }

  private static double median(double[] values) {
    return Arrays.stream(values).sorted().toArray()[values.length / 2];
  }

  /// Microseconds of the gateway's processor time for each request.
  private static double run(RunningGateway gateway) throws InterruptedException {
    List<byte[]> messages = IntStream.range(0, 10).mapToObj(i -> Calls.of(i).build().toByteArray()).toList();
    String mix = IntStream.range(0, 10).mapToObj(i -> "c" + i + ":1").collect(Collectors.joining(","));
    Callers callers = new Callers(new Keys(10_000, Keys.Spread.UNIFORM), List.of(SegmentMix.parse("country=" + mix)), Map.of(), 1);
    Map<Long, Long> before = nanosByThread();
    LoadReport report =
        LoadTest.run(
            LoadTestPlan.of(
                    "127.0.0.1:" + gateway.gateway().grpcPort(),
                    Calls.MODEL,
                    new Load.ClosedLoop(IN_FLIGHT),
                    new ModelTraffic(messages, callers))
                .withConnections(2)
                .withWarmUp(Duration.ZERO)
                .withDuration(ROUND)
                .withDeadline(Duration.ofSeconds(20)),
            ProgressListener.NONE);
    assertThat(report.errors()).isEmpty();
    long nanos = 0;
    for (Map.Entry<Long, Long> thread : nanosByThread().entrySet()) {
      nanos += thread.getValue() - before.getOrDefault(thread.getKey(), 0L);
    }
    return nanos / 1e3 / report.answered();
  }

  /// Of all threads but the generator's.
  private static Map<Long, Long> nanosByThread() {
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    Map<Long, Long> nanos = new HashMap<>();
    for (ThreadInfo thread : threads.getThreadInfo(threads.getAllThreadIds())) {
      if (thread != null && !thread.getThreadName().startsWith("loadtest")) {
        nanos.put(thread.getThreadId(), Math.max(0, threads.getThreadCpuTime(thread.getThreadId())));
      }
    }
    return nanos;
  }

  private static final String ROLLOUT =
      """
      segments: [country=c0, country=c1, country=c2, country=c3, country=c4, country=c5, country=c6, country=c7, country=c8, country=c9]
      compare: { y: { absolute: 0.001 } }
      steps:
        - canary: 10%
          shadow: 1%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 1% }
        - fallback-rate: { limit: 1% }
        - latency: { over: 1s, limit: 1% }
        - disagreement-rate: { limit: 1% }
        - max-failures: 100000
        - paired-errors: {}
      """;
}
