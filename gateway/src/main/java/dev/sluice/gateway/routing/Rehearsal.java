package dev.sluice.gateway.routing;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRules;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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

  /// Far more bad events in a row than any rule needs.
  private static final int EVENTS_MAX = 10_000;

  private Rehearsal() {}

  /// Lets everything go wrong until a rule fires, again and again.
  ///
  /// @return bad events of each kind until the flip
  /// @throws IllegalStateException if no rule fires
  public static int of(ArmedRules rules, Segments segments) {
    int events = 0;
    // Off the heap and shared between threads, as a mapped file is: other memory would compile another path.
    try (Arena arena = Arena.ofShared()) {
      int words = EvidenceLedger.wordsNeeded(rules.rules().size(), segments.count());
      MemorySegment scratch = arena.allocate(ValueLayout.JAVA_LONG, words);
      EvidenceLedger ledger = new EvidenceLedger(rules, segments, new LedgerWords(scratch));
      for (int run = 0; run < RUNS; run++) {
        scratch.fill((byte) 0);
        events = untilFlip(ledger);
      }
    }
    return events;
  }

  private static int untilFlip(EvidenceLedger ledger) {
    ledger.initialize(1, Exposure.of(1, Exposure.ALL, Exposure.ALL));
    List<Observation> everythingWrong =
        List.of(
            new Observation.Failed(1, 0, Variant.CANDIDATE, false, Long.MAX_VALUE),
            new Observation.FellBack(1, 0, FallbackReason.FAILED),
            new Observation.Compared(1, 0, Disagreement.TOTAL));
    for (int event = 1; event <= EVENTS_MAX; event++) {
      ledger.assignedLive(0);
      ledger.dispatchedLive(0);
      ledger.dispatchedComparison(0);
      for (Observation wrong : everythingWrong) {
        if (LiveRollout.recordAndFlip(ledger, wrong, "") != null) {
          return event;
        }
      }
    }
    throw new IllegalStateException("no stop rule fires even when every request goes wrong");
  }
}
