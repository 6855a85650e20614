package dev.sluice.router.assignment;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.simulation.Chance;
import java.util.SplittableRandom;
import java.util.function.IntFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class AssignerTest {

  private static final int ALL = Exposure.ALL;

  /// Were one of these to change, an upgrade in the middle of a rollout would move keys between the variants.
  @ParameterizedTest(name = "salt {0}, key {1}")
  @CsvSource({
    "0, '', 1758",
    "0, user-1, 1904",
    "42, user-1, 1659",
    "-7046029254386353131, Zoë 🦦, 1413",
    "42, a-rather-long-key-that-takes-another-path-through-the-hash-0123456789-0123456789-0123456789-0123456789, 9630",
  })
  void theBucketOfAKeyNeverChanges(long salt, String key, int bucket) {
    assertThat(Assigner.bucket(new Assigner(salt).hash(key))).isEqualTo(bucket);
  }

  @Test
  void theHashIsXxh3() {
    assertThat(new Assigner(0).hash("")).as("XXH3's published value for no input").isEqualTo(0x2D06800538D394C2L);
  }

  @Test
  void theSameKeyHasTheSameVariantWhateverElseDiffers() {
    long seed = 5;
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < 20_000; i++) {
      long salt = random.nextLong();
      String key = Long.toString(random.nextLong(), 36);
      int weight = random.nextInt(ALL + 1);
      Variant first = variant(Exposure.of(1, weight, 0), new Assigner(salt).hash(key), random.nextLong());
      Variant again = variant(Exposure.of(9, weight, ALL), new Assigner(salt).hash(key), random.nextLong());
      assertThat(again).as("seed %d, salt %d, key %s, weight %d", seed, salt, key, weight).isEqualTo(first);
    }
  }

  @Test
  void raisingTheWeightNeverMovesAKeyBackToBaseline() {
    Assigner assigner = new Assigner(987);
    for (int k = 0; k < 2_000; k++) {
      long hash = assigner.hash("key-" + k);
      Variant before = Variant.BASELINE;
      for (int weight = 0; weight <= ALL; weight++) {
        Variant now = variant(Exposure.of(weight, weight, 0), hash, 0);
        if (before == Variant.CANDIDATE && now == Variant.BASELINE) {
          assertThat(now).as("key-%d at weight %d", k, weight).isEqualTo(Variant.CANDIDATE);
        }
        before = now;
      }
      assertThat(before).as("key-%d at the full weight", k).isEqualTo(Variant.CANDIDATE);
    }
  }

  @Test
  void theCandidateAnswersForTheShareOfKeysThatItsWeightSays() {
    Assigner assigner = new Assigner(3);
    int keys = 200_000;
    for (int weight : new int[] {0, 1, 100, 2_500, 9_999, ALL}) {
      int candidate = 0;
      for (int k = 0; k < keys; k++) {
        candidate += variant(Exposure.of(1, weight, 0), assigner.hash("k" + k), 0) == Variant.CANDIDATE ? 1 : 0;
      }
      double rate = weight / (double) ALL;
      double spread = 4.9 * Math.sqrt(keys * rate * (1 - rate)) + (rate > 0 && rate < 1 ? 5 : 0);
      assertThat((double) candidate).as("keys at weight %d", weight).isBetween(keys * rate - spread, keys * rate + spread);
    }
  }

  @Test
  void bucketsAreUniformForSequentialAndForRandomKeys() {
    SplittableRandom random = new SplittableRandom(19);
    for (long salt : new long[] {0, 1, -1, 0x5EED_5A17L}) {
      checkUniform("sequential ids, salt " + salt, salt, k -> "user-" + k);
      checkUniform("bare numbers, salt " + salt, salt, Integer::toString);
      checkUniform("random keys, salt " + salt, salt, _ -> Long.toHexString(random.nextLong()));
    }
  }

  private static void checkUniform(String what, long salt, IntFunction<String> keys) {
    Assigner assigner = new Assigner(salt);
    int count = 500_000;
    long[] buckets = new long[ALL];
    for (int k = 0; k < count; k++) {
      buckets[Assigner.bucket(assigner.hash(keys.apply(k)))]++;
    }
    assertThat(Chance.chiSquare(buckets, count)).as(what).isBetween(9_300.0, Chance.mostOfChiSquare(ALL - 1));
  }

  /// Where one salt puts a key says nothing about where another one does: no one is twice unlucky.
  @Test
  void differentSaltsDecorrelate() {
    int cells = 50;
    int keys = 250_000;
    long[] salts = {0, 1, 2, 3, 1L << 32, -1, 0x9E3779B97F4A7C15L};
    for (int a = 0; a < salts.length; a++) {
      for (int b = a + 1; b < salts.length; b++) {
        Assigner left = new Assigner(salts[a]);
        Assigner right = new Assigner(salts[b]);
        long[] pairs = new long[cells * cells];
        for (int k = 0; k < keys; k++) {
          String key = "user-" + k;
          int row = Assigner.bucket(left.hash(key)) * cells / ALL;
          int column = Assigner.bucket(right.hash(key)) * cells / ALL;
          pairs[row * cells + column]++;
        }
        assertThat(Chance.chiSquare(pairs, keys))
            .as("salts %d and %d", salts[a], salts[b])
            .isLessThan(Chance.mostOfChiSquare(cells * cells - 1));
      }
    }
  }

  @Test
  void excludedRequestsNeverGetTheCandidateButMayBeShadowed() {
    long seed = 23;
    SplittableRandom random = new SplittableRandom(seed);
    long word = Exposure.of(4, ALL, ALL);
    for (int i = 0; i < 100_000; i++) {
      Assignment assignment = Assigner.assign(word, 7, true, random.nextLong(), 2, false, 9);
      assertThat(assignment).as("seed %d", seed).isEqualTo(new Assignment(Variant.BASELINE, true, 2, 4, 0, 7, 9));
    }
  }

  @Test
  void theShadowIsDrawnForTheRequestAndNotForItsKey() {
    SplittableRandom random = new SplittableRandom(29);
    long hash = new Assigner(1).hash("one key");
    int shadowed = 0;
    for (int i = 0; i < 100_000; i++) {
      shadowed += Assigner.assign(Exposure.of(1, 0, 2_000), hash, true, random.nextLong(), 0, true, 0).shadowed() ? 1 : 0;
    }
    assertThat(shadowed).isBetween(19_300, 20_700);
  }

  @Test
  void afterAFlipEveryKeyIsOnTheBaselineAtOnce() {
    Assigner assigner = new Assigner(8);
    long flipped = Exposure.flipped(Exposure.of(6, ALL, ALL));
    for (int k = 0; k < 10_000; k++) {
      assertThat(Assigner.assign(flipped, assigner.hash("key-" + k), false, k * 0x9E3779B97F4A7C15L, 0, true, 0))
          .isEqualTo(new Assignment(Variant.BASELINE, false, 0, 7, 0, Assignment.NO_KEY, 0));
    }
  }

  @Test
  void anAssignmentKnowsTheShareAndTheKeyItWasMadeWith() {
    Assignment keyed = Assigner.assign(Exposure.of(3, 2_500, 0), 77, true, 0, 1, true, 5);
    assertThat(keyed.share()).isEqualTo(2_500);
    assertThat(keyed.keyHash()).isEqualTo(77);
    assertThat(keyed.ticket()).isEqualTo(5);
    assertThat(Assigner.assign(Exposure.of(3, 2_500, 0), 77, false, 0, 1, true, 5).keyHash())
        .as("a draw is nobody's key")
        .isEqualTo(Assignment.NO_KEY);
    assertThat(keyed.byBaseline()).isEqualTo(new Assignment(Variant.BASELINE, false, 1, 3, 0, 77, 5));
    assertThat(keyed.dispatched(6).ticket()).isEqualTo(6);
    assertThat(keyed.withoutEvidence().epoch()).as("no exposure has this epoch").isNegative();
    assertThat(keyed.withoutEvidence().share()).isZero();
  }

  @Test
  void theOutermostHashesHaveTheOutermostBuckets() {
    assertThat(Assigner.bucket(0)).isZero();
    assertThat(Assigner.bucket(-1)).isEqualTo(ALL - 1);
    assertThat(Assigner.bucket(Long.MIN_VALUE)).isEqualTo(ALL / 2);
    assertThat(Assigner.bucket(Long.MAX_VALUE)).isEqualTo(ALL / 2 - 1);
  }

  private static Variant variant(long exposure, long keyHash, long draw) {
    return Assigner.assign(exposure, keyHash, true, draw, 0, true, 0).variant();
  }
}
