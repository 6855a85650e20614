package dev.sluice.router.comparison;

import static dev.sluice.router.comparison.Output.compare;
import static dev.sluice.router.comparison.Output.floats;
import static dev.sluice.router.comparison.Output.integers;
import static dev.sluice.router.comparison.Output.row;
import static java.lang.Double.NEGATIVE_INFINITY;
import static java.lang.Double.NaN;
import static java.lang.Double.POSITIVE_INFINITY;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.router.comparison.Comparison.Cosine;
import dev.sluice.router.comparison.Comparison.Exact;
import dev.sluice.router.comparison.Comparison.JensenShannon;
import dev.sluice.router.comparison.Comparison.KullbackLeibler;
import dev.sluice.router.comparison.Comparison.Numeric;
import dev.sluice.router.comparison.Comparison.RankCorrelation;
import dev.sluice.router.comparison.Comparison.Several;
import dev.sluice.router.comparison.Comparison.Threshold;
import dev.sluice.router.comparison.Comparison.TopK;
import dev.sluice.router.comparison.Comparison.TopOne;
import dev.sluice.router.comparison.Comparison.Ulp;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

final class ComparisonTest {

  private static final double FAR = Disagreement.DISTANCE_MAX;

  private static final List<Comparison> EVERY_KIND =
      List.of(
          new Numeric(0, 0), new Numeric(1e-3, 0), new Numeric(0, 1e-3), new Numeric(1, 0, 2), new TopOne(),
          new Threshold(0.5, -1), new Threshold(0.5, 1), new Exact(), new Ulp(0), new Ulp(4), new TopK(2, 0.5),
          new RankCorrelation(0.5), new Cosine(0.01), new KullbackLeibler(0.1), new JensenShannon(0.05),
          new Several(List.of(new Cosine(0.1), new TopOne())));

  @Nested
  final class NumericTest {

    @Test
    void keepsTheLargestDifferenceAndDisagreesBeyondTheTolerance() {
      assertThat(compare(new Numeric(0.25, 0), row(1, 2, 3), row(1, 2.25, 3), 3)).isEqualTo(new Disagreement(0.25, false));
      assertThat(compare(new Numeric(0.25, 0), row(1, 2, 3), row(0.5, 2.25, 3), 3)).isEqualTo(new Disagreement(0.5, true));
    }

    @Test
    void allowsMoreForLargerBaselinesAndAddsBothTolerances() {
      Numeric tolerant = new Numeric(1, 0.5);
      assertThat(compare(tolerant, row(-10), row(-16), 1)).isEqualTo(new Disagreement(6, false));
      assertThat(compare(tolerant, row(-10), row(-16.5), 1)).isEqualTo(new Disagreement(6.5, true));
      assertThat(compare(tolerant, row(0), row(1.5), 1).disagrees()).isTrue();
    }

    @Test
    void onePassingElementDoesNotHideAFailingOne() {
      // The larger difference is within its own tolerance, the smaller one is not.
      assertThat(compare(new Numeric(0, 0.1), row(1000, 1), row(1050, 2), 2)).isEqualTo(new Disagreement(50, true));
    }

    @Test
    void aMissingNumberOnOneSideIsADisagreementAndOnBothIsNone() {
      Numeric lax = new Numeric(1e9, 1e9);
      assertThat(compare(lax, row(NaN, 1), row(NaN, 1), 2)).isEqualTo(Disagreement.NONE);
      assertThat(compare(lax, row(NaN), row(1), 1)).isEqualTo(named(Cause.NOT_A_NUMBER));
      assertThat(compare(lax, row(1), row(NaN), 1)).isEqualTo(named(Cause.NOT_A_NUMBER));
      assertThat(compare(lax, row(POSITIVE_INFINITY), row(NaN), 1)).isEqualTo(named(Cause.NOT_A_NUMBER));
    }

    @Test
    void anInfinityAgreesWithItselfOnly() {
      Output infinite = row(POSITIVE_INFINITY);
      for (Numeric each : List.of(new Numeric(0, 0), new Numeric(1, 0), new Numeric(0, 0.5), new Numeric(1e300, 1e300))) {
        assertThat(compare(each, infinite, row(POSITIVE_INFINITY), 1)).as("%s", each).isEqualTo(Disagreement.NONE);
        assertThat(compare(each, infinite, row(NEGATIVE_INFINITY), 1)).as("%s", each).isEqualTo(named(Cause.INFINITE));
        assertThat(compare(each, infinite, row(1), 1)).as("%s", each).isEqualTo(named(Cause.INFINITE));
        assertThat(compare(each, row(1), row(NEGATIVE_INFINITY), 1)).as("%s", each).isEqualTo(named(Cause.INFINITE));
      }
    }

    @Test
    void negativeZeroIsZero() {
      assertThat(compare(new Numeric(0, 0), row(0.0, -0.0), row(-0.0, 0.0), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void theSmallestDifferenceCountsWhereNoneIsAllowed() {
      assertThat(compare(new Numeric(0, 0), row(1), row(Math.nextUp(1.0)), 1).disagrees()).isTrue();
      assertThat(compare(new Numeric(0, 0), row(0), row(Double.MIN_VALUE), 1))
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
        assertThat(compare(numeric, row(baseline), row(candidate), 3))
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
      Output baseline = row(1, 2, 3, /**/ 3, 2, 1, /**/ 1, 3, 2, /**/ 0, 0, 1);
      Output candidate = row(7, 8, 9, /**/ 3, 4, 1, /**/ 1, 3, 2, /**/ 0, 0, 1);
      assertThat(compare(topOne, baseline, candidate, 3)).isEqualTo(share(0.25, Cause.DISTANCE));
      assertThat(compare(topOne, baseline, row(7, 8, 9, 9, 4, 1, 1, 3, 2, 0, 0, 1), 3)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void theFirstOfATieIsTheTop() {
      assertThat(compare(topOne, row(5, 5, 1), row(6, 2, 6), 3)).isEqualTo(Disagreement.NONE);
      assertThat(compare(topOne, row(5, 5, 1), row(2, 6, 6), 3)).isEqualTo(share(1, Cause.DISTANCE));
      assertThat(compare(topOne, row(0.0, -0.0), row(-0.0, 0.0), 2)).as("zeros tie").isEqualTo(Disagreement.NONE);
    }

    @Test
    void infinitiesAreOrdinaryNumbers() {
      assertThat(compare(topOne, row(NEGATIVE_INFINITY, POSITIVE_INFINITY), row(0, 1), 2)).isEqualTo(Disagreement.NONE);
      assertThat(compare(topOne, row(NEGATIVE_INFINITY, NEGATIVE_INFINITY), row(1, 0), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void aMissingNumberOnOneSideIsADisagreement() {
      assertThat(compare(topOne, row(1, 2, NaN), row(1, 2, 0), 3)).isEqualTo(share(1, Cause.NOT_A_NUMBER));
      assertThat(compare(topOne, row(0, NaN), row(0, 1), 2)).isEqualTo(share(1, Cause.NOT_A_NUMBER));
      assertThat(compare(topOne, row(NaN, 1), row(1, NaN), 2)).as("at different places").isEqualTo(share(1, Cause.NOT_A_NUMBER));
    }

    @Test
    void numbersMissingOnBothSidesAreLeftOutOfTheRow() {
      assertThat(compare(topOne, row(NaN, 1, 2), row(NaN, 3, 4), 3)).isEqualTo(Disagreement.NONE);
      assertThat(compare(topOne, row(NaN, 1, 2), row(NaN, 4, 3), 3)).isEqualTo(share(1, Cause.DISTANCE));
      assertThat(compare(topOne, row(NaN, NaN), row(NaN, NaN), 2)).isEqualTo(Disagreement.NONE);
    }
  }

  @Nested
  final class ThresholdTest {

    @Test
    void isTheShareOfDecisionsThatChange() {
      Threshold every = new Threshold(0.5, -1);
      assertThat(compare(every, row(0.4, 0.6, 0.9, 0.1), row(0.49, 0.5, 0.2, 0.3), 2))
          .isEqualTo(share(0.25, Cause.DISTANCE));
      assertThat(compare(every, row(0.4, 0.6), row(0.1, 0.9), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void looksAtItsColumnOnly() {
      Threshold second = new Threshold(0.5, 1);
      assertThat(compare(second, row(0, 1, 0, 1), row(1, 1, 1, 1), 2)).isEqualTo(Disagreement.NONE);
      assertThat(compare(second, row(0, 1, 0, 1), row(0, 1, 0, 0), 2)).isEqualTo(share(0.5, Cause.DISTANCE));
      assertThat(compare(new Threshold(0.5, 0), row(0, 1), row(1, 1), 2)).isEqualTo(share(1, Cause.DISTANCE));
    }

    @Test
    void theThresholdItselfIsAbove() {
      assertThat(compare(new Threshold(0.5, -1), row(0.5), row(0.7), 1)).isEqualTo(Disagreement.NONE);
      assertThat(compare(new Threshold(0.5, -1), row(0.5), row(Math.nextDown(0.5)), 1).disagrees()).isTrue();
      assertThat(compare(new Threshold(0, -1), row(0.0), row(-0.0), 1)).as("zeros").isEqualTo(Disagreement.NONE);
    }

    @Test
    void aMissingNumberOnOneSideIsADisagreement() {
      Threshold threshold = new Threshold(0.5, -1);
      assertThat(compare(threshold, row(NaN), row(0.1), 1).disagrees()).as("although neither is above").isTrue();
      assertThat(compare(threshold, row(0.9), row(NaN), 1).disagrees()).isTrue();
      assertThat(compare(threshold, row(NaN), row(NaN), 1)).isEqualTo(Disagreement.NONE);
      assertThat(compare(threshold, row(POSITIVE_INFINITY), row(0.5), 1)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void aColumnThatIsNotThereCannotBeCompared() {
      assertThat(compare(new Threshold(0.5, 2), row(1, 2), row(1, 2), 2)).isEqualTo(named(Cause.SHAPE));
      assertThat(compare(new Threshold(0.5, 0), row(), row(), 0)).isEqualTo(named(Cause.SHAPE));
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
      assertThat(compare(exact, row(1, 2, 3, 4), row(1, 2, 3, 5), 4)).isEqualTo(share(0.25, Cause.DISTANCE));
      assertThat(compare(exact, row(0.0, NaN, POSITIVE_INFINITY), row(-0.0, NaN, POSITIVE_INFINITY), 3))
          .isEqualTo(Disagreement.NONE);
      assertThat(compare(exact, row(NaN, 1), row(1, NaN), 2)).isEqualTo(share(1, Cause.NOT_A_NUMBER));
      assertThat(compare(exact, row(POSITIVE_INFINITY), row(NEGATIVE_INFINITY), 1)).isEqualTo(share(1, Cause.INFINITE));
    }

    /// As doubles the two are one number: 2^53 + 1 has no double of its own.
    @Test
    void tellsLargeIntegersApart() {
      long large = 1L << 53;
      assertThat(compare(exact, integers(large, -large), integers(large + 1, -large), 2))
          .isEqualTo(share(0.5, Cause.DISTANCE));
      assertThat(compare(exact, integers(Long.MAX_VALUE), integers(Long.MAX_VALUE), 1)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void numbersOfDifferentDatatypesMayBeTheSame() {
      assertThat(compare(exact, integers(1, 2), row(1, 2), 2)).isEqualTo(Disagreement.NONE);
      assertThat(compare(exact, integers(1, 2), row(1, 2.5), 2)).isEqualTo(share(0.5, Cause.DISTANCE));
      assertThat(compare(exact, row(1), floats(1), 1)).isEqualTo(Disagreement.NONE);
    }
  }

  @Test
  void emptyAnswersAgree() {
    for (Comparison comparison : List.of(new Numeric(0, 0), new TopOne(), new Threshold(0.5, -1), new Exact())) {
      assertThat(compare(comparison, row(), row(), 0)).as("%s", comparison).isEqualTo(Disagreement.NONE);
      assertThat(compare(comparison, row(), row(), 4)).as("%s, rows of 4", comparison).isEqualTo(Disagreement.NONE);
    }
  }

  @Test
  void anAnswerAgreesWithItselfWhateverItHolds() {
    SplittableRandom random = new SplittableRandom(43);
    for (int i = 0; i < 5_000; i++) {
      double[] answer = anything(random, 12);
      for (Comparison comparison : EVERY_KIND) {
        assertThat(compare(comparison, row(answer), row(answer.clone()), 3))
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
        Disagreement there = compare(comparison, row(baseline), row(candidate), 3);
        String where = "seed 47, round %d, %s".formatted(i, comparison);
        assertThat(there.distance()).as(where).isBetween(0.0, FAR);
        assertThat(!there.disagrees() || there.distance() > 0).as(where).isTrue();
        assertThat(there.bounded()).as(where).isBetween(0.0, 1.0);
        if (!isAboutTheBaseline(comparison)) {
          assertThat(compare(comparison, row(candidate), row(baseline), 3)).as(where).isEqualTo(there);
        }
        if (!(comparison instanceof Threshold) && missingOnOneSide(baseline, candidate)) {
          assertThat(there.cause()).as(where).isGreaterThanOrEqualTo(Cause.NOT_A_NUMBER);
        }
      }
    }
  }

  @Test
  void ofTwoOutputsTheWorseCounts() {
    Disagreement near = new Disagreement(0.1, true);
    Disagreement far = new Disagreement(3, false);
    assertThat(near.and(far)).isEqualTo(new Disagreement(3, Cause.DISTANCE, 1)).isEqualTo(far.and(near));
    assertThat(Disagreement.NONE.and(Disagreement.NONE)).isEqualTo(Disagreement.NONE);
    assertThat(far.and(Disagreement.TOTAL)).isEqualTo(Disagreement.TOTAL);
  }

  @Test
  void aDistanceThatIsNoneIsTheLargest() {
    assertThat(new Disagreement(NaN, true).distance()).isEqualTo(FAR);
    assertThat(new Disagreement(-1, true).distance()).isEqualTo(FAR);
    assertThat(new Disagreement(POSITIVE_INFINITY, true).distance()).isEqualTo(FAR);
  }

  private static boolean isAboutTheBaseline(Comparison comparison) {
    return comparison instanceof Numeric || comparison instanceof KullbackLeibler;
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


  /// What is as far away as can be, under a name of its own.
  private static Disagreement named(Cause cause) {
    return new Disagreement(FAR, cause, 1);
  }

  private static Disagreement share(double share, Cause cause) {
    return new Disagreement(share, cause, share);
  }
}
