package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.ledger.EvidenceLedger.Plan;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A real ledger whose requests a test makes one by one: what a gateway does for each of them, without the gateway.
final class ByHand {

  static final int LINES = 64;
  static final long CALL_MILLIS_MAX = 1_000;
  static final long MARK = 77;
  static final Segments NO_SEGMENTS = new Segments(List.of());

  final Plan plan;
  final LedgerWords words;
  EvidenceLedger ledger;
  long nowMillis = 1_000_000;
  int weight = 2_000;

  ByHand(Plan plan) {
    this(plan, LedgerWords.onHeap(plan.wordsNeeded()));
  }

  ByHand(Plan plan, LedgerWords words) {
    this.plan = plan;
    this.words = words;
    this.ledger = new EvidenceLedger(plan, words);
    ledger.initialize(MARK, Exposure.of(5, weight, 100));
  }

  /// All traffic together, at alpha 0.001.
  ByHand(StopRule... rules) {
    this(plan(NO_SEGMENTS, rules));
  }

  static Plan plan(Segments segments, StopRule... rules) {
    return new Plan(new ArmedRules(List.of(rules), 0.001, segments), List.of(), CALL_MILLIS_MAX, LINES, true);
  }

  /// A request's decision, before anything is counted.
  Assignment assigned(Variant variant, int segment, long keyHash) {
    return new Assignment(
        variant, false, segment, Exposure.epoch(ledger.exposure()), weight, keyHash, ledger.ticket(segment));
  }

  /// A request that the candidate is running.
  Assignment live(int segment) {
    Assignment assignment = assigned(Variant.CANDIDATE, segment, Assignment.NO_KEY);
    ledger.assigned(assignment, nowMillis);
    ledger.dispatchedLive(segment, nowMillis);
    return assignment;
  }

  /// A request of which the candidate is running a copy.
  Assignment shadow(int segment) {
    Assignment assignment = assigned(Variant.BASELINE, segment, Assignment.NO_KEY);
    ledger.dispatchedShadow(segment, nowMillis);
    ledger.dispatchedComparison(segment);
    return assignment;
  }

  @Nullable Trip failed(Assignment request) {
    return record(new Observation.Failed(request, Variant.CANDIDATE, request.variant() == Variant.BASELINE, 1_000));
  }

  @Nullable Trip answered(Assignment request) {
    return record(new Observation.Answered(request, Variant.CANDIDATE, request.variant() == Variant.BASELINE, 1_000));
  }

  @Nullable Trip compared(Assignment request, boolean disagrees) {
    return record(new Observation.Compared(request, disagrees ? new Disagreement(0.1, true) : Disagreement.NONE));
  }

  @Nullable Trip record(Observation observation) {
    return ledger.record(observation, nowMillis);
  }

  /// A later process over the same memory.
  @Nullable Trip restart() {
    ledger = new EvidenceLedger(plan, words);
    return ledger.restore();
  }

  static LedgerWords copy(LedgerWords words) {
    LedgerWords copy = LedgerWords.onHeap(words.size());
    for (int i = 0; i < words.size(); i++) {
      copy.set(i, words.get(i));
    }
    return copy;
  }
}
