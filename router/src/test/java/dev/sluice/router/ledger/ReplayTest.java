package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Replay;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.Evidence;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/// Weighing the log again gives the same weights and the same verdict, to the last bit.
final class ReplayTest {

  private final ByHand hand =
      new ByHand(new ErrorRate(0.1, Scope.OVERALL), new MeanCost(50_000_000, 100_000_000, Scope.OVERALL));
  private final SplittableRandom random = new SplittableRandom(17);

  @Test
  void atEveryMomentOfALogThatHasBeenWrittenOverManyTimes() {
    for (int i = 0; i < 2_000; i++) {
      request(0.05);
      Replay replay = hand.ledger.replay();
      assertThat(replay.identical()).as("request %d", i).isTrue();
      assertThat(replay.trip()).isNull();
      assertThat(replay.lines()).as("request %d", i).isBetween(Math.min(i, ByHand.LINES / 4L), ByHand.LINES / 2L);
    }
    assertThat(hand.ledger.replay().firstLine()).as("thirty laps").isGreaterThan(30L * ByHand.LINES);
  }

  @Test
  void aVerdictIsReachedAgainAlsoByALaterProcess() {
    for (int i = 0; i < 1_000; i++) {
      request(0.05);
    }
    Trip trip = null;
    while (trip == null) {
      trip = request(0.6);
    }
    assertThat(hand.ledger.replay().trip()).isEqualTo(trip);
    assertThat(hand.ledger.replay().identical()).isTrue();
    assertThat(hand.restart()).as("told already").isNull();
    assertThat(hand.ledger.trip()).isEqualTo(trip);
    assertThat(hand.ledger.replay().trip()).isEqualTo(trip);
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  /// Every word of every line that is weighed again matters: one that is changed shows.
  @Test
  void aDamagedLineShows() {
    Trip trip = null;
    for (int i = 0; i < 500; i++) {
      request(0.05);
    }
    while (trip == null) {
      trip = request(0.6);
    }
    Replay sound = hand.ledger.replay();
    int log = hand.words.size() - ByHand.LINES * EvidenceLog.LINE;
    int head = 1;
    int value = 4;
    for (long line = sound.firstLine(); line < sound.firstLine() + sound.lines(); line++) {
      int at = log + (int) (line % ByHand.LINES) * EvidenceLog.LINE;
      boolean restart = Evidence.kind(hand.words.get(at + head)) == Evidence.Kind.RESTART;
      int damaged = at + (restart ? head : value);
      long before = hand.words.get(damaged);
      hand.words.set(damaged, restart ? before ^ 1 : before + 12_345_678);
      assertThat(hand.ledger.replay().identical()).as("line %d, %s", line, restart ? "a restart" : "an answer").isFalse();
      hand.words.set(damaged, before);
    }
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  private @Nullable Trip request(double failing) {
    Assignment request = hand.live(0);
    hand.nowMillis += 10;
    long nanos = random.nextLong(60_000_000);
    return hand.record(
        random.nextDouble() < failing
            ? new Observation.Failed(request, Variant.CANDIDATE, false, nanos)
            : new Observation.Answered(request, Variant.CANDIDATE, false, nanos));
  }
}
