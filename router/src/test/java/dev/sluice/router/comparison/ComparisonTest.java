package dev.sluice.router.comparison;

import static java.lang.Double.NEGATIVE_INFINITY;
import static java.lang.Double.NaN;
import static java.lang.Double.POSITIVE_INFINITY;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.router.comparison.Comparison.Exact;
import dev.sluice.router.comparison.Comparison.Numeric;
import dev.sluice.router.comparison.Comparison.Threshold;
import dev.sluice.router.comparison.Comparison.TopOne;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

final class ComparisonTest {

  private static final double FAR = Disagreement.DISTANCE_MAX;

  private static final List<Comparison> EVERY_KIND =
      List.of(
          new Numeric(0, 0), new Numeric(1e-3, 0), new Numeric(0, 1e-3), new TopOne(), new Threshold(0.5, -1),
          new Threshold(0.5, 1), new Exact());

  @Nested
  final class NumericTest {

    @Test
    void keepsTheLargestDifferenceAndDisagreesBeyondTheTolerance() {
      assertThat(new Numeric(0.25, 0).compare(row(1, 2, 3), row(1, 2.25, 3), 3)).isEqualTo(new Disagreement(0.25, false));
      assertThat(new Numeric(0.25, 0).compare(row(1, 2, 3), row(0.5, 2.25, 3), 3)).isEqualTo(new Disagreement(0.5, true));
    }

    @Test
    void allowsMoreForLargerBaselinesAndAddsBothTolerances() {
      Numeric tolerant = new Numeric(1, 0.5);
      assertThat(tolerant.compare(row(-10), row(-16), 1)).isEqualTo(new Disagreement(6, false));
      assertThat(tolerant.compare(row(-10), row(-16.5), 1)).isEqualTo(new Disagreement(6.5, true));
      assertThat(tolerant.compare(row(0), row(1.5), 1).disagrees()).isTrue();
    }

    @Test
    void onePassingElementDoesNotHideAFailingOne() {
      // The larger difference is within its own tolerance, the smaller one is not.
      assertThat(new Numeric(0, 0.1).compare(row(1000, 1), row(1050, 2), 2)).isEqualTo(new Disagreement(50, true));
    }

    @Test
    void aMissingNumberOnOneSideIsADisagreementAndOnBothIsNone() {
      Numeric lax = new Numeric(1e9, 1e9);
      assertThat(lax.compare(row(NaN, 1), row(NaN, 1), 2)).isEqualTo(Disagreement.NONE);
      assertThat(lax.compare(row(NaN), row(1), 1)).isEqualTo(Disagreement.TOTAL);
      assertThat(lax.compare(row(1), row(NaN), 1)).isEqualTo(Disagreement.TOTAL);
      assertThat(lax.compare(row(POSITIVE_INFINITY), row(NaN), 1)).isEqualTo(Disagreement.TOTAL);
    }

    @Test
    void anInfinityAgreesWithItselfOnly() {
      Numbers infinite = row(POSITIVE_INFINITY);
      for (Numeric each : List.of(new Numeric(0, 0), new Numeric(1, 0), new Numeric(0, 0.5), new Numeric(1e300, 1e300))) {
        assertThat(each.compare(infinite, row(POSITIVE_INFINITY), 1)).as("%s", each).isEqualTo(Disagreement.NONE);
        assertThat(each.compare(infinite, row(NEGATIVE_INFINITY), 1)).as("%s", each).isEqualTo(Disagreement.TOTAL);
        assertThat(each.compare(infinite, row(1), 1)).as("%s", each).isEqualTo(Disagreement.TOTAL);
        assertThat(each.compare(row(1), row(NEGATIVE_INFINITY), 1)).as("%s", each).isEqualTo(Disagreement.TOTAL);
      }
    }

    @Test
    void negativeZeroIsZero() {
      assertThat(new Numeric(0, 0).compare(row(0.0, -0.0), row(-0.0, 0.0), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void theSmallestDifferenceCountsWhereNoneIsAllowed() {
      assertThat(new Numeric(0, 0).compare(row(1), row(Math.nextUp(1.0)), 1).disagrees()).isTrue();
      assertThat(new Numeric(0, 0).compare(row(0), row(Double.MIN_VALUE), 1))
          .isEqualTo(new Disagreement(Double.MIN_VALUE, true));
    }

    @Test
    void refusesAToleranceThatIsNone() {
      assertThatThrownBy(() -> new Numeric(-1, 0)).hasMessageContaining("absolute -1.0");
      assertThatThrownBy(() -> new Numeric(0, NaN)).hasMessageContaining("relative NaN");
    }

    @Test
    void agreesExactlyWhenEveryElementIsWithinItsTolerance() {
      long seed = 41;
      SplittableRandom random = new SplittableRandom(seed);
      for (int i = 0; i < 20_000; i++) {
        Numeric numeric = new Numeric(random.nextInt(3) * 0.25, random.nextInt(3) * 0.125);
        double[] baseline = values(random, 6);
        double[] candidate = values(random, 6);
        boolean within = true;
        double largest = 0;
        for (int e = 0; e < baseline.length; e++) {
          double difference = Math.abs(candidate[e] - baseline[e]);
          within &= difference <= numeric.absolute() + numeric.relative() * Math.abs(baseline[e]);
          largest = Math.max(largest, difference);
        }
        assertThat(numeric.compare(row(baseline), row(candidate), 3))
            .as("seed %d, round %d", seed, i).isEqualTo(new Disagreement(largest, !within));
      }
    }

    private static double[] values(SplittableRandom random, int count) {
      return random.ints(count, -8, 9).mapToDouble(i -> i * 0.125).toArray();
    }
  }

  @Nested
  final class TopOneTest {

    private final TopOne topOne = new TopOne();

    @Test
    void isTheShareOfRowsWithAnotherTop() {
      Numbers baseline = row(1, 2, 3, /**/ 3, 2, 1, /**/ 1, 3, 2, /**/ 0, 0, 1);
      Numbers candidate = row(7, 8, 9, /**/ 3, 4, 1, /**/ 1, 3, 2, /**/ 0, 0, 1);
      assertThat(topOne.compare(baseline, candidate, 3)).isEqualTo(new Disagreement(0.25, true));
      assertThat(topOne.compare(baseline, row(7, 8, 9, 9, 4, 1, 1, 3, 2, 0, 0, 1), 3)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void theFirstOfATieIsTheTop() {
      assertThat(topOne.compare(row(5, 5, 1), row(6, 2, 6), 3)).isEqualTo(Disagreement.NONE);
      assertThat(topOne.compare(row(5, 5, 1), row(2, 6, 6), 3)).isEqualTo(new Disagreement(1, true));
      assertThat(topOne.compare(row(0.0, -0.0), row(-0.0, 0.0), 2)).as("zeros tie").isEqualTo(Disagreement.NONE);
    }

    @Test
    void infinitiesAreOrdinaryNumbers() {
      assertThat(topOne.compare(row(NEGATIVE_INFINITY, POSITIVE_INFINITY), row(0, 1), 2)).isEqualTo(Disagreement.NONE);
      assertThat(topOne.compare(row(NEGATIVE_INFINITY, NEGATIVE_INFINITY), row(1, 0), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void aMissingNumberOnOneSideIsADisagreement() {
      assertThat(topOne.compare(row(1, 2, NaN), row(1, 2, 0), 3)).isEqualTo(new Disagreement(1, true));
      assertThat(topOne.compare(row(0, NaN), row(0, 1), 2)).isEqualTo(new Disagreement(1, true));
      assertThat(topOne.compare(row(NaN, 1), row(1, NaN), 2)).as("at different places").isEqualTo(new Disagreement(1, true));
    }

    @Test
    void numbersMissingOnBothSidesAreLeftOutOfTheRow() {
      assertThat(topOne.compare(row(NaN, 1, 2), row(NaN, 3, 4), 3)).isEqualTo(Disagreement.NONE);
      assertThat(topOne.compare(row(NaN, 1, 2), row(NaN, 4, 3), 3)).isEqualTo(new Disagreement(1, true));
      assertThat(topOne.compare(row(NaN, NaN), row(NaN, NaN), 2)).isEqualTo(Disagreement.NONE);
    }
  }

  @Nested
  final class ThresholdTest {

    @Test
    void isTheShareOfDecisionsThatChange() {
      Threshold every = new Threshold(0.5, -1);
      assertThat(every.compare(row(0.4, 0.6, 0.9, 0.1), row(0.49, 0.5, 0.2, 0.3), 2))
          .isEqualTo(new Disagreement(0.25, true));
      assertThat(every.compare(row(0.4, 0.6), row(0.1, 0.9), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void looksAtItsColumnOnly() {
      Threshold second = new Threshold(0.5, 1);
      assertThat(second.compare(row(0, 1, 0, 1), row(1, 1, 1, 1), 2)).isEqualTo(Disagreement.NONE);
      assertThat(second.compare(row(0, 1, 0, 1), row(0, 1, 0, 0), 2)).isEqualTo(new Disagreement(0.5, true));
      assertThat(new Threshold(0.5, 0).compare(row(0, 1), row(1, 1), 2)).isEqualTo(new Disagreement(1, true));
    }

    @Test
    void theThresholdItselfIsAbove() {
      assertThat(new Threshold(0.5, -1).compare(row(0.5), row(0.7), 1)).isEqualTo(Disagreement.NONE);
      assertThat(new Threshold(0.5, -1).compare(row(0.5), row(Math.nextDown(0.5)), 1).disagrees()).isTrue();
      assertThat(new Threshold(0, -1).compare(row(0.0), row(-0.0), 1)).as("zeros").isEqualTo(Disagreement.NONE);
    }

    @Test
    void aMissingNumberOnOneSideIsADisagreement() {
      Threshold threshold = new Threshold(0.5, -1);
      assertThat(threshold.compare(row(NaN), row(0.1), 1).disagrees()).as("although neither is above").isTrue();
      assertThat(threshold.compare(row(0.9), row(NaN), 1).disagrees()).isTrue();
      assertThat(threshold.compare(row(NaN), row(NaN), 1)).isEqualTo(Disagreement.NONE);
      assertThat(threshold.compare(row(POSITIVE_INFINITY), row(0.5), 1)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void aColumnThatIsNotThereCannotBeCompared() {
      assertThat(new Threshold(0.5, 2).compare(row(1, 2), row(1, 2), 2)).isEqualTo(Disagreement.TOTAL);
      assertThat(new Threshold(0.5, 0).compare(row(), row(), 0)).isEqualTo(Disagreement.TOTAL);
    }

    @Test
    void refusesWhatIsNoThreshold() {
      assertThatThrownBy(() -> new Threshold(NaN, 0)).hasMessageContaining("at NaN");
      assertThatThrownBy(() -> new Threshold(POSITIVE_INFINITY, 0)).hasMessageContaining("at Infinity");
      assertThatThrownBy(() -> new Threshold(0, -2)).hasMessageContaining("column -2");
    }
  }

  @Nested
  final class ExactTest {

    private final Exact exact = new Exact();

    @Test
    void isTheShareOfElementsThatAreNotTheSameNumber() {
      assertThat(exact.compare(row(1, 2, 3, 4), row(1, 2, 3, 5), 4)).isEqualTo(new Disagreement(0.25, true));
      assertThat(exact.compare(row(0.0, NaN, POSITIVE_INFINITY), row(-0.0, NaN, POSITIVE_INFINITY), 3))
          .isEqualTo(Disagreement.NONE);
      assertThat(exact.compare(row(NaN, 1), row(1, NaN), 2)).isEqualTo(new Disagreement(1, true));
      assertThat(exact.compare(row(POSITIVE_INFINITY), row(NEGATIVE_INFINITY), 1)).isEqualTo(new Disagreement(1, true));
    }

    /// As doubles the two are one number: 2^53 + 1 has no double of its own.
    @Test
    void tellsLargeIntegersApart() {
      long large = 1L << 53;
      assertThat(exact.compare(integers(large, -large), integers(large + 1, -large), 2))
          .isEqualTo(new Disagreement(0.5, true));
      assertThat(exact.compare(integers(Long.MAX_VALUE), integers(Long.MAX_VALUE), 1)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void numbersOfDifferentDatatypesMayBeTheSame() {
      assertThat(exact.compare(integers(1, 2), row(1, 2), 2)).isEqualTo(Disagreement.NONE);
      assertThat(exact.compare(integers(1, 2), row(1, 2.5), 2)).isEqualTo(new Disagreement(0.5, true));
      assertThat(exact.compare(row(1), Numbers.of(FloatBuffer.wrap(new float[] {1})), 1)).isEqualTo(Disagreement.NONE);
    }
  }

  @Test
  void emptyAnswersAgree() {
    for (Comparison comparison : List.of(new Numeric(0, 0), new TopOne(), new Threshold(0.5, -1), new Exact())) {
      assertThat(comparison.compare(row(), row(), 0)).as("%s", comparison).isEqualTo(Disagreement.NONE);
      assertThat(comparison.compare(row(), row(), 4)).as("%s, rows of 4", comparison).isEqualTo(Disagreement.NONE);
    }
  }

  @Test
  void anAnswerAgreesWithItselfWhateverItHolds() {
    SplittableRandom random = new SplittableRandom(43);
    for (int i = 0; i < 5_000; i++) {
      double[] answer = anything(random, 12);
      for (Comparison comparison : EVERY_KIND) {
        assertThat(comparison.compare(row(answer), row(answer.clone()), 3))
            .as("seed 43, round %d, %s", i, comparison).isEqualTo(Disagreement.NONE);
      }
    }
  }

  @Test
  void theDistanceIsBoundedAndADisagreementHasOne() {
    SplittableRandom random = new SplittableRandom(47);
    for (int i = 0; i < 20_000; i++) {
      double[] baseline = anything(random, 12);
      double[] candidate = anything(random, 12);
      for (Comparison comparison : EVERY_KIND) {
        Disagreement there = comparison.compare(row(baseline), row(candidate), 3);
        String where = "seed 47, round %d, %s".formatted(i, comparison);
        assertThat(there.distance()).as(where).isBetween(0.0, FAR);
        assertThat(!there.disagrees() || there.distance() > 0).as(where).isTrue();
        if (!(comparison instanceof Numeric)) {
          assertThat(comparison.compare(row(candidate), row(baseline), 3)).as(where).isEqualTo(there);
        }
        if (!(comparison instanceof Threshold) && missingOnOneSide(baseline, candidate)) {
          assertThat(there.disagrees()).as(where).isTrue();
        }
      }
    }
  }

  @Test
  void ofTwoOutputsTheWorseCounts() {
    Disagreement near = new Disagreement(0.1, true);
    Disagreement far = new Disagreement(3, false);
    assertThat(near.and(far)).isEqualTo(new Disagreement(3, true)).isEqualTo(far.and(near));
    assertThat(Disagreement.NONE.and(Disagreement.NONE)).isEqualTo(Disagreement.NONE);
    assertThat(far.and(Disagreement.TOTAL)).isEqualTo(Disagreement.TOTAL);
  }

  @Test
  void aDistanceThatIsNoneIsTheLargest() {
    assertThat(new Disagreement(NaN, true).distance()).isEqualTo(FAR);
    assertThat(new Disagreement(-1, true).distance()).isEqualTo(FAR);
    assertThat(new Disagreement(POSITIVE_INFINITY, true).distance()).isEqualTo(FAR);
  }

  @Test
  void everyDatatypeIsReadByPositionWithoutMovingTheBuffer() {
    FloatBuffer floats = FloatBuffer.wrap(new float[] {1, 0.1f});
    assertThat(new Numeric(1e-7, 0).compare(Numbers.of(floats), row(1, 0.1), 2).disagrees()).isFalse();
    assertThat(floats.position()).isZero();
    Numbers integers = integers(3, -4);
    assertThat(integers.count()).isEqualTo(2);
    assertThat(integers.at(1)).isCloseTo(-4, within(0.0));
  }

  private static boolean missingOnOneSide(double[] baseline, double[] candidate) {
    for (int i = 0; i < baseline.length; i++) {
      if (Double.isNaN(baseline[i]) != Double.isNaN(candidate[i])) {
        return true;
      }
    }
    return false;
  }

  private static final double[] ODD_ONES = {
    NaN, POSITIVE_INFINITY, NEGATIVE_INFINITY, 0.0, -0.0, 0.5, 1, Double.MAX_VALUE, -Double.MAX_VALUE, Double.MIN_VALUE
  };

  private static double[] anything(SplittableRandom random, int count) {
    return random.ints(count, 0, 3 * ODD_ONES.length)
        .mapToDouble(i -> i < ODD_ONES.length ? ODD_ONES[i] : random.nextDouble(-2, 2)).toArray();
  }

  private static Numbers row(double... values) {
    return Numbers.of(DoubleBuffer.wrap(values));
  }

  private static Numbers integers(long... values) {
    return Numbers.of(LongBuffer.wrap(values));
  }
}
