package dev.sluice.loadtest.paired;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class EstimateTest {

  @Test
  void theMedianOfAnEvenNumberIsBetweenTheMiddleTwo() {
    assertThat(Estimate.of(4, 1, 2, 3).median()).isEqualTo(2.5);
    assertThat(Estimate.of(3, 1, 2).median()).isEqualTo(2);
  }

  @Test
  void fewRepetitionsAreAsUncertainAsTheirWholeRange() {
    assertThat(Estimate.of(5)).isEqualTo(new Estimate(5, 5, 5, 1));
    assertThat(Estimate.of(1, 9, 3)).isEqualTo(new Estimate(3, 1, 9, 3));
    assertThat(Estimate.of(1, 2, 3, 4, 9)).isEqualTo(new Estimate(3, 1, 9, 5));
  }

  @Test
  void ofEightOneMayGoAstrayAtEitherEnd() {
    assertThat(Estimate.of(0.1, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 70)).isEqualTo(new Estimate(1.25, 1, 1.5, 8));
  }

  @Test
  void theIntervalHoldsTheTrueMedianInNineOfTenCases() {
    var random = new SplittableRandom(7);
    for (int n : new int[] {5, 6, 8, 10, 15}) {
      int held = 0;
      for (int trial = 0; trial < 4_000; trial++) {
        // Skewed, as times are; the median of e^Z is 1.
        Estimate estimate = Estimate.over(n, _ -> Math.exp(random.nextGaussian()));
        held += estimate.low() <= 1 && 1 <= estimate.high() ? 1 : 0;
      }
      assertThat(held / 4_000.0).as("of %d, seed 7", n).isGreaterThan(0.885);
    }
  }

  @Test
  void spreadIsTheWidthInPartsOfTheMedian() {
    assertThat(new Estimate(2, 1.9, 2.2, 6).spread()).isCloseTo(0.15, org.assertj.core.api.Assertions.within(1e-9));
    assertThat(new Estimate(0, 0, 0, 6).spread()).isZero();
  }

  @Test
  void whatIsNoNumberIsRefused() {
    assertThatThrownBy(() -> Estimate.of(1, Double.NaN)).hasMessageContaining("NaN");
    assertThatThrownBy(Estimate::of).hasMessageContaining("at least one");
  }
}
