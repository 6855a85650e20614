package dev.sluice.gateway.routing;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.StopRule;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// A flip on scratch memory before the first real one.
///
/// The path from a tripping observation to the flip runs once in the life of a rollout, when it matters most, and would run
/// cold: classes not loaded, methods interpreted, the branch cut out by a compiler that has never seen it taken. Rehearsed some
/// hundred times when the note is armed (a few milliseconds in all), it takes some tens of microseconds. It also shows that the rules as
/// armed can fire at all.
public final class Rehearsal {

  /// Enough for the JVM's first compiler.
  private static final int RUNS = 400;

  /// Far more bad requests in a row than any rule needs.
  private static final int REQUESTS_MAX = 10_000;

  /// Longer than any limit of latency in a note.
  private static final long LONGEST_NANOS = 40_000_000_000_000_000L;

  /// A rehearsal takes the shortest log.
  private static final int LINES = 64;

  /// Words cleared in all rehearsals together: rollouts with very many segments rehearse less often.
  private static final int WORDS_MAX = 40_000_000;

  private Rehearsal() {}

  /// Lets everything go wrong until a rule fires, again and again.
  ///
  /// @return requests until the flip
  /// @throws IllegalStateException if no rule fires although some rule could
  public static int of(RolloutNote note, int attempt) {
    int requests = 0;
    EvidenceLedger.Plan real = note.plan(attempt);
    EvidenceLedger.Plan plan =
        new EvidenceLedger.Plan(real.rules(), real.margins(), real.callMillisMax(), LINES, true);
    // Off the heap and shared between threads, as a mapped file is: other memory would compile another path.
    try (Arena arena = Arena.ofShared()) {
      int words = plan.wordsNeeded();
      MemorySegment scratch = arena.allocate(ValueLayout.JAVA_LONG, words);
      int runs = Math.max(1, Math.min(RUNS, WORDS_MAX / words));
      for (int run = 0; run < runs; run++) {
        scratch.fill((byte) 0);
        requests = untilFlip(new EvidenceLedger(plan, new LedgerWords(scratch)), plan.callMillisMax());
      }
    }
    return requests;
  }

  private static int untilFlip(EvidenceLedger ledger, long callMillisMax) {
    ledger.initialize(1, Exposure.of(1, Exposure.ALL / 2, Exposure.ALL));
    for (int r = 0; r < ledger.rules().rules().size(); r++) {
      if (ledger.rules().rules().get(r) instanceof StopRule.LatencyRatio ratio) {
        for (int part = 0; part < ratio.parts(); part++) {
          ledger.freeze(r, part, 1, 0);
        }
      }
    }
    long nowMillis = 0;
    long stepMillis = Math.max(10, callMillisMax / 100); // slices have to end
    for (int request = 1; request <= REQUESTS_MAX; request++) {
      nowMillis += stepMillis;
      Assignment assignment =
          new Assignment(Variant.CANDIDATE, true, 0, 1, Exposure.ALL / 2, Assignment.NO_KEY, ledger.ticket(0));
      ledger.assigned(assignment, nowMillis);
      ledger.dispatchedLive(0, nowMillis);
      ledger.dispatchedComparison(0);
      boolean flipped = ledger.capped(nowMillis) != null || ledger.tick(nowMillis) != null;
      for (Observation wrong : everythingWrong(assignment, ledger)) {
        flipped |= ledger.record(wrong, nowMillis) != null;
      }
      if (flipped) {
        return request;
      }
    }
    if (ledger.rules().armed().stream().allMatch(test -> isHolding(ledger, test))) {
      return REQUESTS_MAX; // hard bounds larger than this rehearsal, or no rule that stops
    }
    throw new IllegalStateException("no stop rule fires even when every request goes wrong");
  }

  private static boolean isHolding(EvidenceLedger ledger, ArmedRule test) {
    return ledger.rules().rules().get(test.rule()).action() == StopRule.Action.HOLD;
  }

  private static List<Observation> everythingWrong(Assignment assignment, EvidenceLedger ledger) {
    List<Observation> wrong = new ArrayList<>();
    wrong.add(new Observation.Failed(assignment, Variant.CANDIDATE, false, 1_000_000_000));
    wrong.add(new Observation.Failed(assignment, Variant.CANDIDATE, true, LONGEST_NANOS));
    wrong.add(new Observation.FellBack(assignment, FallbackReason.FAILED));
    wrong.add(new Observation.Compared(assignment, Disagreement.TOTAL));
    wrong.add(new Observation.Repeated(assignment, false, true, 1, 1_000));
    wrong.add(new Observation.Labelled(assignment, 1));
    List<StopRule> rules = ledger.rules().rules();
    for (int r = 0; r < rules.size(); r++) {
      if (rules.get(r) instanceof StopRule.MeanDrift) {
        wrong.add(new Observation.Measured(assignment, Variant.BASELINE, r, 0));
        wrong.add(new Observation.Measured(assignment, Variant.CANDIDATE, r, 100));
      } else if (rules.get(r) instanceof StopRule.BinDrift bins) {
        wrong.add(new Observation.Measured(assignment, Variant.BASELINE, r, mostLikely(bins)));
        wrong.add(new Observation.Measured(assignment, Variant.CANDIDATE, r, leastLikely(bins)));
      }
    }
    return wrong;
  }

  private static int mostLikely(StopRule.BinDrift bins) {
    return bins.shares().indexOf(Collections.max(bins.shares()));
  }

  private static int leastLikely(StopRule.BinDrift bins) {
    return bins.shares().indexOf(Collections.min(bins.shares()));
  }
}
