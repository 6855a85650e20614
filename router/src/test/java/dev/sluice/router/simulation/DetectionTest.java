package dev.sluice.router.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.simulation.Detection.Delays;
import dev.sluice.router.stop.StopRule.NoiseFloor;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// How soon a bad candidate is noticed, one rule at a time through the real ledger. The page for people, with many more runs, is
/// made by [StopRulePageTest].
final class DetectionTest {

  private static final long SEED = 97;

  static Stream<DetectionRow> promised() {
    return Stream.of(DetectionRow.TOTAL, DetectionRow.FIVE, DetectionRow.SLOW_PAIRS, DetectionRow.NOISY);
  }

  @ParameterizedTest
  @MethodSource("promised")
  void theProjectsPromisesHold(DetectionRow row) {
    check(row, 1_000);
  }

  @Test
  void aFailureThatBeginsAfterAMillionGoodRequestsIsNoticedSoon() {
    check(DetectionRow.LATE, 40);
  }

  static void check(DetectionRow row, int runs) {
    Delays delays = row.run(runs, SEED);
    System.out.printf("%s, %s: median %,d, p95 %,d %s%n", row.rule().name(), row.truth(), delays.median(), delays.p95(), row.unit());
    if (row.medianMost() > 0) {
      assertThat(delays.median()).as("median of %s, seed %d", row.truth(), SEED).isLessThanOrEqualTo(row.medianMost());
    }
    if (row.p95Most() > 0) {
      assertThat(delays.p95()).as("95th percentile of %s, seed %d", row.truth(), SEED).isLessThanOrEqualTo(row.p95Most());
    }
  }

  /// The candidate is the same model: it disagrees with the baseline as often as the baseline does with itself.
  @Test
  void aNoisyModelThatIsItsOwnCandidateIsNotStoppedForItsNoise() {
    int runs = 1_000;
    double alpha = 0.01;
    Delays delays =
        Detection.run(
            new NoiseFloor(Scope.OVERALL), alpha, 0, 0, Detection.triples(0.02, 0.02), Detection.triples(0.02, 0.02), 20_000, runs, SEED);
    assertThat(delays.detected()).as("false stops, seed %d", SEED).isLessThanOrEqualTo(Chance.mostOf(runs, alpha));
  }

  /// The healthy traffic that the reference page reports for pollers, an hour of it.
  @Test
  void aPollerRollsAHealthyCandidateBack() {
    SplittableRandom random = new SplittableRandom(SEED);
    int back = 0;
    for (int run = 0; run < 1_000; run++) {
      back += Poller.FLAGGER_1.requestsUntilRollback(0.001, 60, 0.01, 3_600, random) >= 0 ? 1 : 0;
    }
    assertThat(back).as("of 1000 healthy candidates with 60 requests a minute, seed %d", SEED).isBetween(950, 990);
  }
}
