package dev.sluice.gateway.control;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.assignment.Assigner;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.rollout.Decision;
import dev.sluice.router.rollout.LedgerEvidence;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutMachine;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/// A rollout is reviewed ten times a second, for weeks, and there may be hundreds.
class ReviewCostTest {

  private static final long BYTES_MAX = 1_000;

  private final RolloutNote note = note();
  private final EvidenceLedger ledger = ledger();
  private final RolloutMachine machine = new RolloutMachine(note);
  private final LedgerEvidence evidence = new LedgerEvidence(ledger, note.margins());
  private final RolloutState state = machine.begin(0);
  private final StoredRollout stored = StoredRollout.create(note.name(), "", "", 1, 1, state, "");
  private final Course course = new Course();

  private static RolloutNote note() {
    try {
      return NoteReader.read(
          """
          rollout: quiet
          model: m
          owner: me@example.com
          baseline: 1
          candidate: 2
          segments: [country=DE, country=FR, country=JP, country=US, country=BR]
          steps:
            - canary: 10%
              until: { observations: 1000000, time: 1s }
          stopRules:
            - error-rate: { limit: 1% }
            - latency: { over: 1s, limit: 1% }
            - fallback-rate: { limit: 1% }
            - error-ratio: { margin: 2 }
            - latency-ratio: { margin: 2, quantiles: [50%, 99%] }
          """);
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private EvidenceLedger ledger() {
    EvidenceLedger.Plan plan = note.plan(1);
    EvidenceLedger fresh = new EvidenceLedger(plan, LedgerWords.onHeap(plan.wordsNeeded()));
    fresh.initialize(1, Exposure.of(1, 1_000, 0));
    return fresh;
  }

  @Test
  void aReviewInWhichNothingHasHappenedAllocatesNextToNothing() {
    review(1_000, 3_000);
    assertThat(review(1_000, 1_000_000)).as("bytes of a review").isLessThan(BYTES_MAX);
  }

  @Test
  void neitherDoesOneOfARolloutWithTrafficThatStillWaits() {
    Assigner assigner = new Assigner(1);
    for (int i = 0; i < 100_000; i++) {
      int segment = i % 6;
      Assignment assignment =
          Assigner.assign(ledger.exposure(), assigner.hash("k" + i), true, i, segment, true, ledger.ticket(segment));
      ledger.assigned(assignment, 10);
      ledger.dispatchedLive(segment, 10);
      ledger.answered(assignment, assignment.variant(), false, 1_000_000, 10);
    }
    review(1_000, 3_000);
    assertThat(review(1_000, 1_000_000)).as("bytes of a review").isLessThan(BYTES_MAX);
  }

  /// @return bytes that one allocates
  private long review(int times, long fromMillis) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    for (int i = 0; i < times; i++) {
      long now = fromMillis + 100L * i;
      course.sample(now, ledger, stored, note, false);
      Decision decision = machine.decide(state, new RolloutEvent.Review(), evidence, now);
      assertThat(decision).isInstanceOf(Decision.Hold.class);
    }
    return (threads.getCurrentThreadAllocatedBytes() - before) / times;
  }
}
