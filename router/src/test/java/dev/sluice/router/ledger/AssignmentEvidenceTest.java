package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.StopRule.SampleRatio;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/// What becomes of assignments when a rule asks whether they have the share that was decided.
class AssignmentEvidenceTest {
  private static final int RULE = 0;

  /// The word in which a ledger counts its lines.
  private static final int LINES_TAKEN = 8;

  private final ByHand hand = new ByHand(new SampleRatio());

  @Test
  void aKeyIsEvidenceWhenItIsMetFirstAndWritesNothingAfterwards() {
    for (int round = 0; round < 50; round++) {
      for (long key = 1; key <= 20; key++) {
        assign(key <= 4 ? Variant.CANDIDATE : Variant.BASELINE, key * 0x9E37_79B9_7F4A_7C15L);
      }
    }
    assertThat(lines()).isEqualTo(20);
    assertThat(hand.ledger.bad(RULE, ArmedRule.OVERALL)).isEqualTo(4);
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  @Test
  void requestsWithoutAKeyAreAllEvidenceAndShareLines() {
    for (int i = 0; i < 1_600; i++) {
      assign(i % 5 == 0 ? Variant.CANDIDATE : Variant.BASELINE, Assignment.NO_KEY);
    }
    assertThat(lines()).isEqualTo(100);
    assertThat(hand.ledger.bad(RULE, ArmedRule.OVERALL)).isEqualTo(320);
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  @Test
  void whatHasNotFilledALineIsWeighedWithTime() {
    for (int i = 0; i < 5; i++) {
      assign(Variant.CANDIDATE, Assignment.NO_KEY);
    }
    assertThat(hand.ledger.bad(RULE, ArmedRule.OVERALL)).isZero();

    hand.ledger.tick(hand.nowMillis);

    assertThat(hand.ledger.bad(RULE, ArmedRule.OVERALL)).isEqualTo(5);
    hand.ledger.tick(hand.nowMillis);
    assertThat(hand.ledger.bad(RULE, ArmedRule.OVERALL)).isEqualTo(5);
  }

  @Test
  void requestsOfAnotherShareDoNotJoinThoseBefore() {
    for (int i = 0; i < 3; i++) {
      assign(Variant.CANDIDATE, Assignment.NO_KEY);
    }
    hand.weight = 5_000;
    assign(Variant.BASELINE, Assignment.NO_KEY);
    assertThat(hand.ledger.bad(RULE, ArmedRule.OVERALL)).as("of the share before").isEqualTo(3);

    hand.ledger.tick(hand.nowMillis);
    assertThat(lines()).as("lines").isGreaterThanOrEqualTo(2);
  }

  @Test
  void requestsThatChanceHadNoSayInAreNoEvidence() {
    for (int share : new int[] {0, 10_000}) {
      hand.weight = share;
      for (int i = 0; i < 100; i++) {
        assign(Variant.CANDIDATE, i % 2 == 0 ? Assignment.NO_KEY : i);
      }
    }
    assertThat(lines()).isZero();
  }

  @Test
  void noRequestIsLostOrCountedTwiceWhenManyThreadsAssign() throws Exception {
    int threads = 4;
    int each = 4_000;
    try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
      List<Future<?>> results = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        SplittableRandom random = new SplittableRandom(thread);
        results.add(executor.submit(() -> {
          for (int i = 0; i < each; i++) {
            assign(random.nextInt(5) == 0 ? Variant.CANDIDATE : Variant.BASELINE, Assignment.NO_KEY);
          }
        }));
      }
      for (Future<?> result : results) {
        result.get();
      }
    }
    long lines = (long) threads * each / 16;
    assertThat(lines() + hand.ledger.leftOut()).isEqualTo(lines);
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  private long lines() {
    return hand.words.get(LINES_TAKEN);
  }

  private void assign(Variant variant, long keyHash) {
    hand.ledger.assigned(hand.assigned(variant, 0, keyHash), hand.nowMillis);
  }
}
