package dev.sluice.router.simulation;

import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.ExampleNotes;
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
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Cap;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.LatencyRatio;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.MeanDrift;
import dev.sluice.router.stop.StopRule.NoiseFloor;
import dev.sluice.router.stop.StopRule.PairedErrors;
import dev.sluice.router.stop.StopRule.PairedLatency;
import dev.sluice.router.stop.StopRule.SampleRatio;
import dev.sluice.router.stop.StopRule.Scope;
import dev.sluice.router.stop.StopRule.ScoreDifference;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.LongFunction;
import java.util.stream.LongStream;

/// Rollouts under one set of rules that differ by seed in their steps, their traffic and the people that meddle with them. Unless a
/// test says otherwise the candidate is its baseline.
final class HealthyRollouts {

  static final List<String> COUNTRIES = List.of("country=DE", "country=FR");

  /// What the simulated answers take on the mean: none, a few, a hundred, a thousand requests are in flight.
  private static final long[] ANSWER_MILLIS = {0, 200, 2_000, 20_000};


  /// The rules that a note may name, all of them, or those whose rate the simulated candidate is exactly at.
  enum Mix {
    ALL,
    LIMITS
  }

  private final double alpha;
  private final double limit;
  private final Mix mix;
  private final int requestsMax;
  private final List<EvidenceLedger.Plan> plans = new ArrayList<>();

  HealthyRollouts(double alpha, double limit, Mix mix) {
    this(alpha, limit, mix, 6_000);
  }

  /// @param requestsMax where a rollout that has not ended is broken off
  HealthyRollouts(double alpha, double limit, Mix mix, int requestsMax) {
    this.requestsMax = requestsMax;
    this.alpha = alpha;
    this.limit = limit;
    this.mix = mix;
    Segments segments =
        new Segments(COUNTRIES.stream().map(SegmentRule::parse).toList(), new Segments.Discovery("tenant", 5));
    for (long answerMillis : ANSWER_MILLIS) {
      plans.add(
          new EvidenceLedger.Plan(
              new ArmedRules(rules(answerMillis), alpha, segments), List.of(2.0),
              SimulatedRollout.callMillisMax(answerMillis), 128, true));
    }
  }

  private List<StopRule> rules(long answerMillis) {
    long slow = SimulatedRollout.slowNanos(answerMillis);
    List<StopRule> rules =
        new ArrayList<>(
            List.of(
                new ErrorRate(limit, Scope.ALL), new FallbackRate(limit, Scope.ALL), new DisagreementRate(limit, Scope.ALL),
                new LatencyOver(slow, limit, Scope.ALL)));
    if (mix == Mix.ALL) {
      // Means of what SimulatedRollout makes of rates at the limit.
      double distance = 0.15 * limit + 0.005;
      double nanos = slow * (0.5 * (1 - limit) + 1.05 * limit);
      rules.addAll(
          List.of(
              new ErrorRatio(1, Scope.ALL), new LatencyRatio(1, List.of(0.5, 0.9, 0.99), Scope.OVERALL),
              new PairedErrors(Scope.ALL), new PairedLatency(0.02, Scope.OVERALL), new NoiseFloor(Scope.ALL),
              new ScoreDifference(distance, Scope.ALL), new MeanCost((long) nanos, slow * 2, Scope.OVERALL),
              new MeanDrift(new Feature("age", true, 0), 40, 12, 0.5), new SampleRatio(),
              new Cap(Cap.Bounded.REQUESTS, 1_000_000)));
    }
    return rules;
  }

  List<StopRule> rules() {
    return plans.getFirst().rules().rules();
  }

  /// Half of the time at the limits, half of the time in waves below them.
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

  Plan plan(long seed) {
    return plan(seed, healthy(seed));
  }

  Plan plan(long seed, Behaviour candidate) {
    SplittableRandom random = new SplittableRandom(seed * 7919);
    List<Step> steps =
        List.of(
            new Shadow(random.nextInt(2_000, 10_001), new ExpansionCondition(random.nextInt(50, 500), 5, 1_000)),
            step(random.nextInt(500, 2_000), random.nextInt(20, 200)),
            step(random.nextInt(1_000, 5_001), random.nextInt(50, 600)));
    int inFlight = random.nextInt(ANSWER_MILLIS.length);
    RolloutNote note =
        ExampleNotes.note(
            COUNTRIES, steps, plans.get(inFlight).rules().rules(), alpha, 5_000, Promotion.AUTOMATIC, 5_000);
    return new Plan(
        note, plans.get(inFlight), healthy(seed), candidate, requestsMax, ANSWER_MILLIS[inFlight], random.nextBoolean());
  }

  private static Canary step(int weight, long observations) {
    return new Canary(weight, 2_000, new ExpansionCondition(observations, 5, 2_000));
  }

  // --- many of them ---------------------------------------------------------------------------------------------------

  /// What became of many rollouts.
  record Tally(
      int rollouts, int stopped, int held, int promoted, int notIdentical, int afterTheEnd, long requests,
      Map<String, Integer> rules) {}

  static Tally tally(long firstSeed, int rollouts, LongFunction<Plan> plans) {
    int stopped = 0;
    int held = 0;
    int promoted = 0;
    int notIdentical = 0;
    int afterTheEnd = 0;
    long requests = 0;
    Map<String, Integer> rules = new TreeMap<>();
    List<Outcome> outcomes =
        LongStream.range(firstSeed, firstSeed + rollouts)
            .parallel()
            .mapToObj(seed -> new SimulatedRollout(plans.apply(seed), seed).run())
            .toList();
    for (Outcome outcome : outcomes) {
      if (outcome.stop() != null) {
        stopped++;
        rules.merge(outcome.stop().rule(), 1, Integer::sum);
      }
      held += outcome.holding().isEmpty() ? 0 : 1;
      promoted += outcome.stage() instanceof Stage.CoolingDown || outcome.stage() instanceof Stage.Promoted ? 1 : 0;
      notIdentical += outcome.identical() ? 0 : 1;
      afterTheEnd += outcome.afterTheEnd();
      requests += outcome.requests();
    }
    return new Tally(rollouts, stopped, held, promoted, notIdentical, afterTheEnd, requests, rules);
  }
}
