package dev.sluice.router.simulation;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Cause;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;

/// How much of a candidate it takes until one rule alone, through the real ledger, stops it or holds it. Answers come at once.
final class Detection {

  private static final Segments ALL_TRAFFIC = new Segments(List.of());
  private static final long CALL_MILLIS_MAX = 100;
  private static final int MILLIS_BETWEEN_REQUESTS = 1;
  static final double ALPHA = 0.001;

  /// One request, or pair, or triple, brought to the ledger.
  interface Traffic {
    void next(Detection to);
  }

  /// How many it took, in rising order; [#NEVER] where nothing happened.
  record Delays(List<Long> sorted) {
    long median() {
      return sorted.get(sorted.size() / 2);
    }

    long p95() {
      return sorted.get(sorted.size() * 95 / 100);
    }

    int detected() {
      return (int) sorted.stream().filter(delay -> delay != NEVER).count();
    }
  }

  static final long NEVER = Long.MAX_VALUE;

  private final EvidenceLedger ledger;
  private final int weight;
  final SplittableRandom random;
  private long nowMillis = 1_000_000;
  private long counted;

  private Detection(EvidenceLedger.Plan plan, int weight, long seed) {
    this.ledger = new EvidenceLedger(plan, LedgerWords.onHeap(plan.wordsNeeded()));
    this.weight = weight;
    this.random = new SplittableRandom(seed);
    ledger.initialize(1, Exposure.of(1, weight, 0));
  }

  /// @param goodFirst so many of `before` come before `traffic` begins
  /// @param most where a run is broken off
  static Delays run(
      StopRule rule, double alpha, int weight, long goodFirst, Traffic before, Traffic traffic, long most, int runs, long seed) {
    EvidenceLedger.Plan plan =
        new EvidenceLedger.Plan(new ArmedRules(List.of(rule), alpha, ALL_TRAFFIC), List.of(), CALL_MILLIS_MAX, 64, true);
    return new Delays(
        LongStream.range(0, runs)
            .parallel()
            .map(run -> new Detection(plan, weight, seed * 1_000_003 + run).delay(goodFirst, before, traffic, most))
            .sorted()
            .boxed()
            .toList());
  }

  private long delay(long goodFirst, Traffic before, Traffic traffic, long most) {
    for (long i = 0; i < goodFirst && !isOver(); i++) {
      before.next(this);
      nowMillis += MILLIS_BETWEEN_REQUESTS;
    }
    counted = 0;
    while (!isOver()) {
      if (counted >= most) {
        return NEVER;
      }
      traffic.next(this);
      nowMillis += MILLIS_BETWEEN_REQUESTS;
      ledger.tick(nowMillis);
    }
    return counted;
  }

  private boolean isOver() {
    return Exposure.isFlipped(ledger.exposure()) || !ledger.holding().isEmpty();
  }

  // --- kinds of traffic -----------------------------------------------------------------------------------------------

  private Assignment assignment(Variant variant, boolean shadowed) {
    return new Assignment(variant, shadowed, 0, 1, weight, Assignment.NO_KEY, ledger.ticket(0));
  }

  /// The candidate answers everybody.
  static Traffic failing(double rate) {
    return to -> {
      Assignment request = to.assignment(Variant.CANDIDATE, false);
      to.counted++;
      to.ledger.assigned(request, to.nowMillis);
      to.ledger.dispatchedLive(0, to.nowMillis);
      if (to.random.nextDouble() < rate) {
        to.ledger.record(new Observation.Failed(request, Variant.CANDIDATE, false, 0), to.nowMillis);
        to.ledger.record(new Observation.FellBack(request, FallbackReason.FAILED), to.nowMillis);
      }
    };
  }

  /// Both variants answer, each its share; counted are the candidate's requests.
  static Traffic split(double baselineFails, double candidateFails) {
    return to -> {
      Variant variant = to.live();
      if (to.random.nextDouble() < (variant == Variant.CANDIDATE ? candidateFails : baselineFails)) {
        to.ledger.record(new Observation.Failed(to.assignment(variant, false), variant, false, 0), to.nowMillis);
      }
    };
  }

  private Variant live() {
    Variant variant = random.nextInt(Exposure.ALL) < weight ? Variant.CANDIDATE : Variant.BASELINE;
    if (variant == Variant.CANDIDATE) {
      counted++;
      ledger.dispatchedLive(0, nowMillis);
    }
    return variant;
  }

  /// Answers with log-normal latency of so much spread, the candidate's so many times as slow, beside the baseline's median and its
  /// 90th and 99th percentile.
  static Traffic slower(double sigma, double times) {
    double[] quantiles = {1, Math.exp(1.2816 * sigma), Math.exp(2.3263 * sigma)};
    return to -> {
      if (to.ledger.frozenNanos(0, 0) == 0) {
        for (int part = 0; part < quantiles.length; part++) {
          to.ledger.freeze(0, part, (long) (quantiles[part] * 1e6), to.nowMillis);
        }
      }
      Variant variant = to.live();
      double millis = Math.exp(sigma * to.random.nextGaussian()) * (variant == Variant.CANDIDATE ? times : 1);
      to.ledger.record(
          new Observation.Answered(to.assignment(variant, false), variant, false, (long) (millis * 1e6)), to.nowMillis);
    };
  }

  /// Pairs of runs on one thread, the candidate's so many times as slow.
  static Traffic slowerPairs(double sigma, double times) {
    return to -> {
      to.counted++;
      long baseline = (long) (1e6 * Math.exp(sigma / Math.sqrt(2) * to.random.nextGaussian()));
      long candidate = (long) (1e6 * times * Math.exp(sigma / Math.sqrt(2) * to.random.nextGaussian()));
      to.ledger.record(
          new Observation.Repeated(to.assignment(Variant.BASELINE, true), false, false, baseline, candidate), to.nowMillis);
    };
  }

  static Traffic failingPairs(double baselineFails, double candidateFails) {
    return to -> {
      to.counted++;
      to.ledger.dispatchedShadow(0, to.nowMillis);
      boolean baseline = to.random.nextDouble() < baselineFails;
      boolean candidate = to.random.nextDouble() < candidateFails;
      if (baseline != candidate) {
        to.ledger.record(
            new Observation.Failed(
                to.assignment(Variant.BASELINE, true), candidate ? Variant.CANDIDATE : Variant.BASELINE, true, 0),
            to.nowMillis);
      }
    };
  }

  /// The baseline disagrees with its own first answer at one rate, the candidate at another.
  static Traffic triples(double noise, double candidate) {
    return to -> {
      to.counted++;
      to.ledger.record(
          new Observation.Repeated(
              to.assignment(Variant.BASELINE, true), to.random.nextDouble() < noise, to.random.nextDouble() < candidate, 0, 0),
          to.nowMillis);
    };
  }

  static Traffic disagreeing(double rate) {
    return to -> {
      to.counted++;
      Assignment request = to.assignment(Variant.BASELINE, true);
      to.ledger.dispatchedComparison(0);
      to.ledger.record(
          new Observation.Compared(request, to.random.nextDouble() < rate ? new Disagreement(0.5, true) : Disagreement.NONE),
          to.nowMillis);
    };
  }

  /// Distances spread evenly up to twice their mean.
  static Traffic apart(double mean) {
    return to -> {
      to.counted++;
      double distance = 2 * mean * to.random.nextDouble();
      to.ledger.record(
          new Observation.Compared(to.assignment(Variant.BASELINE, true), new Disagreement(distance, Cause.NONE, distance)),
          to.nowMillis);
    };
  }

  /// Answers that take so many milliseconds on the mean, spread evenly.
  static Traffic costing(double meanMillis) {
    return to -> {
      to.counted++;
      Assignment request = to.assignment(Variant.CANDIDATE, false);
      to.ledger.dispatchedLive(0, to.nowMillis);
      long nanos = (long) (2e6 * meanMillis * to.random.nextDouble());
      to.ledger.record(new Observation.Answered(request, Variant.CANDIDATE, false, nanos), to.nowMillis);
    };
  }

  /// A standardised feature of the requests of each variant; counted are the candidate's.
  static Traffic drifting(double baselineShift, double candidateShift) {
    return to -> {
      Variant variant = to.live();
      double shift = variant == Variant.CANDIDATE ? candidateShift : baselineShift;
      to.ledger.record(
          new Observation.Measured(to.assignment(variant, false), variant, 0, shift + to.random.nextGaussian()), to.nowMillis);
    };
  }

  /// A feature that falls into one bin with this probability on the candidate, and spreads evenly otherwise; ten bins.
  static Traffic crowding(double share) {
    return to -> {
      Variant variant = to.live();
      boolean crowded = variant == Variant.CANDIDATE && to.random.nextDouble() < (share - 0.1) / 0.9;
      to.ledger.record(
          new Observation.Measured(to.assignment(variant, false), variant, 0, crowded ? 0 : to.random.nextInt(10)), to.nowMillis);
    };
  }

  /// Requests that reach the candidate with another probability than the weight says; all are counted.
  static Traffic misrouted(double share) {
    return to -> {
      to.counted++;
      Variant variant = to.random.nextDouble() < share ? Variant.CANDIDATE : Variant.BASELINE;
      to.ledger.assigned(to.assignment(variant, false), to.nowMillis);
    };
  }

  /// Loss differences of so much on the mean, between -0.5 and 0.5 around it.
  static Traffic labelled(double mean) {
    return to -> {
      to.counted++;
      to.ledger.record(
          new Observation.Labelled(to.assignment(Variant.BASELINE, true), mean + to.random.nextDouble(-0.5, 0.5)), to.nowMillis);
    };
  }
}
