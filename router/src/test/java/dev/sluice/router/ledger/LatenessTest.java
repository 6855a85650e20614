package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Plan;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.SampleRatio;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.List;
import org.junit.jupiter.api.Test;

/// The baseline's calls that end later than a candidate would have been given: nothing was measured, so they have no duration.
class LatenessTest {
  private static final int RATIO = 0;
  private static final double MARGIN = 2;

  private final ByHand hand =
      new ByHand(
          new Plan(
              new ArmedRules(List.of(new ErrorRatio(1, Scope.OVERALL), new SampleRatio()), 0.001, ByHand.NO_SEGMENTS),
              List.of(MARGIN), ByHand.CALL_MILLIS_MAX, ByHand.LINES, true));

  @Test
  void aBaselineThatIsLateDefendsTheCandidateAndDoesNotPromoteIt() {
    double before = hand.ledger.acceptance(0);

    failures(300, 0);

    assertThat(hand.ledger.acceptance(0)).isEqualTo(before);
    assertThat(hand.ledger.events(RATIO, ArmedRule.OVERALL)).isEqualTo(300);
  }

  @Test
  void aBaselineThatFailsDoesBoth() {
    double before = hand.ledger.acceptance(0);

    failures(300, 1_000);

    assertThat(hand.ledger.acceptance(0)).isGreaterThan(before);
  }

  /// Each key is assigned once at least: were its bit taken by that, no failure would ever be the first of its key.
  @Test
  void aKeyThatWasAssignedIsStillToFailForTheFirstTime() {
    for (long key = 1; key <= 200; key++) {
      Assignment request = hand.assigned(Variant.CANDIDATE, 0, key * 0x9E37_79B9_7F4A_7C15L);
      hand.ledger.assigned(request, hand.nowMillis);
      hand.record(new Observation.Failed(request, Variant.CANDIDATE, false, 1_000));
    }
    pass();
    assertThat(hand.ledger.bad(RATIO, ArmedRule.OVERALL)).isEqualTo(200);
  }

  private void failures(int count, long nanos) {
    for (int i = 0; i < count; i++) {
      hand.record(new Observation.Failed(hand.assigned(Variant.BASELINE, 0, Assignment.NO_KEY), Variant.BASELINE, false, nanos));
    }
    pass();
  }

  private void pass() {
    hand.nowMillis += 10 * ByHand.CALL_MILLIS_MAX;
    hand.ledger.tick(hand.nowMillis);
  }
}
