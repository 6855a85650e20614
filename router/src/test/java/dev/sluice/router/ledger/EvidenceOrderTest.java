package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Plan;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule.BinDrift;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.SampleRatio;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Evidence from many threads comes into one order, and none of it is left lying.
@Timeout(120)
final class EvidenceOrderTest {

  private static final int ERRORS = 0;

  /// Two threads write a line each at the same moment and go away; then both lines have been weighed. Neither may have taken it
  /// that the other one, or an earlier line, would see to its own.
  @Test
  void noLineIsLeftLyingWhenItsWriterHasGone() throws Exception {
    ByHand hand = new ByHand(mild(64));
    int threads = 2;
    int rounds = 20_000;
    AtomicInteger arrived = new AtomicInteger();
    AtomicInteger left = new AtomicInteger();
    try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
      List<Future<Integer>> results = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        results.add(executor.submit(() -> {
          int lying = 0;
          for (int round = 1; round <= rounds; round++) {
            for (int i = 0; i < 8; i++) {
              hand.ledger.dispatchedShadow(0, 0);
            }
            Assignment request = new Assignment(Variant.BASELINE, true, 0, 5, 0, 0, hand.ledger.ticket(0));
            arrived.incrementAndGet();
            await(arrived, threads * round);
            hand.ledger.record(new Observation.Failed(request, Variant.CANDIDATE, true, 1), 0);
            left.incrementAndGet();
            await(left, threads * round);
            lying += hand.ledger.bad(ERRORS, ArmedRule.OVERALL) < (long) threads * round ? 1 : 0;
          }
          return lying;
        }));
      }
      for (Future<Integer> lying : results) {
        assertThat(lying.get()).as("rounds after which a line was lying").isZero();
      }
    }
    assertThat(hand.ledger.trip()).isNull();
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  private static void await(AtomicInteger counter, int value) {
    for (int spins = 0; counter.get() < value; spins++) {
      if (spins > 2_000) {
        LockSupport.parkNanos(1_000); // the other threads may have no processor
      } else {
        Thread.onSpinWait();
      }
    }
  }

  /// More threads than a small log has room for: none of them waits, and what is left out is counted.
  @Test
  void aFullLogLeavesLinesOutAndCountsThem() throws Exception {
    ByHand hand = new ByHand(mild(64));
    int threads = 48;
    int each = 500;
    try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
      List<Future<?>> results = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        results.add(executor.submit(() -> {
          for (int i = 0; i < each; i++) {
            Assignment request = new Assignment(Variant.BASELINE, true, 0, 5, 0, 0, hand.ledger.ticket(0));
            for (int events = 0; events < 5; events++) {
              hand.ledger.dispatchedShadow(0, 0);
            }
            hand.ledger.record(new Observation.Failed(request, Variant.CANDIDATE, true, 1), 0);
          }
        }));
      }
      for (Future<?> result : results) {
        result.get();
      }
    }
    // Restarts may be left out as well, so what is missing is at most what was left out.
    long missing = (long) threads * each - hand.ledger.bad(ERRORS, ArmedRule.OVERALL);
    assertThat(missing).isBetween(0L, hand.ledger.leftOut());
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  /// The tripping line may be weighed by a thread that is only assigning a request. Somebody is told all the same, once.
  @Test
  void theVerdictIsToldToOneThreadWhoeverWeighedTheLine() throws Exception {
    for (int round = 0; round < 100; round++) {
      ByHand hand =
          new ByHand(ByHand.plan(ByHand.NO_SEGMENTS, new ErrorRate(0.01, Scope.OVERALL), new SampleRatio()));
      AtomicInteger told = new AtomicInteger();
      int threads = 4;
      try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
        List<Future<?>> results = new ArrayList<>();
        for (int thread = 0; thread < threads; thread++) {
          boolean assigns = thread % 2 == 0;
          results.add(executor.submit(() -> {
            for (int i = 0; i < 50; i++) {
              Assignment request = hand.assigned(Variant.CANDIDATE, 0, Assignment.NO_KEY);
              if (assigns) {
                hand.ledger.assigned(request, i);
              } else {
                hand.ledger.dispatchedLive(0, i);
                Trip trip = hand.ledger.record(new Observation.Failed(request, Variant.CANDIDATE, false, 1), i);
                told.addAndGet(trip == null ? 0 : 1);
              }
            }
          }));
        }
        for (Future<?> result : results) {
          result.get();
        }
      }
      // A writer that lost its processor may have kept the others' lines out of so small a log: then later ones decide.
      for (int i = 0; i < 20 && hand.ledger.leftOut() > 0; i++) {
        Assignment request = hand.assigned(Variant.CANDIDATE, 0, Assignment.NO_KEY);
        hand.ledger.dispatchedLive(0, 50);
        Trip trip = hand.ledger.record(new Observation.Failed(request, Variant.CANDIDATE, false, 1), 50);
        told.addAndGet(trip == null ? 0 : 1);
      }
      told.addAndGet(hand.ledger.tick(1_000_000) == null ? 0 : 1); // the gateway's clock, if no call has ended since
      assertThat(told.get()).as("round %d", round).isEqualTo(1);
      assertThat(Exposure.isFlipped(hand.ledger.exposure())).isTrue();
      assertThat(hand.ledger.replay().identical()).isTrue();
    }
  }

  /// Weighing it would fail, again and again, and no later line would ever be weighed.
  @Test
  void aLineThatCannotBeWeighedIsNotWritten() {
    BinDrift drift =
        new BinDrift(new Feature("age", true, 0), List.of(20.0, 60.0), List.of(0.3, 0.3, 0.3, 0.1), 0.1);
    ByHand hand = new ByHand(new ErrorRate(0.01, Scope.OVERALL), drift);
    Assignment request = hand.live(0);
    assertThatThrownBy(() -> hand.record(new Observation.Measured(request, Variant.CANDIDATE, 1, 4)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("measured for drift-of-age[0]-bins: bin 4.0 is not between 0 and 3");
    assertThatThrownBy(() -> hand.record(new Observation.Measured(request, Variant.CANDIDATE, 0, 1)))
        .hasMessage("measured for rule 0, which is no drift rule");
    assertThatThrownBy(() -> hand.record(new Observation.Measured(request, Variant.CANDIDATE, 2, 1)))
        .hasMessage("measured for rule 2, which is no drift rule");
    hand.failed(request);
    assertThat(hand.ledger.bad(ERRORS, ArmedRule.OVERALL)).isEqualTo(1);
  }

  /// A limit that the failures of these tests stay below.
  private static Plan mild(int lines) {
    ArmedRules rules = new ArmedRules(List.of(new ErrorRate(0.5, Scope.OVERALL)), 1e-9, ByHand.NO_SEGMENTS);
    return new Plan(rules, List.of(), ByHand.CALL_MILLIS_MAX, lines, true);
  }
}
