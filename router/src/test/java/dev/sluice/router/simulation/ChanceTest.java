package dev.sluice.router.simulation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

final class ChanceTest {

  @Test
  void theBinomialBoundIsTheQuantile() {
    // P(Binomial(10, 0.5) > 9) = 1/1024; P(Binomial(20, 0.5) > 20) = 0 and P(> 19) = 2^-20, just below one in a million.
    assertThat(Chance.mostOf(10, 0.5)).isEqualTo(10);
    assertThat(Chance.mostOf(20, 0.5)).isEqualTo(19);
    // Poisson(2): P(> 12) = 1.3e-6, P(> 13) = 2e-7; Binomial(2000, 0.001) has slightly lighter tails.
    assertThat(Chance.mostOf(2000, 0.001)).isBetween(12, 13);
  }

  @Test
  void theChiSquareBoundIsTheQuantile() {
    assertThat(Chance.mostOfChiSquare(100)).isCloseTo(181.8, within(2.0));
    assertThat(Chance.chiSquare(new long[] {8, 12}, 20)).isEqualTo(0.8);
  }

  @Test
  void theIntervalIsTheExactOne() {
    assertThat(Chance.interval(0, 100)[0]).isZero();
    assertThat(Chance.interval(0, 100)[1]).as("1 - 0.025^(1/100)").isCloseTo(0.03622, within(1e-5));
    assertThat(Chance.interval(5, 10)).containsExactly(new double[] {0.18709, 0.81291}, within(1e-5));
  }
}
