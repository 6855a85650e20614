package dev.sluice.router.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class GridLikelihoodRatioTest {

  private static final double[] LIMITS = {1e-4, 0.005, 0.01, 0.05, 0.25, 0.5};

  @Test
  void evidenceIsTheAverageLikelihoodRatioOverTheGrid() {
    for (double limit : LIMITS) {
      GridLikelihoodRatio test = new GridLikelihoodRatio(limit);
      for (int events = 0; events <= 40; events++) {
        for (int bad = 0; bad <= events; bad++) {
          double sum = 0;
          for (int k = 0; k < 8; k++) {
            double rate = 1.5 * limit * Math.pow(0.9 / (1.5 * limit), k / 7.0);
            sum += Math.pow(rate / limit, bad) * Math.pow((1 - rate) / (1 - limit), events - bad);
          }
          assertThat(test.logEvidence(events, bad))
              .as("limit %s, %d bad among %d", limit, bad, events)
              .isCloseTo(Math.log(sum / 8), within(1e-9));
        }
      }
    }
  }

  @Test
  void evidenceGrowsWithBadEventsAndFallsWithEvents() {
    long seed = 7;
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < 20_000; i++) {
      double limit = LIMITS[random.nextInt(LIMITS.length)];
      GridLikelihoodRatio test = new GridLikelihoodRatio(limit);
      long events = random.nextLong(1, 1_000_000);
      long bad = random.nextLong(0, Math.min(events, 5000));
      double here = test.logEvidence(events, bad);
      String where = "seed %d, limit %s, %d bad among %d".formatted(seed, limit, bad, events);
      assertThat(test.logEvidence(events, bad + 1)).as(where).isGreaterThan(here);
      assertThat(test.logEvidence(events + 1, bad)).as(where).isLessThan(here);
    }
  }

  /// The one property that the bound on false alarms rests on: at the limit the next factor has mean 1, below it less.
  @Test
  void evidenceIsAMartingaleAtTheLimitAndFallsOnAverageBelowIt() {
    for (double limit : LIMITS) {
      GridLikelihoodRatio test = new GridLikelihoodRatio(limit);
      for (int events = 0; events < 200; events += 7) {
        for (int bad = 0; bad <= Math.min(events, 10); bad++) {
          double now = Math.exp(test.logEvidence(events, bad));
          double ifBad = Math.exp(test.logEvidence(events + 1, bad + 1));
          double ifGood = Math.exp(test.logEvidence(events + 1, bad));
          assertThat((limit * ifBad + (1 - limit) * ifGood) / now).isCloseTo(1, within(1e-9));
          double lower = 0.8 * limit;
          assertThat((lower * ifBad + (1 - lower) * ifGood) / now).isLessThan(1);
        }
      }
    }
  }

  @Test
  void noEventsAreNoEvidence() {
    assertThat(new GridLikelihoodRatio(0.01).logEvidence(0, 0)).isZero();
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -0.1, 0.500001, 1, Double.NaN, Double.POSITIVE_INFINITY})
  void aLimitWithoutRoomAboveItIsRefused(double limit) {
    assertThatThrownBy(() -> new GridLikelihoodRatio(limit))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("limit: " + limit);
  }
}
