package dev.sluice.router.comparison;

import static dev.sluice.router.comparison.Output.compare;
import static dev.sluice.router.comparison.Output.floats;
import static dev.sluice.router.comparison.Output.integers;
import static dev.sluice.router.comparison.Output.row;
import static dev.sluice.router.comparison.Output.shorts;
import static java.lang.Double.NEGATIVE_INFINITY;
import static java.lang.Double.NaN;
import static java.lang.Double.POSITIVE_INFINITY;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.router.comparison.Comparison.Boxes;
import dev.sluice.router.comparison.Comparison.Boxes.Format;
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
import dev.sluice.router.comparison.Numbers.Element;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.ToDoubleBiFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

/// Each comparison of rows by examples that can be worked out by hand, and against the plainest way to compute it.
final class RowComparisonsTest {

  private static final double EXACT = 1e-12;

  @Nested
  final class UlpTest {

    @Test
    void countsTheNumbersOfTheOutputsOwnDatatype() {
      double next = Math.nextUp(1.0f);
      assertThat(compare(new Ulp(0), floats(1), floats(next), 1)).isEqualTo(new Disagreement(1, true));
      assertThat(compare(new Ulp(1), floats(1), floats(next), 1)).isEqualTo(new Disagreement(1, false));
      assertThat(compare(new Ulp(1), row(1), row(Math.nextUp(1.0)), 1)).isEqualTo(new Disagreement(1, false));
      assertThat(compare(new Ulp(0), row(1), row(next), 1).distance()).as("2^29 doubles").isEqualTo(Disagreement.DISTANCE_MAX);
      assertThat(compare(new Ulp(5), integers(7), integers(3), 1)).isEqualTo(new Disagreement(4, false));
      assertThat(compare(new Ulp(2), shorts(Element.FP16, 0x3c00), shorts(Element.FP16, 0x3c03), 1))
          .isEqualTo(new Disagreement(3, true));
      assertThat(compare(new Ulp(2), shorts(Element.BF16, 0x3f80), shorts(Element.BF16, 0x3f7e), 1))
          .isEqualTo(new Disagreement(2, false));
    }

    @Test
    void countsAcrossZeroWhichIsOneNumber() {
      double least = Float.MIN_VALUE;
      assertThat(compare(new Ulp(0), floats(0.0), floats(-0.0), 1)).isEqualTo(Disagreement.NONE);
      assertThat(compare(new Ulp(0), floats(-least), floats(least), 1)).isEqualTo(new Disagreement(2, true));
      assertThat(compare(new Ulp(0), row(-Double.MIN_VALUE), row(Double.MIN_VALUE), 1)).isEqualTo(new Disagreement(2, true));
      assertThat(compare(new Ulp(0), row(-Double.MAX_VALUE), row(Double.MAX_VALUE), 1).distance())
          .isEqualTo(Disagreement.DISTANCE_MAX);
    }

    @Test
    void theLargestFloatIsNotNextToInfinity() {
      assertThat(compare(new Ulp(9), floats(Float.MAX_VALUE), floats(POSITIVE_INFINITY), 1)).isEqualTo(named(Cause.INFINITE));
      assertThat(compare(new Ulp(9), floats(NaN, 1), floats(1, 1), 2)).isEqualTo(named(Cause.NOT_A_NUMBER));
      assertThat(compare(new Ulp(9), floats(NaN, NEGATIVE_INFINITY), floats(NaN, NEGATIVE_INFINITY), 2))
          .isEqualTo(Disagreement.NONE);
    }

    @Test
    void isTheNumberOfStepsFromOneToTheOther() {
      SplittableRandom random = new SplittableRandom(53);
      for (int i = 0; i < 2_000; i++) {
        float start = Float.intBitsToFloat(random.nextInt());
        if (!Float.isFinite(start)) {
          continue;
        }
        int steps = random.nextInt(200);
        float end = start;
        for (int step = 0; step < steps && Float.isFinite(Math.nextUp(end)); step++) {
          end = Math.nextUp(end);
        }
        boolean reached = Float.isFinite(Math.nextUp(end));
        if (reached) {
          assertThat(compare(new Ulp(steps), floats(start), floats(end), 1))
              .as("seed 53, round %d, %s and %d steps", i, start, steps).isEqualTo(new Disagreement(steps, false));
        }
      }
    }
  }

  @Nested
  final class TopKTest {

    @Test
    void isTheShareOfTheTopThatOneAloneHas() {
      // 9 8 7 at 0 1 2; 9 8 7 at 0 1 3
      Output baseline = row(9, 8, 7, 1);
      Output candidate = row(8, 9, 1, 7);
      assertThat(compare(new TopK(2, 1), baseline, candidate, 4)).as("order does not matter").isEqualTo(Disagreement.NONE);
      close(compare(new TopK(3, 1), baseline, candidate, 4), 1.0 / 3, Cause.DISTANCE, 1.0 / 3);
      close(compare(new TopK(3, 0.6), baseline, candidate, 4), 1.0 / 3, Cause.NONE, 1.0 / 3);
    }

    @Test
    void theWorstRowCounts() {
      close(compare(new TopK(1, 1), row(1, 2, 1, 2), row(1, 2, 2, 1), 2), 1, Cause.DISTANCE, 1);
    }

    @Test
    void aRowShorterThanKIsComparedAsAWhole() {
      assertThat(compare(new TopK(5, 1), row(1, 2, 3), row(3, 2, 1), 3)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void ofEqualElementsTheFirstAreTheLarger() {
      assertThat(compare(new TopK(2, 1), row(5, 5, 5, 5), row(6, 6, 1, 1), 4)).isEqualTo(Disagreement.NONE);
      close(compare(new TopK(2, 1), row(5, 5, 5, 5), row(1, 1, 6, 6), 4), 1, Cause.DISTANCE, 1);
    }

    @Test
    void numbersMissingOnOneSideAreADisagreement() {
      assertThat(compare(new TopK(1, 1), row(NaN, 1), row(0, 1), 2)).isEqualTo(new Disagreement(1, Cause.NOT_A_NUMBER, 1));
      assertThat(compare(new TopK(2, 1), row(NaN, 1, 2, 0), row(NaN, 3, 4, 0), 4)).isEqualTo(Disagreement.NONE);
      assertThat(compare(new TopK(2, 1), row(NaN, NaN), row(NaN, NaN), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void isWhatSortingGives() {
      againstThePlainWay(59, 40, new TopK(7, 0.5), RowComparisonsTest::anyWithTies, (b, c) -> {
        List<Integer> top = top(b, 7);
        return 1 - top.stream().filter(top(c, 7)::contains).count() / 7.0;
      });
    }

    private static List<Integer> top(double[] row, int k) {
      return IntStream.range(0, row.length).boxed()
          .sorted(Comparator.comparingDouble((Integer i) -> row[i]).reversed()).limit(k).toList();
    }

    @Test
    void refusesWhatIsNoTop() {
      assertThatThrownBy(() -> new TopK(0, 1)).hasMessageContaining("top-k: 0 is not between 1 and 1000");
      assertThatThrownBy(() -> new TopK(1, 0)).hasMessageContaining("overlap: 0.0 is not above 0");
    }
  }

  @Nested
  final class RankCorrelationTest {

    @Test
    void isSpearmans() {
      assertThat(compare(new RankCorrelation(1), row(1, 2, 3), row(10, 20, 21), 3)).isEqualTo(Disagreement.NONE);
      close(compare(new RankCorrelation(0), row(1, 2, 3), row(3, 2, 1), 3), 2, Cause.DISTANCE, 1);
      // d = (1, -1, 0): 1 - 6 * 2 / (3 * 8) = 0.5
      close(compare(new RankCorrelation(0.5), row(1, 2, 3), row(2, 1, 3), 3), 0.5, Cause.NONE, 0.25);
      close(compare(new RankCorrelation(0.51), row(1, 2, 3), row(2, 1, 3), 3), 0.5, Cause.DISTANCE, 0.25);
    }

    @Test
    void equalElementsShareTheirRank() {
      // Ranks 0.5 0.5 2 and 0 1 2: covariance 1.5, squares 1.5 and 2.
      close(compare(new RankCorrelation(0.9), row(1, 1, 2), row(1, 2, 3), 3), 1 - 1.5 / Math.sqrt(3), Cause.DISTANCE, -1);
      assertThat(compare(new RankCorrelation(1), row(0.0, -0.0, 1), row(-0.0, 0.0, 1), 3)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void aRowOfEqualElementsRanksNothing() {
      assertThat(compare(new RankCorrelation(1), row(4, 4, 4), row(5, 5, 5), 3)).isEqualTo(Disagreement.NONE);
      close(compare(new RankCorrelation(0.5), row(4, 4, 4), row(5, 6, 7), 3), 1, Cause.DISTANCE, 0.5);
    }

    @Test
    void whatIsMissingOnBothSidesIsLeftOut() {
      assertThat(compare(new RankCorrelation(1), row(1, NaN, 2), row(3, NaN, 4), 3)).isEqualTo(Disagreement.NONE);
      assertThat(compare(new RankCorrelation(-0.5), row(1, NaN, 2), row(3, 3, 4), 3)).isEqualTo(named(Cause.NOT_A_NUMBER));
      assertThat(compare(new RankCorrelation(1), row(1, POSITIVE_INFINITY), row(3, 4), 2)).isEqualTo(Disagreement.NONE);
    }

    @Test
    void isWhatPearsonsCorrelationOfTheRanksGives() {
      ToDoubleBiFunction<double[], double[]> plain = (b, c) -> 1 - pearson(ranks(b), ranks(c));
      againstThePlainWay(61, 5, new RankCorrelation(0.5), RowComparisonsTest::anyWithTies, plain);
      againstThePlainWay(67, 300, new RankCorrelation(0.5), RowComparisonsTest::anyWithTies, plain);
      againstThePlainWay(71, 300, new RankCorrelation(0.5), RowComparisonsTest::anything, plain);
    }

    private static double[] ranks(double[] row) {
      return Arrays.stream(row)
          .map(v -> Arrays.stream(row).filter(w -> w < v).count() + Arrays.stream(row).filter(w -> w == v).count() / 2.0)
          .toArray();
    }

    private static double pearson(double[] b, double[] c) {
      double mb = Arrays.stream(b).average().orElseThrow();
      double mc = Arrays.stream(c).average().orElseThrow();
      double bc = 0;
      double bb = 0;
      double cc = 0;
      for (int i = 0; i < b.length; i++) {
        bc += (b[i] - mb) * (c[i] - mc);
        bb += (b[i] - mb) * (b[i] - mb);
        cc += (c[i] - mc) * (c[i] - mc);
      }
      return bb == 0 || cc == 0 ? (bb == cc ? 1 : 0) : bc / Math.sqrt(bb * cc);
    }
  }

  @Nested
  final class CosineTest {

    @Test
    void looksAtTheDirectionAlone() {
      close(compare(new Cosine(0.01), row(1, 0), row(0, 3), 2), 1, Cause.DISTANCE, 0.5);
      close(compare(new Cosine(0.01), row(1, 2), row(-2, -4), 2), 2, Cause.DISTANCE, 1);
      close(compare(new Cosine(0.01), row(1, 2), row(2, 4), 2), 0, Cause.NONE, 0);
      close(compare(new Cosine(0.2), row(1, 0), row(4, 3), 2), 0.2, Cause.NONE, 0.1);
      close(compare(new Cosine(0.19), row(1, 0), row(4, 3), 2), 0.2, Cause.DISTANCE, 0.1);
    }

    @Test
    void zerosHaveNoDirection() {
      assertThat(compare(new Cosine(0), row(0, 0), row(0, -0.0), 2)).isEqualTo(Disagreement.NONE);
      close(compare(new Cosine(0.5), row(0, 0), row(0, 1), 2), 1, Cause.DISTANCE, 0.5);
    }

    @Test
    void squaresBeyondADoubleDoNoHarm() {
      close(compare(new Cosine(0.5), row(1e300, 0), row(4e300, 3e300), 2), 0.2, Cause.NONE, 0.1);
      close(compare(new Cosine(0.5), row(1e-300, 0), row(4e-300, 3e-300), 2), 0.2, Cause.NONE, 0.1);
    }

    @Test
    void whatIsNotFiniteOnOneSideHasAName() {
      assertThat(compare(new Cosine(1), row(1, NaN), row(1, 2), 2)).isEqualTo(named(Cause.NOT_A_NUMBER));
      assertThat(compare(new Cosine(1), row(1, POSITIVE_INFINITY), row(1, 2), 2)).isEqualTo(named(Cause.INFINITE));
      assertThat(compare(new Cosine(1), row(1, POSITIVE_INFINITY), row(1, NEGATIVE_INFINITY), 2))
          .isEqualTo(named(Cause.INFINITE));
      close(compare(new Cosine(0.5), row(NaN, 1, 0), row(NaN, 4, 3), 3), 0.2, Cause.NONE, 0.1);
      close(compare(new Cosine(0.5), row(POSITIVE_INFINITY, 1, 0), row(POSITIVE_INFINITY, 4, 3), 3), 0.2, Cause.NONE, 0.1);
    }

    @Test
    void isWhatTheFormulaGives() {
      againstThePlainWay(73, 33, new Cosine(0.5), RowComparisonsTest::anything, (b, c) -> {
        double bc = IntStream.range(0, b.length).mapToDouble(i -> b[i] * c[i]).sum();
        double bb = Arrays.stream(b).map(v -> v * v).sum();
        double cc = Arrays.stream(c).map(v -> v * v).sum();
        return 1 - bc / Math.sqrt(bb) / Math.sqrt(cc);
      });
    }
  }

  @Nested
  final class DivergenceTest {

    @Test
    void kullbackLeiblerIsTheMeanLogarithmUnderTheBaseline() {
      // 0.5 ln(0.5 / 0.25) + 0.5 ln(0.5 / 0.75)
      double expected = 0.5 * Math.log(2) + 0.5 * Math.log(2.0 / 3);
      close(compare(new KullbackLeibler(0.1), row(0.5, 0.5), row(0.25, 0.75), 2), expected, Cause.DISTANCE, 1);
      close(compare(new KullbackLeibler(0.2), row(2, 2), row(1, 3), 2), expected, Cause.NONE, 0);
    }

    @Test
    void whatTheCandidateCallsImpossibleIsInfinitelyFar() {
      assertThat(compare(new KullbackLeibler(9), row(0.5, 0.5), row(1, 0), 2)).isEqualTo(named(Cause.INFINITE));
      close(compare(new KullbackLeibler(1), row(1, 0), row(0.5, 0.5), 2), Math.log(2), Cause.NONE, 0);
    }

    @Test
    void jensenShannonIsBoundedAndSymmetric() {
      close(compare(new JensenShannon(0.5), row(1, 0), row(0, 1), 2), Math.log(2), Cause.DISTANCE, 1);
      // P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4): (ln(4/3) + ln(2/3)/2 + ln(2)/2) / 2
      double expected = (Math.log(4.0 / 3) + Math.log(2.0 / 3) / 2 + Math.log(2) / 2) / 2;
      close(compare(new JensenShannon(0.5), row(1, 0), row(3, 3), 2), expected, Cause.NONE, expected / Math.log(2));
      close(compare(new JensenShannon(0.5), row(3, 3), row(1, 0), 2), expected, Cause.NONE, expected / Math.log(2));
    }

    @Test
    void whatIsNoDistributionHasAName() {
      for (Comparison each : List.of(new KullbackLeibler(0.1), new JensenShannon(0.1))) {
        assertThat(compare(each, row(0.5, 0.5), row(1.5, -0.5), 2)).isEqualTo(named(Cause.UNFIT));
        assertThat(compare(each, row(0, 0), row(0.5, 0.5), 2)).isEqualTo(named(Cause.UNFIT));
        assertThat(compare(each, row(0, 0), row(0, -0.0), 2)).isEqualTo(Disagreement.NONE);
        assertThat(compare(each, row(0.5, NaN), row(0.5, 0.5), 2)).isEqualTo(named(Cause.NOT_A_NUMBER));
        assertThat(compare(each, row(0.5, POSITIVE_INFINITY), row(0.5, 0.5), 2)).isEqualTo(named(Cause.INFINITE));
      }
    }

    @Test
    void areWhatTheirFormulasGive() {
      againstThePlainWay(79, 25, new KullbackLeibler(0.1), RowComparisonsTest::weights, (b, c) -> kl(b, c));
      againstThePlainWay(83, 25, new JensenShannon(0.1), RowComparisonsTest::weights, (b, c) -> {
        double[] m = new double[b.length];
        Arrays.setAll(m, i -> (b[i] / sum(b) + c[i] / sum(c)) / 2);
        return (kl(b, m) + kl(c, m)) / 2;
      });
    }

    private static double kl(double[] b, double[] c) {
      double sum = 0;
      for (int i = 0; i < b.length; i++) {
        double p = b[i] / sum(b);
        sum += p == 0 ? 0 : p * Math.log(p / (c[i] / sum(c)));
      }
      return sum;
    }

    private static double sum(double[] row) {
      return Arrays.stream(row).sum();
    }
  }

  @Nested
  final class BoxesTest {

    @Test
    void isTheSharedAreaByTheWholeArea() {
      // 2 x 2 squares that share a 1 x 2 half: 2 / 6.
      close(compare(new Boxes(0.5, Format.XYXY), row(0, 0, 2, 2), row(1, 0, 3, 2), 4), 2.0 / 3, Cause.DISTANCE, 2.0 / 3);
      close(compare(new Boxes(0.5, Format.XYWH), row(0, 0, 2, 2), row(1, 0, 2, 2), 4), 2.0 / 3, Cause.DISTANCE, 2.0 / 3);
      close(compare(new Boxes(0.3, Format.CXCYWH), row(1, 1, 2, 2), row(2, 1, 2, 2), 4), 2.0 / 3, Cause.NONE, 2.0 / 3);
      close(compare(new Boxes(0.3, Format.XYXY), row(0, 0, 1, 1), row(2, 2, 3, 3), 4), 1, Cause.DISTANCE, 1);
    }

    @Test
    void boxesStandInOrderAndTheWorstPairCounts() {
      close(
          compare(new Boxes(0.5, Format.XYXY), row(0, 0, 1, 1, 5, 5, 6, 6), row(0, 0, 1, 1, 5, 5, 6, 7), 4),
          0.5, Cause.NONE, 0.5);
      close(
          compare(new Boxes(0.5, Format.XYXY), row(0, 0, 1, 1, 5, 5, 6, 6), row(5, 5, 6, 6, 0, 0, 1, 1), 4),
          1, Cause.DISTANCE, 1);
    }

    @Test
    void emptyBoxesAgreeWithThemselvesOnly() {
      for (Format format : Format.values()) {
        assertThat(compare(new Boxes(1, format), row(0, 0, 0, 0), row(0, 0, 0, 0), 4)).isEqualTo(Disagreement.NONE);
        assertThat(compare(new Boxes(1, format), row(3, 3, -1, -1), row(3, 3, -1, -1), 4)).isEqualTo(Disagreement.NONE);
        close(compare(new Boxes(0.1, format), row(0, 0, 0, 0), row(0, 0, 0, 1), 4), 1, Cause.DISTANCE, 1);
      }
    }

    @Test
    void anyBoxAgreesWithItself() {
      SplittableRandom random = new SplittableRandom(89);
      for (int i = 0; i < 5_000; i++) {
        double[] boxes = anything(random, 40);
        for (Format format : Format.values()) {
          assertThat(compare(new Boxes(1, format), row(boxes), row(boxes.clone()), 4))
              .as("seed 89, round %d, %s", i, format).isEqualTo(Disagreement.NONE);
        }
      }
    }

    @Test
    void whatIsNoBoxHasAName() {
      Boxes boxes = new Boxes(0.1, Format.XYXY);
      assertThat(compare(boxes, row(0, 0, 1, 1), row(0, NaN, 1, 1), 4)).isEqualTo(named(Cause.NOT_A_NUMBER));
      assertThat(compare(boxes, row(0, 0, 1, 1), row(0, 0, POSITIVE_INFINITY, 1), 4)).isEqualTo(named(Cause.INFINITE));
      assertThat(compare(boxes, row(NaN, 0, 1, 1), row(NaN, 0, 1, 2), 4)).isEqualTo(named(Cause.UNFIT));
      assertThat(compare(boxes, row(NaN, 0, 1, 1), row(NaN, 0, 1, 1), 4)).isEqualTo(Disagreement.NONE);
      assertThat(compare(boxes, row(0, 0, 1, 1, 2), row(0, 0, 1, 1, 2), 5)).isEqualTo(named(Cause.SHAPE));
      assertThat(compare(boxes, row(0, 0, 1e300, 1e300), row(0, 0, 1e300, 2e300), 4).disagrees()).as("no area").isTrue();
    }

    @Test
    void isWhatTheFormulaGives() {
      ToDoubleBiFunction<double[], double[]> plain = (b, c) -> {
        double w = Math.max(0, Math.min(b[0] + b[2], c[0] + c[2]) - Math.max(b[0], c[0]));
        double h = Math.max(0, Math.min(b[1] + b[3], c[1] + c[3]) - Math.max(b[1], c[1]));
        return 1 - w * h / (b[2] * b[3] + c[2] * c[3] - w * h);
      };
      againstThePlainWay(97, 4, new Boxes(0.5, Format.XYWH), (random, n) -> random.doubles(n, 0.1, 1).toArray(), plain);
    }
  }

  // --- what holds for all ---------------------------------------------------------------------------------------------

  @Test
  void aDifferenceWithAScaleIsBounded() {
    close(compare(new Numeric(1, 0, 4), row(1, 2), row(1, 3), 2), 1, Cause.NONE, 0.25);
    close(compare(new Numeric(1, 0, 4), row(1, 2), row(1, 8), 2), 6, Cause.DISTANCE, 1);
    assertThat(compare(new Numeric(1, 0, 4), row(1), row(NaN), 1)).isEqualTo(named(Cause.NOT_A_NUMBER));
    assertThatThrownBy(() -> new Numeric(1, 0, -1)).hasMessageContaining("scale: -1.0");
  }

  @Test
  void ofSeveralComparisonsTheGravestCauseAndTheLargestDistanceCount() {
    Several both = new Several(List.of(new Numeric(10, 0), new TopOne()));
    assertThat(compare(both, row(1, 3), row(4, 3), 2)).isEqualTo(new Disagreement(3, Cause.DISTANCE, 1));
    assertThat(compare(both, row(1, 3), row(2, 3), 2)).isEqualTo(new Disagreement(1, Cause.NONE, 0));
    assertThat(new Several(List.of(new TopOne(), new TopK(5, 1))).misfit(3)).contains("top-k 5");
    assertThatThrownBy(() -> new Several(List.of())).hasMessageContaining("0 comparisons of one output; expected 1 to 8");
  }

  @Test
  void eachCauseOutlivesTheCombinationWithMilderOnes() {
    for (Cause grave : Cause.values()) {
      for (Cause mild : Cause.values()) {
        Disagreement all = new Disagreement(1, grave, 0.5).and(new Disagreement(2, mild, 0.25));
        assertThat(all.cause()).isEqualTo(grave.compareTo(mild) > 0 ? grave : mild);
        assertThat(all.distance()).isEqualTo(2);
        assertThat(all.bounded()).isEqualTo(all.cause().compareTo(Cause.DISTANCE) > 0 ? 1 : 0.5);
      }
    }
    assertThatThrownBy(() -> new Disagreement(1, Cause.NONE, 1.5)).hasMessageContaining("bounded: 1.5");
    assertThatThrownBy(() -> new Disagreement(1, Cause.NONE, NaN)).hasMessageContaining("bounded: NaN");
  }

  /// Outputs of one bench after the other leave nothing behind, whatever their size.
  @Test
  void aBenchIsClearAfterEveryAnswer() {
    Workbench bench = new Workbench();
    for (int round = 0; round < 3; round++) {
      assertThat(compare(bench, new TopOne(), row(1, 2), row(2, 1), 2).disagrees()).isTrue();
      assertThat(bench.take()).isEqualTo(Disagreement.NONE);
      bench.add(Cause.MISSING_OUTPUT);
      assertThat(bench.take()).isEqualTo(named(Cause.MISSING_OUTPUT));
      assertThat(compare(bench, new TopOne(), row(1, 2), row(1, 2), 2)).isSameAs(Disagreement.NONE);
    }
  }

  @Test
  void rowsOfEveryLengthAreReadToTheirEnd() {
    for (int length : new int[] {1, 2, 3, 1023, 1024, 1025, 2048, 5000}) {
      for (int rows : new int[] {1, 2, 700}) {
        if (length * rows <= 100_000) {
          double[] baseline = new SplittableRandom(101).doubles((long) length * rows, 0.1, 1).toArray();
          baseline[baseline.length - length] = 1.4; // the top of the last row
          double[] candidate = baseline.clone();
          candidate[candidate.length - 1] = 2; // the last element of the last row, and larger than the others
          String where = "%d rows of %d".formatted(rows, length);
          for (Comparison each :
              List.of(
                  new Numeric(0.5, 0), new Ulp(9), new Threshold(1.5, -1), new Threshold(1.5, length - 1), new Exact())) {
            assertThat(compare(each, row(baseline), row(candidate), length).disagrees()).as("%s: %s", where, each).isTrue();
          }
          for (Comparison each : List.of(new TopOne(), new Cosine(0), new JensenShannon(0), new TopK(1, 1))) {
            assertThat(compare(each, row(baseline), row(candidate), length).disagrees())
                .as("%s: %s", where, each).isEqualTo(length > 1);
          }
        }
      }
    }
  }

  @Test
  void aRowThatIsTooLongIsNotCompared() {
    double[] row = new double[Workbench.ROW_MAX + 1];
    assertThat(compare(new TopOne(), row(row), row(row), row.length)).isEqualTo(named(Cause.SHAPE));
    assertThat(compare(new RankCorrelation(1), row(row), row(row), row.length - 1)).isEqualTo(Disagreement.NONE);
    assertThat(new Cosine(0).misfit(row.length)).contains("262145 elements; at most 262144");
    assertThat(compare(new Threshold(0.5, 3), row(row), row(row), row.length)).isEqualTo(Disagreement.NONE);
  }

  @Test
  void aMisfitIsToldBeforehand() {
    assertThat(new Boxes(0.5, Format.XYXY).misfit(5)).isEqualTo("iou: the output's rows have 5 elements; a box has 4");
    assertThat(new Boxes(0.5, Format.XYXY).misfit(4)).isNull();
    assertThat(new TopK(5, 1).misfit(4)).isEqualTo("top-k 5: the output's rows have 4 elements");
    assertThat(new TopK(4, 1).misfit(4)).isNull();
    assertThat(new RankCorrelation(0.5).misfit(1)).contains("always in order");
    assertThat(new Threshold(0.5, 4).misfit(4)).isEqualTo("column 4: the output's rows have 4 elements");
    assertThat(new Exact().misfit(Long.MAX_VALUE)).isNull();
  }

  @Test
  void everyElementIsReadAsTheNumberItIs() {
    ByteBuffer ones = ByteBuffer.allocate(8);
    ones.putLong(0, -1);
    Map<Element, Double> expected =
        Map.of(
            Element.BOOL, -1.0, Element.INT8, -1.0, Element.INT16, -1.0, Element.INT32, -1.0, Element.INT64, -1.0,
            Element.UINT8, 0x1p8 - 1, Element.UINT16, 0x1p16 - 1, Element.UINT32, 0x1p32 - 1, Element.UINT64, 0x1p64);
    for (Element element : Element.values()) {
      Workbench bench = new Workbench();
      bench.baseline().view(element, ones);
      double[] window = new double[8];
      bench.baseline().read(0, 1, window);
      assertThat(window[0]).as("%s", element).isEqualTo(expected.getOrDefault(element, NaN));
    }
    assertThat(ones.position()).isZero();
  }

  @Test
  void unsignedIntegersRoundAsDoublesDo() {
    SplittableRandom random = new SplittableRandom(103);
    Workbench bench = new Workbench();
    double[] window = new double[1];
    for (int i = 0; i < 5_000; i++) {
      long bits = random.nextLong() | Long.MIN_VALUE;
      bench.baseline().view(Element.UINT64, integers(bits).bytes());
      bench.baseline().read(0, 1, window);
      assertThat(window[0]).as("seed 103, round %d", i)
          .isEqualTo(new BigDecimal(Long.toUnsignedString(bits)).doubleValue());
    }
  }

  // --- support --------------------------------------------------------------------------------------------------------

  private interface Values {
    double[] of(SplittableRandom random, int count);
  }

  private static void againstThePlainWay(
      long seed, int rowLength, Comparison how, Values values, ToDoubleBiFunction<double[], double[]> plain) {
    SplittableRandom random = new SplittableRandom(seed);
    Workbench bench = new Workbench();
    for (int round = 0; round < 500; round++) {
      double[] baseline = values.of(random, 2 * rowLength);
      double[] candidate = round % 3 == 0 ? near(random, baseline) : values.of(random, 2 * rowLength);
      double expected =
          Math.max(
              plain.applyAsDouble(Arrays.copyOf(baseline, rowLength), Arrays.copyOf(candidate, rowLength)),
              plain.applyAsDouble(
                  Arrays.copyOfRange(baseline, rowLength, 2 * rowLength),
                  Arrays.copyOfRange(candidate, rowLength, 2 * rowLength)));
      assertThat(compare(bench, how, row(baseline), row(candidate), rowLength).distance())
          .as("seed %d, round %d, %s", seed, round, how).isCloseTo(expected, within(1e-10));
    }
  }

  private static double[] near(SplittableRandom random, double[] values) {
    return Arrays.stream(values).map(v -> v * random.nextDouble(0.99, 1.01)).toArray();
  }

  private static double[] anything(SplittableRandom random, int count) {
    return random.doubles(count, -3, 3).toArray();
  }

  private static double[] anyWithTies(SplittableRandom random, int count) {
    return random.ints(count, -9, 9).asDoubleStream().toArray();
  }

  private static double[] weights(SplittableRandom random, int count) {
    return random.doubles(count, 0.001, 1).map(v -> v * v).toArray();
  }

  /// @param bounded -1 to leave it open
  private static void close(Disagreement actual, double distance, Cause cause, double bounded) {
    assertThat(actual.distance()).isCloseTo(distance, within(EXACT));
    assertThat(actual.cause()).isEqualTo(cause);
    if (bounded >= 0) {
      assertThat(actual.bounded()).isCloseTo(bounded, within(EXACT));
    }
  }

  private static Disagreement named(Cause cause) {
    return new Disagreement(Disagreement.DISTANCE_MAX, cause, 1);
  }
}
