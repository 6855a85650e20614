package dev.sluice.router.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.router.simulation.Chance;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// How soon a bad candidate is stopped, and how seldom a good one.
final class DetectionTest {

  private static final long SEED = 31;

  /// Figures simulated apart from this code, alpha 0.001.
  @ParameterizedTest(name = "limit {0}, true rate {1}: median {2}, 95 % within {3}")
  @CsvSource({
    "0.005, 0.01, 5218, 9670",
    "0.005, 0.02,  638, 1481",
    "0.005, 0.05,  110,  282",
    "0.005, 0.50,    5,   10",
    "0.005, 1.00,    2,    2",
    "0.01,  0.05,  196,  463",
    "0.01,  0.50,    5,   13",
  })
  void aBadCandidateIsStoppedAsSoonAsSimulated(double limit, double rate, double median, double p95) {
    BoundaryTable table = BoundaryTableTest.table(limit, 1e-3);
    SplittableRandom random = new SplittableRandom(SEED);
    long[] stopped = new long[4000];
    for (int run = 0; run < stopped.length; run++) {
      long events = 0;
      long bad = 0;
      do {
        events += gap(random, rate);
        bad++;
      } while (!table.isCrossed(events, bad));
      stopped[run] = events;
    }
    Arrays.sort(stopped);
    System.out.printf(
        "detection, limit %s, true %s: median %d, p95 %d events%n",
        limit, rate, stopped[stopped.length / 2], stopped[stopped.length * 95 / 100]);
    assertThat((double) stopped[stopped.length / 2])
        .as("median, seed %d", SEED).isCloseTo(median, within(Math.max(2, 0.06 * median)));
    assertThat((double) stopped[stopped.length * 95 / 100])
        .as("95th percentile, seed %d", SEED).isCloseTo(p95, within(Math.max(2, 0.08 * p95)));
  }

  /// Not simulated but computed: the whole distribution of S is carried along, event by event.
  @ParameterizedTest(name = "limit {0}, true rate {1}, alpha {2}")
  @CsvSource({
    "0.01,  0.01,  0.001, 100000",
    "0.005, 0.005, 0.001, 100000",
    "0.005, 0.001, 0.001, 100000",
    "0.05,  0.05,  0.001,  20000",
    "0.01,  0.01,  0.05,  100000",
    "0.05,  0.05,  0.05,   20000",
    "0.5,   0.5,   0.05,    1500",
  })
  void theExactChanceOfAFalseAlarmIsAtMostAlpha(double limit, double rate, double alpha, int events) {
    double chance = chanceOfAlarm(BoundaryTableTest.table(limit, alpha), rate, events);
    System.out.printf(
        "exact false alarm, limit %s, true %s, alpha %s, %d events: %.3g%n", limit, rate, alpha, events, chance);
    assertThat(chance).isLessThanOrEqualTo(alpha);
    if (rate == limit) {
      assertThat(chance).as("at the limit the bound is nearly used up").isGreaterThan(alpha / 5);
    }
  }

  @Test
  void aRateAboveTheLimitIsAlmostSurelyAnAlarm() {
    assertThat(chanceOfAlarm(BoundaryTableTest.table(0.01, 1e-3), 0.02, 20_000)).isGreaterThan(0.999);
  }

  @Test
  void ratesThatDriftOrDependOnThePastBelowTheLimitRaiseNoMoreAlarms() {
    countAlarmsOfLegalRates(4_000, 20_000);
  }

  @Tag("long")
  @Test
  void ratesThatDriftOrDependOnThePastBelowTheLimitRaiseNoMoreAlarmsOverManySeeds() {
    countAlarmsOfLegalRates(100_000, 20_000);
  }

  private static void countAlarmsOfLegalRates(int runs, int events) {
    double limit = 0.02;
    double alpha = 0.05;
    BoundaryTable table = BoundaryTableTest.table(limit, alpha);
    for (Drift drift : Drift.values()) {
      int alarms = 0;
      for (int run = 0; run < runs; run++) {
        SplittableRandom random = new SplittableRandom(SEED * 1_000_003 + run);
        long bad = 0;
        boolean lastWasBad = false;
        for (int n = 1; n <= events; n++) {
          lastWasBad = random.nextDouble() < limit * drift.shareOfLimit(n, lastWasBad, bad);
          if (lastWasBad && table.isCrossed(n, ++bad)) {
            alarms++;
            break;
          }
        }
      }
      int most = Chance.mostOf(runs, alpha);
      System.out.printf("false alarms, %s: %d of %d, at most %d at alpha %s%n", drift, alarms, runs, most, alpha);
      assertThat(alarms).as("%s, seeds from %d", drift, SEED * 1_000_003).isLessThanOrEqualTo(most);
    }
  }

  private enum Drift {
    AT_THE_LIMIT, WAVES, BAD_IN_A_ROW, STOPS_WHEN_AHEAD;

    double shareOfLimit(int n, boolean lastWasBad, long bad) {
      return switch (this) {
        case AT_THE_LIMIT -> 1;
        case WAVES -> 0.5 + 0.5 * Math.sin(n / 700.0);
        case BAD_IN_A_ROW -> lastWasBad ? 1 : 0.9;
        case STOPS_WHEN_AHEAD -> bad > 0.02 * n ? 1 : 0.3;
      };
    }
  }

  /// Events up to and including the next bad one.
  private static long gap(SplittableRandom random, double rate) {
    return rate == 1 ? 1 : 1 + (long) (Math.log1p(-random.nextDouble()) / Math.log1p(-rate));
  }

  private static double chanceOfAlarm(BoundaryTable table, double rate, int events) {
    int badMax = (int) (events * rate + 12 * Math.sqrt(events * rate) + 50);
    long[] boundaries = new long[badMax + 1];
    for (int bad = 0; bad <= badMax; bad++) {
      boundaries[bad] = table.boundary(bad);
    }
    double[] chanceOfBad = new double[badMax + 1];
    chanceOfBad[0] = 1;
    int least = 0;
    int most = 0;
    double alarm = 0;
    for (int n = 1; n <= events; n++) {
      most = Math.min(most + 1, badMax);
      for (int bad = most; bad >= least; bad--) {
        double arriving = bad == 0 ? 0 : chanceOfBad[bad - 1] * rate;
        if (n <= boundaries[bad]) {
          alarm += arriving;
          arriving = 0;
        }
        chanceOfBad[bad] = chanceOfBad[bad] * (1 - rate) + arriving;
      }
      while (least < most && chanceOfBad[least] < 1e-20) {
        chanceOfBad[least++] = 0;
      }
      while (most > least && chanceOfBad[most] < 1e-20) {
        chanceOfBad[most--] = 0;
      }
    }
    return alarm;
  }
}
