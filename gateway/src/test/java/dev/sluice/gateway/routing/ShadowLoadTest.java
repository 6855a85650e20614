package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.OperatingSystemMXBean;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.loadtest.LoadTest;
import dev.sluice.loadtest.LoadTestPlan;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.ProgressListener;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.loadtest.report.Percentiles;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.loadtest.traffic.Callers;
import dev.sluice.loadtest.traffic.ModelTraffic;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.runtime.testing.OnnxModels;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What callers notice of a shadow of all their requests on a machine that is busy for less than a third: figures for the
/// documentation, and that no call fails.
@Tag("long")
class ShadowLoadTest {

  private static final int ROUNDS = Integer.getInteger("sluice.rounds", 12);
  private static final Duration ROUND = Duration.ofSeconds(5);
  private static final int CAPACITY_PART = 4;

  @TempDir Path models;
  @TempDir Path data;

  @Test
  void aShadowOfAllRequestsOnAMachineThatIsNotBusy() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      double capacity = run(gateway, new Load.ClosedLoop(16), ROUND).answeredPerSecond();
      capacity = Math.max(capacity, run(gateway, new Load.ClosedLoop(16), ROUND).answeredPerSecond());
      double rate = capacity / CAPACITY_PART;
      List<LoadReport> without = new ArrayList<>();
      List<LoadReport> with = new ArrayList<>();
      double busyWithout = 0;
      double busyWith = 0;
      for (int round = 0; round < 2 * ROUNDS; round++) {
        boolean shadowed = round % 4 == 1 || round % 4 == 2; // A B, B A
        String name = "load-" + round;
        if (shadowed) {
          gateway.create(note(name, SHADOW));
        }
        long before = processNanos();
        LoadReport report = run(gateway, new Load.OpenLoop(new Arrivals.Poisson(rate, round), 10_000), ROUND);
        double busy = (processNanos() - before) / (double) ROUND.plus(WARM_UP).toNanos();
        assertThat(report.failed()).isZero();
        if (shadowed) {
          LiveRollout live = requireNonNull(gateway.gateway().routes().find(Calls.MODEL, "").rollout());
          assertThat(live.total().compared()).as("copies compared").isGreaterThan(report.answered() / 2);
          gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName(name).build());
          with.add(report);
          busyWith += busy;
        } else {
          without.add(report);
          busyWithout += busy;
        }
      }
      System.out.printf(
          "FIGURE shadow: %.0f requests/s, a %dth of capacity; server and callers busy %.2f cores without, %.2f with a shadow of all%n",
          rate, CAPACITY_PART, busyWithout / ROUNDS, busyWith / ROUNDS);
      print("p50", without, with, Percentiles::p50);
      print("p99", without, with, Percentiles::p99);
    }
  }

  private static void print(
      String what, List<LoadReport> without, List<LoadReport> with, ToDoubleFunction<Percentiles> percentile) {
    double[] ratios =
        IntStream.range(0, ROUNDS)
            .mapToDouble(i -> micros(with.get(i), percentile) / micros(without.get(i), percentile))
            .sorted()
            .toArray();
    System.out.printf(
        "FIGURE shadow: live %s %.0f us without, %.0f us with; ratio of pairs: median %.2f, from %.2f to %.2f%n",
        what, median(without, percentile), median(with, percentile), ratios[ROUNDS / 2], ratios[0], ratios[ROUNDS - 1]);
  }

  private static double median(List<LoadReport> reports, ToDoubleFunction<Percentiles> percentile) {
    return reports.stream().mapToDouble(report -> micros(report, percentile)).sorted().toArray()[reports.size() / 2];
  }

  /// From the send: the generator shares the machine, and its own lateness is not the server's.
  private static double micros(LoadReport report, ToDoubleFunction<Percentiles> percentile) {
    return percentile.applyAsDouble(requireNonNull(report.serviceMicros()));
  }

  private static final Duration WARM_UP = Duration.ofSeconds(1);

  private static LoadReport run(RunningGateway gateway, Load load, Duration duration) throws InterruptedException {
    List<byte[]> messages = IntStream.range(0, 10).mapToObj(i -> Calls.of(i).build().toByteArray()).toList();
    return LoadTest.run(
        LoadTestPlan.of(
                "127.0.0.1:" + gateway.gateway().grpcPort(), Calls.MODEL, load, new ModelTraffic(messages, Callers.ANONYMOUS))
            .withConnections(2)
            .withWarmUp(WARM_UP)
            .withDuration(duration),
        ProgressListener.NONE);
  }

  private static long processNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private static final String SHADOW =
      """
      compare: { y: { absolute: 0.001 } }
      steps:
        - shadow: 100%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 50% }
        - disagreement-rate: { limit: 50% }
      """;
}
