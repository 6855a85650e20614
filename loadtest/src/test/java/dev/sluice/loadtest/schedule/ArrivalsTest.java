package dev.sluice.loadtest.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.function.LongSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ArrivalsTest {
  @Test
  void constantArrivalsAreEvenlySpacedAndDoNotDrift() {
    LongSupplier due = new Arrivals.Constant(3).dueNanos();
    long last = 0;
    for (int n = 0; n < 3_000_001; n++) {
      last = due.getAsLong();
      assertThat(last).isCloseTo(n * 1_000_000_000L / 3, within(1L));
    }
    assertThat(last).isEqualTo(1_000_000_000_000_000L);
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2, 3, 42, -7})
  void poissonGapsHaveTheMeanAndTheSpreadOfAnExponential(long seed) {
    double rate = 2_000;
    int count = 200_000;
    LongSupplier due = new Arrivals.Poisson(rate, seed).dueNanos();
    double sum = 0;
    double squares = 0;
    int longerThanMean = 0;
    long before = 0;
    for (int n = 0; n < count; n++) {
      long at = due.getAsLong();
      double gap = (at - before) * rate / 1e9;
      before = at;
      sum += gap;
      squares += gap * gap;
      longerThanMean += gap > 1 ? 1 : 0;
    }
    double mean = sum / count;
    // Bounds of five standard errors: 1/sqrt(n) for the mean, sqrt(8/n) for the variance.
    assertThat(mean).as("seed %d", seed).isCloseTo(1, within(5 / Math.sqrt(count)));
    assertThat(squares / count - mean * mean).as("seed %d", seed).isCloseTo(1, within(5 * Math.sqrt(8.0 / count)));
    assertThat((double) longerThanMean / count).as("seed %d", seed).isCloseTo(Math.exp(-1), within(0.006));
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {5, 6})
  void poissonCountsPerIntervalVaryAsMuchAsTheirMean(long seed) {
    LongSupplier due = new Arrivals.Poisson(1_000, seed).dueNanos();
    var perInterval = new int[20_000];
    // Ten are due per interval of ten milliseconds, on average.
    for (long at; (at = due.getAsLong() / 10_000_000) < perInterval.length;) {
      perInterval[(int) at]++;
    }
    double mean = 0;
    for (int count : perInterval) {
      mean += (double) count / perInterval.length;
    }
    double variance = 0;
    for (int count : perInterval) {
      variance += (count - mean) * (count - mean) / perInterval.length;
    }
    assertThat(variance / mean).as("seed %d: variance over mean", seed).isCloseTo(1, within(0.06));
  }

  @Test
  void theSameSeedGivesTheSameTimesAndAnotherSeedDoesNot() {
    Arrivals arrivals = new Arrivals.Poisson(100, 9);
    LongSupplier one = arrivals.dueNanos();
    LongSupplier same = arrivals.dueNanos();
    LongSupplier other = new Arrivals.Poisson(100, 10).dueNanos();
    for (int n = 0; n < 1_000; n++) {
      long at = one.getAsLong();
      assertThat(same.getAsLong()).isEqualTo(at);
      assertThat(other.getAsLong()).isNotEqualTo(at);
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
  void aRateThatIsNoRateIsRefused(double rate) {
    assertThatThrownBy(() -> new Arrivals.Constant(rate)).isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("rate: " + rate);
    assertThatThrownBy(() -> new Arrivals.Poisson(rate, 1)).isInstanceOf(IllegalArgumentException.class);
  }
}
