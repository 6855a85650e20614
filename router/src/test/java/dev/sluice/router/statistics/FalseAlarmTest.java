package dev.sluice.router.statistics;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.simulation.Chance;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/// How seldom a test fires while its hypothesis is true, just so: at the edge of what it allows, looked at after every update.
final class FalseAlarmTest {

  private static final long SEED = 1213;
  private static final double[] ALPHAS = {0.05, 0.001};

  @Test
  void noTestFiresMoreOftenThanItMayAtTheEdgeOfItsHypothesis() {
    allTests(4);
  }

  @Tag("long")
  @Test
  void noTestFiresMoreOftenThanItMayOverManySeeds() {
    allTests(200);
  }

  private static void allTests(int hundreds) {
    int runs = 250 * hundreds;
    bounded("limit 0.01, true 0.01, 100000 events", runs, random -> limitAtTheEdge(random, 0.01, 100_000));
    bounded("limit 0.5, true 0.5, 2000 events", runs, random -> limitAtTheEdge(random, 0.5, 2_000));
    bounded("ratio 1, weight from 0.01 to 0.5, 3000 bad", runs, random -> ratioAtTheEdge(new RatioTest(1), 1, random, 3000));
    bounded("ratio 2, weight from 0.01 to 0.5, 3000 bad", runs, random -> ratioAtTheEdge(new RatioTest(2), 2, random, 3000));
    bounded("latency ratio 1, 3000 exceedances", runs,
        random -> ratioAtTheEdge(new RatioTest(1, RatioTest.LATENCY_FACTORS), 1, random, 3000));
    bounded("sign, even odds, 5000 pairs", runs, random -> highest(new SignTest(), 5000, (test, state) ->
        test.add(state, 0, random.nextBoolean())));
    bounded("mean 0.02, exponential, 5000 values", runs, random -> highest(new MeanTest(0.02, 0, 1), 5000, (test, state) ->
        test.add(state, 0, -0.02 * Math.log1p(-random.nextDouble()))));
    bounded("mean 0.002 in [-1, 1], two values, 5000 values", runs, random -> highest(new MeanTest(0.002, -1, 1), 5000,
        (test, state) -> test.add(state, 0, random.nextDouble() < 0.501 ? 1 : -1)));
    bounded("shift 0.5 of tolerance 0.5, 5000 values", runs, random -> highest(new ShiftTest(0.5), 5000, (test, state) ->
        test.add(state, 0, 0.5 + Math.clamp(random.nextGaussian(), -3.5, 3.5))));
    bounded("shift 0 of tolerance 0, 5000 values", runs, random -> highest(new ShiftTest(0), 5000, (test, state) ->
        test.add(state, 0, random.nextGaussian())));
    bounded("five bins at their limits, 3000 values", runs, random ->
        highest(new BinTest(new double[] {0.2, 0.2, 0.2, 0.2, 0.2}), 3000, (test, state) -> test.add(state, 0, random.nextInt(5))));
    bounded("share, changing, 5000 requests", runs, random -> {
      int[] request = {0};
      return highest(new ShareTest(), 5000, (test, state) -> {
        double share = 0.01 + 0.5 * (request[0]++ / 5000.0);
        test.add(state, 0, random.nextDouble() < share, share);
      });
    });
    bounded("accept below 0.01, true 0.01, 20000 events", runs, random -> acceptedAtTheEdge(random, 0.01, 20_000));
    bounded("accept below twice the baseline, true twice, 3000 bad", runs, random -> {
      RatioAcceptance accept = new RatioAcceptance(2);
      return highest(accept, 3000, (test, state) -> {
        boolean candidate = random.nextDouble() < 0.1 * 2 / (0.1 * 2 + 0.9);
        test.add(state, 0, candidate ? 1 : 0, candidate ? 0 : 1, 0.1);
      });
    });
  }

  private static double limitAtTheEdge(SplittableRandom random, double limit, long events) {
    LimitTest test = new LimitTest(limit);
    double[] state = begun(test);
    double highest = 0;
    long restarts = 0;
    for (long n = Delays.gap(random, limit); n <= events; n += Delays.gap(random, limit)) {
      while ((restarts + 1) * LimitTest.SPACING < n) {
        restarts++;
        test.restart(state, 0, restarts * LimitTest.SPACING, restarts);
      }
      test.bad(state, 0, n, restarts);
      highest = Math.max(highest, test.evidence(state, 0));
    }
    return highest;
  }

  private static double ratioAtTheEdge(RatioTest ratio, double margin, SplittableRandom random, int steps) {
    int[] step = {0};
    return highest(ratio, steps, (test, state) -> {
      double weight = new double[] {0.01, 0.1, 0.5}[step[0]++ * 3 / steps];
      boolean candidate = random.nextDouble() < weight * margin / (weight * margin + 1 - weight);
      test.add(state, 0, candidate ? 1 : 0, candidate ? 0 : 1, weight);
    });
  }

  private static double acceptedAtTheEdge(SplittableRandom random, double limit, long events) {
    LimitAcceptance test = new LimitAcceptance(limit);
    double highest = 0;
    long bad = 0;
    for (long n = Delays.gap(random, limit); n <= events; n += Delays.gap(random, limit)) {
      // Evidence is highest just before the next bad one.
      highest = Math.max(highest, test.evidence(n - 1, bad));
      bad++;
    }
    return highest;
  }

  // --- requests in flight -------------------------------------------------------------------------------------------

  @Test
  void fastFailuresAmongAThousandInFlightRaiseNoFalseAlarmsInSpiteOfRestarts() {
    completionOrder(400);
  }

  @Tag("long")
  @Test
  void fastFailuresAmongAThousandInFlightRaiseNoFalseAlarmsOverManySeeds() {
    completionOrder(20_000);
  }

  private static void completionOrder(int runs) {
    for (int spacing : new int[] {LimitTest.SPACING, 1000}) {
      bounded("1000 in flight, failures 10 to 100 times faster, restart every " + spacing, runs,
          random -> closedLoop(random, spacing, Generation.AT_DISPATCH));
    }
  }

  /// The guard taken out: a failure counts for whatever restart is the newest when it returns.
  @Test
  void withoutGenerationsFastFailuresRaiseFalseAlarms() {
    int alarms = 0;
    int runs = 200;
    for (int run = 0; run < runs; run++) {
      SplittableRandom random = new SplittableRandom(SEED * 1_000_003 + run);
      alarms += closedLoop(random, 1000, Generation.AT_RETURN) >= 1000 ? 1 : 0;
    }
    System.out.printf("false alarms without generations at alpha 0.001: %d of %d%n", alarms, runs);
    assertThat(alarms).isGreaterThan(runs / 2);
  }

  private enum Generation { AT_DISPATCH, AT_RETURN }

  private record InFlight(double returns, boolean bad, long generation) {}

  /// A thousand callers, each of whom sends the next request when the last one has returned; one in a hundred fails, and soon.
  private static double closedLoop(SplittableRandom random, int spacing, Generation guard) {
    LimitTest test = new LimitTest(0.01);
    double[] state = begun(test);
    PriorityQueue<InFlight> queue = new PriorityQueue<>(Comparator.comparingDouble(InFlight::returns));
    long dispatched = 0;
    long restarts = 0;
    double highest = 0;
    double now = 0;
    while (dispatched < 10_000) {
      boolean bad = random.nextDouble() < 0.01;
      double takes = random.nextDouble(500, 1500) / (bad ? random.nextDouble(10, 100) : 1);
      queue.add(new InFlight(now + takes, bad, restarts));
      dispatched++;
      if (dispatched % spacing == 0) {
        test.restart(state, 0, dispatched, ++restarts);
      }
      while (queue.size() >= 1000) {
        InFlight first = queue.remove();
        now = first.returns();
        if (first.bad()) {
          test.bad(state, 0, dispatched, guard == Generation.AT_DISPATCH ? first.generation() : restarts);
          highest = Math.max(highest, test.evidence(state, 0));
        }
      }
    }
    return highest;
  }

  // --- in general ---------------------------------------------------------------------------------------------------

  private interface Step<T> {
    void take(T test, double[] state);
  }

  private static <T extends EProcess> double highest(T test, int steps, Step<T> step) {
    double[] state = begun(test);
    double highest = 0;
    for (int i = 0; i < steps; i++) {
      step.take(test, state);
      highest = Math.max(highest, test.evidence(state, 0));
    }
    return highest;
  }

  private static double[] begun(EProcess test) {
    double[] state = new double[test.size()];
    test.begin(state, 0);
    return state;
  }

  private static void bounded(String what, int runs, ToDoubleFunction<SplittableRandom> highestEvidence) {
    int[] alarms = new int[ALPHAS.length];
    for (int run = 0; run < runs; run++) {
      double highest = highestEvidence.applyAsDouble(new SplittableRandom(SEED * 1_000_003 + run));
      for (int i = 0; i < ALPHAS.length; i++) {
        alarms[i] += highest >= 1 / ALPHAS[i] ? 1 : 0;
      }
    }
    for (int i = 0; i < ALPHAS.length; i++) {
      int most = Chance.mostOf(runs, ALPHAS[i]);
      System.out.printf("false alarms, %s: %d of %d, at most %d at alpha %s%n", what, alarms[i], runs, most, ALPHAS[i]);
      assertThat(alarms[i]).as("%s, seeds from %d", what, SEED * 1_000_003).isLessThanOrEqualTo(most);
    }
  }
}
