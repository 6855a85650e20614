package dev.sluice.router.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Segments;
import dev.sluice.router.rollout.ExampleNotes;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutNote.Promotion;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.rollout.Step;
import dev.sluice.router.rollout.Step.Canary;
import dev.sluice.router.rollout.Step.ExpansionCondition;
import dev.sluice.router.rollout.Step.Shadow;
import dev.sluice.router.simulation.SimulatedRollout.Behaviour;
import dev.sluice.router.simulation.SimulatedRollout.Outcome;
import dev.sluice.router.simulation.SimulatedRollout.Plan;
import dev.sluice.router.simulation.SimulatedRollout.Rates;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Stop;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.LongFunction;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The promise to owners, kept over whole rollouts: a healthy candidate is stopped with probability at most alpha, all
/// rules, segments, steps, looks and changes of weight together; a bad one is stopped soon.
final class WholeRolloutTest {

  private static final long SEED = 83;

  private static final List<String> FIVE_SEGMENTS = List.of("country=DE", "country=FR", "country=IT", "tier=vip");

  @ParameterizedTest(name = "alpha {0}, limit {1}, {2} rules")
  @CsvSource({"0.05, 0.05, 4", "0.05, 0.05, 1", "0.05, 0.01, 4", "0.001, 0.05, 4", "0.001, 0.05, 1"})
  void aHealthyCandidateIsStoppedNoMoreOftenThanAlphaAllows(double alpha, double limit, int rules) {
    checkHealthy(1_200, alpha, limit, rules);
  }

  @Tag("long")
  @ParameterizedTest(name = "alpha {0}, limit {1}, {2} rules")
  @CsvSource({"0.05, 0.05, 4", "0.05, 0.05, 1", "0.001, 0.05, 4", "0.001, 0.01, 1"})
  void aHealthyCandidateIsStoppedNoMoreOftenThanAlphaAllowsOverManySeeds(double alpha, double limit, int rules) {
    checkHealthy(50_000, alpha, limit, rules);
  }

  private static void checkHealthy(int rollouts, double alpha, double limit, int rules) {
    Setting setting = new Setting(alpha, limit, rules);
    Map<String, Integer> ends = new TreeMap<>();
    long requests = 0;
    for (Outcome outcome : outcomes(rollouts, seed -> setting.plan(seed, setting.healthy(seed)))) {
      ends.merge(outcome.stage().getClass().getSimpleName(), 1, Integer::sum);
      requests += outcome.requests();
    }
    int most = Chance.mostOf(rollouts, alpha);
    System.out.printf(
        "healthy, alpha %s, limit %s, %d rules: %s of %d rollouts (%,d requests), at most %d may be stopped%n",
        alpha, limit, rules, ends, rollouts, requests, most);
    assertThat(ends.getOrDefault("Stopped", 0)).as("stopped, seeds from %d", SEED * 1_000_003).isLessThanOrEqualTo(most);
    assertThat(ends.getOrDefault("Promoted", 0)).as("promoted, or the others prove little").isGreaterThan(rollouts / 2);
  }

  /// Shows that the test above can fail, and that the stop names the rule that was broken.
  @ParameterizedTest
  @ValueSource(strings = {"error-rate", "disagreement-rate", "latency-over-40000ms"})
  void aCandidateAtThreeTimesOneLimitIsStoppedForIt(String broken) {
    Setting setting = new Setting(0.001, 0.05, 4);
    Rates bad =
        switch (broken) {
          case "error-rate" -> new Rates(0.15, 0.02, 0.02);
          case "disagreement-rate" -> new Rates(0.02, 0.02, 0.15);
          default -> new Rates(0.02, 0.15, 0.02);
        };
    int rollouts = 300;
    int stopped = 0;
    int named = 0;
    for (Outcome outcome : outcomes(rollouts, seed -> setting.plan(seed, (_, _) -> bad))) {
      assertThat(outcome.afterTheEnd()).as("candidates after the flip, seeds from %d", SEED * 1_000_003).isZero();
      Stop stop = outcome.stop();
      if (stop != null) {
        stopped++;
        // Where the candidate fails, the baseline answers in its place: both rules are broken.
        boolean fallback = broken.equals("error-rate") && stop.rule().equals("fallback-rate");
        named += stop.rule().equals(broken) || fallback ? 1 : 0;
        assertThat(stop.dispatched()).as("%s", stop).isLessThanOrEqualTo(stop.boundary());
      }
    }
    System.out.printf("three times the limit of %s: %d of %d stopped, %d for it%n", broken, stopped, rollouts, named);
    assertThat(stopped).as("seeds from %d", SEED * 1_000_003).isGreaterThan(rollouts * 95 / 100);
    assertThat(named).as("seeds from %d", SEED * 1_000_003).isGreaterThan(rollouts * 95 / 100);
  }

  @Test
  void aCandidateThatIsBadForOneSegmentAloneIsStopped() {
    Setting setting = new Setting(0.001, 0.01, 4);
    Rates good = new Rates(0, 0, 0);
    Rates bad = new Rates(0.3, 0, 0);
    int rollouts = 300;
    int inSegment = 0;
    int stopped = 0;
    for (Outcome outcome : outcomes(rollouts, seed -> setting.plan(seed, (segment, _) -> segment == 2 ? bad : good))) {
      Stop stop = outcome.stop();
      if (stop != null) {
        stopped++;
        assertThat(stop.segment()).as("%s", stop).isIn("country=IT", "");
        inSegment += stop.segment().isEmpty() ? 0 : 1;
      }
    }
    System.out.printf("bad in one of five segments: %d of %d stopped, %d of them in it%n", stopped, rollouts, inSegment);
    assertThat(stopped).isGreaterThan(rollouts * 99 / 100);
    assertThat(inSegment).isGreaterThan(rollouts / 4);
  }

  @Test
  void aCandidateThatFailsEveryRequestIsStoppedWithinTwo() {
    RolloutNote note = failingNote(List.of(), List.of(new ErrorRate(0.01, Scope.ALL)));
    assertThat(mostCandidateCalls(note)).isEqualTo(2);
  }

  @Test
  void withFourRulesInFiveSegmentsItIsStoppedWithinThree() {
    RolloutNote note = failingNote(FIVE_SEGMENTS, fourRules(0.01));
    int most = mostCandidateCalls(note);
    System.out.printf("failing every request, 4 rules x 5 segments: stopped within %d candidate requests%n", most);
    assertThat(most).isLessThanOrEqualTo(3);
  }

  @Test
  void aTripWhilePausedFlipsAndIsWrittenDown() {
    RolloutNote note = failingNote(List.of(), List.of(new ErrorRate(0.01, Scope.ALL)));
    for (long seed = SEED; seed < SEED + 50; seed++) {
      SimulatedRollout rollout = new SimulatedRollout(failing(note), seed);
      rollout.decide(new RolloutEvent.Pause("lunch"));
      Outcome outcome = rollout.run();
      assertThat(outcome.stage()).as("seed %d", seed)
          .isEqualTo(new Stage.Stopped("error-rate: 2 bad among the first 2, and 2 among 2 or fewer are too many"));
      assertThat(outcome.afterTheEnd()).as("seed %d", seed).isZero();
    }
  }

  private static int mostCandidateCalls(RolloutNote note) {
    int most = 0;
    for (long seed = SEED; seed < SEED + 500; seed++) {
      Outcome outcome = new SimulatedRollout(failing(note), seed).run();
      assertThat(outcome.stage()).as("seed %d", seed).isInstanceOf(Stage.Stopped.class);
      assertThat(outcome.afterTheEnd()).as("seed %d", seed).isZero();
      most = Math.max(most, outcome.candidateCalls());
    }
    return most;
  }

  private static RolloutNote failingNote(List<String> segments, List<StopRule> rules) {
    List<Step> steps = List.of(new Canary(1_000, 0, new ExpansionCondition(10_000, 0, 0)));
    return ExampleNotes.note(segments, steps, rules, 0.001, 1_000, Promotion.MANUAL);
  }

  /// Answers at once, so that each request is over before the next one begins.
  private static Plan failing(RolloutNote note) {
    Segments segments = new Segments(note.segments());
    ArmedRules rules = new ArmedRules(note.stopRules(), note.alpha(), segments);
    return new Plan(note, segments, rules, (_, _) -> new Rates(0, 0, 0), (_, _) -> new Rates(1, 0, 0), 100_000, 0, false);
  }

  private static List<StopRule> fourRules(double limit) {
    return List.of(
        new ErrorRate(limit, Scope.ALL), new FallbackRate(limit, Scope.ALL), new DisagreementRate(limit, Scope.ALL),
        new LatencyOver(SimulatedRollout.SLOW_NANOS, limit, Scope.ALL));
  }

  private static List<Outcome> outcomes(int rollouts, LongFunction<Plan> plans) {
    Outcome[] outcomes =
        LongStream.range(SEED * 1_000_003, SEED * 1_000_003 + rollouts)
            .parallel()
            .mapToObj(seed -> new SimulatedRollout(plans.apply(seed), seed).run())
            .toArray(Outcome[]::new);
    return Arrays.asList(outcomes);
  }

  /// Notes that differ by seed in their steps under the same rules, whose tables are made once.
  private static final class Setting {
    private final double alpha;
    private final double limit;
    private final List<StopRule> stopRules;
    private final List<String> declared;
    private final Segments segments;
    private final ArmedRules armed;

    Setting(double alpha, double limit, int rules) {
      this.alpha = alpha;
      this.limit = limit;
      this.stopRules = fourRules(limit).subList(0, rules);
      this.declared = rules == 1 ? List.of() : FIVE_SEGMENTS;
      RolloutNote example = ExampleNotes.note(declared, List.of(step(1, 1)), stopRules, alpha, 10_000, Promotion.MANUAL);
      this.segments = new Segments(example.segments());
      this.armed = new ArmedRules(stopRules, alpha, segments);
    }

    private static Canary step(int weight, long observations) {
      return new Canary(weight, 2_000, new ExpansionCondition(observations, 5, 2_000));
    }

    /// The candidate is its baseline: half of the time at the limits, half of the time in waves below them.
    Behaviour healthy(long seed) {
      if (seed % 2 == 0) {
        Rates atTheLimit = new Rates(limit, limit, limit);
        return (_, _) -> atTheLimit;
      }
      double wave = 3_000 + seed % 40_000;
      return (segment, nowMillis) -> {
        double now = limit * (0.6 + 0.4 * Math.sin(nowMillis / wave + segment));
        return new Rates(now, now, now);
      };
    }

    Plan plan(long seed, Behaviour candidate) {
      SplittableRandom random = new SplittableRandom(seed * 7919);
      List<Step> steps =
          List.of(
              new Shadow(random.nextInt(2_000, 10_001), new ExpansionCondition(random.nextInt(50, 500), 5, 1_000)),
              step(random.nextInt(500, 2_000), random.nextInt(20, 200)),
              step(random.nextInt(1_000, 5_001), random.nextInt(50, 600)));
      long answerMillisMean = random.nextInt(3) == 0 ? random.nextLong(20_000) : random.nextLong(500);
      Behaviour baseline = healthy(seed);
      return new Plan(
          ExampleNotes.note(declared, steps, stopRules, alpha, 5_000, Promotion.AUTOMATIC), segments, armed, baseline,
          candidate, 15_000, answerMillisMean, random.nextBoolean());
    }
  }
}
