package dev.sluice.gateway.routing;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class InlineTrustTest {

  private static final long QUICK = 20_000;
  private static final long SLOW = InlineTrust.RUN_NANOS_MAX + 1;

  private final InlineTrust trust = new InlineTrust();

  @Test
  void trustIsEarnedByGoodRunsInARow() {
    assertThat(trust.holds()).isFalse();
    assertThat(runsUntilItHolds()).isEqualTo(InlineTrust.PROOF_MIN);
  }

  @Test
  void oneSlowRunLosesItAndItHasToBeEarnedTwiceAsLong() {
    runsUntilItHolds();
    trust.answered(SLOW);
    assertThat(trust.holds()).isFalse();
    assertThat(runsUntilItHolds()).isEqualTo(2 * InlineTrust.PROOF_MIN);
  }

  @Test
  void aSlowRunOnTheWayBeginsTheProofAgain() {
    for (int i = 0; i < InlineTrust.PROOF_MIN - 1; i++) {
      trust.answered(QUICK);
    }
    trust.failed(SLOW);
    assertThat(runsUntilItHolds()).isEqualTo(InlineTrust.PROOF_MIN);
  }

  @Test
  void aRunThatSeveralSeeToBeSlowCountsOnce() {
    runsUntilItHolds();
    trust.lose(); // the watch
    trust.lose(); // the timer
    trust.failed(SLOW); // the attempt
    assertThat(runsUntilItHolds()).isEqualTo(2 * InlineTrust.PROOF_MIN);
  }

  @Test
  void aFailureProvesNothingHoweverQuick() {
    for (int i = 0; i < 10 * InlineTrust.PROOF_MIN; i++) {
      trust.failed(QUICK);
    }
    assertThat(trust.holds()).isFalse();
  }

  @Test
  void whoeverLosesItAgainAndAgainIsStillGivenAChanceSomeTime() {
    for (int i = 0; i < 100; i++) {
      runsUntilItHolds();
      trust.answered(SLOW);
    }
    assertThat(runsUntilItHolds()).isEqualTo(InlineTrust.PROOF_MAX);
  }

  private int runsUntilItHolds() {
    int runs = 0;
    while (!trust.holds()) {
      trust.answered(QUICK);
      runs++;
    }
    return runs;
  }
}
