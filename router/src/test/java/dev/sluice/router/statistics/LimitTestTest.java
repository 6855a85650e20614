package dev.sluice.router.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class LimitTestTest {

  private static final double[] LIMITS = {1e-4, 0.005, 0.01, 0.05, 0.25, 0.5};
  private static final double START = LimitTest.SCHEDULE.atFirst();

  /// However the updates are cut: bad events reported at once or after many later dispatches, good ones one by one or in heaps.
  @Test
  void thePlainPartIsTheMixtureOfLikelihoodRatiosWhateverTheOrderOfUpdates() {
    long seed = 11;
    SplittableRandom random = new SplittableRandom(seed);
    for (int run = 0; run < 3000; run++) {
      double limit = LIMITS[run % LIMITS.length];
      LimitTest test = new LimitTest(limit);
      double[] state = begun(test);
      int events = 0;
      int bad = 0;
      for (int step = 0; step < 30; step++) {
        events += random.nextInt(8);
        if (random.nextBoolean() && bad < events) {
          bad++;
          test.bad(state, 0, events, 0);
        } else {
          test.catchUp(state, 0, events);
        }
      }
      double expected = START * mixture(limit, events, bad) + 1 - START;
      assertThat(test.evidence(state, 0))
          .as("seed %d, run %d, limit %s, %d bad among %d", seed, run, limit, bad, events)
          .isCloseTo(expected, relative(expected, 1e-10));
    }
  }

  @Test
  void noEventsAreNoEvidence() {
    for (double limit : LIMITS) {
      LimitTest test = new LimitTest(limit);
      assertThat(test.evidence(begun(test), 0)).isCloseTo(1, within(1e-12));
    }
  }

  @Test
  void aStateMayLieAnywhereAndNothingAroundItIsTouched() {
    LimitTest test = new LimitTest(0.01);
    double[] memory = new double[test.size() + 20];
    Arrays.fill(memory, -7);
    double[] alone = begun(test);
    test.begin(memory, 10);
    for (int i = 1; i <= 500; i++) {
      if (i % 9 == 0) {
        test.bad(memory, 10, i, i / 64);
        test.bad(alone, 0, i, i / 64);
      }
      if (i % 64 == 0) {
        test.restart(memory, 10, i, i / 64);
        test.restart(alone, 0, i, i / 64);
      }
    }
    assertThat(test.evidence(memory, 10)).isEqualTo(test.evidence(alone, 0)).isGreaterThan(1);
    for (int i = 0; i < 10; i++) {
      assertThat(memory[i]).isEqualTo(-7);
      assertThat(memory[memory.length - 1 - i]).isEqualTo(-7);
    }
  }

  /// The property the bound rests on, restarts included: at the limit the mean of the next evidence is the evidence now, below
  /// the limit it is less.
  @Test
  void evidenceIsAMartingaleAtTheLimitAndFallsOnAverageBelowIt() {
    long seed = 5;
    SplittableRandom random = new SplittableRandom(seed);
    for (double limit : LIMITS) {
      LimitTest test = new LimitTest(limit);
      double[] state = begun(test);
      long restarts = 0;
      for (int events = 0; events < 1500; events++) {
        if (events % 64 == 63) {
          double before = test.evidence(state, 0);
          test.restart(state, 0, events, ++restarts);
          assertThat(test.evidence(state, 0)).as("a restart").isCloseTo(before, relative(before, 1e-12));
        }
        double[] ifBad = state.clone();
        double[] ifGood = state.clone();
        test.bad(ifBad, 0, events + 1, restarts);
        test.catchUp(ifGood, 0, events + 1);
        double now = test.evidence(state, 0);
        double bad = test.evidence(ifBad, 0);
        double good = test.evidence(ifGood, 0);
        assertThat(limit * bad + (1 - limit) * good).as("seed %d, limit %s", seed, limit).isCloseTo(now, relative(now, 1e-9));
        assertThat(0.8 * limit * bad + (1 - 0.8 * limit) * good).isLessThan(now);
        state = random.nextDouble() < limit ? ifBad : ifGood;
      }
    }
  }

  @Test
  void moreEventsAreLessEvidenceAndMoreBadOnesMore() {
    long seed = 7;
    SplittableRandom random = new SplittableRandom(seed);
    for (int run = 0; run < 5000; run++) {
      LimitTest test = new LimitTest(LIMITS[run % LIMITS.length]);
      double[] state = begun(test);
      long events = random.nextLong(1, 30);
      test.catchUp(state, 0, events);
      for (int i = 0; i < 3 && i < events; i++) {
        test.bad(state, 0, events, 0);
      }
      double now = test.evidence(state, 0);
      double[] more = state.clone();
      test.catchUp(more, 0, events + 1);
      assertThat(test.evidence(more, 0)).as("seed %d, run %d", seed, run).isLessThan(now);
      test.bad(more, 0, events + 1, 0);
      assertThat(test.evidence(more, 0)).as("seed %d, run %d", seed, run).isGreaterThan(now);
    }
  }

  @Test
  void aCountThatFallsBehindIsNotBelieved() {
    LimitTest test = new LimitTest(0.01);
    double[] state = begun(test);
    test.bad(state, 0, 100, 0);
    double[] same = state.clone();
    test.catchUp(state, 0, 40);
    assertThat(state).isEqualTo(same);
    test.bad(state, 0, 40, 0);
    test.bad(same, 0, 100, 0);
    assertThat(state).isEqualTo(same);
  }

  /// More bad events than events cannot be; the events are believed to be at least as many.
  @Test
  void badEventsCountAsEventsEvenWhereTheCallerCountedNone() {
    LimitTest test = new LimitTest(0.01);
    double[] state = begun(test);
    for (int i = 0; i < 3; i++) {
      test.bad(state, 0, 0, 0);
    }
    assertThat(test.evidence(state, 0)).isCloseTo(START * mixture(0.01, 3, 3) + 1 - START, within(1e-3));
  }

  // --- generations --------------------------------------------------------------------------------------------------

  @Test
  void aFailureCountsOnlyForBetsThatBeganBeforeItsRequestWasDispatched() {
    LimitTest test = new LimitTest(0.01);
    double[] state = begun(test);
    test.restart(state, 0, 64, 1);
    test.restart(state, 0, 128, 2);
    test.restart(state, 0, 192, 3);
    test.catchUp(state, 0, 200);
    double[] gains = new double[4];
    for (int generation = 0; generation <= 3; generation++) {
      double[] after = state.clone();
      test.bad(after, 0, 200, generation);
      gains[generation] = test.evidence(after, 0) - test.evidence(state, 0);
    }
    assertThat(gains[0]).as("before the first restart: only the bets from the first event on").isPositive();
    assertThat(gains[1]).as("two restarts ago: not for all of the mature bets, so for none").isEqualTo(gains[0]);
    assertThat(gains[2]).as("one restart ago: for the mature bets").isGreaterThan(gains[1]);
    assertThat(gains[3]).as("since the newest restart: for all").isGreaterThan(gains[2]);
  }

  @Test
  void restartsAreNumberedWithoutGaps() {
    LimitTest test = new LimitTest(0.01);
    double[] state = begun(test);
    test.restart(state, 0, 64, 1);
    assertThatThrownBy(() -> test.restart(state, 0, 128, 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("generation: 3 does not follow 1");
  }

  @Test
  void theStakesOfAllRestartsTogetherAreWhatIsLeft() {
    RestartSchedule schedule = LimitTest.SCHEDULE;
    double sum = 0;
    for (long generation = 1; generation <= 4_000_000; generation++) {
      double mass = schedule.mass(generation);
      assertThat(mass).isPositive();
      sum += mass;
    }
    assertThat(sum).isLessThanOrEqualTo(1 - START).isGreaterThan((1 - START) * 0.999);
  }

  // --- bounds of a double -------------------------------------------------------------------------------------------

  /// The reason why tiny wealth is given up and not floored: ten thousand in flight, of which as many fail as the limit allows.
  @ParameterizedTest
  @ValueSource(doubles = {0.005, 0.01, 0.05, 0.25, 0.5})
  void asManyFailuresAmongThousandsInFlightAsTheLimitAllowsAreNoEvidence(double limit) {
    LimitTest test = new LimitTest(limit);
    double[] state = begun(test);
    int inFlight = 100_000;
    test.restart(state, 0, 1, 1);
    test.catchUp(state, 0, inFlight);
    for (int i = 0; i < limit * inFlight; i++) {
      test.bad(state, 0, inFlight, 1);
      assertThat(test.evidence(state, 0)).isLessThan(2);
    }
  }

  @Test
  void evidenceStaysFiniteWhateverHappens() {
    LimitTest test = new LimitTest(0.0001);
    double[] state = begun(test);
    for (int i = 1; i < 100_000; i++) {
      test.bad(state, 0, i, i / 100);
      if (i % 100 == 0) {
        test.restart(state, 0, i, i / 100);
      }
    }
    assertThat(test.evidence(state, 0)).isFinite().isGreaterThan(1e100);
    test.catchUp(state, 0, Long.MAX_VALUE);
    assertThat(test.evidence(state, 0)).isFinite().isBetween(0.0, 1.0);
  }

  // --- the boundary that people read --------------------------------------------------------------------------------

  @ParameterizedTest(name = "limit {0}, alpha {1}")
  @CsvSource({"0.005, 1e-3", "0.01, 1e-3", "0.01, 1e-6", "0.05, 1e-3", "0.5, 0.05"})
  void theTestFiresAtTheBoundaryAtTheLatestInWhateverOrderTheBadOnesCome(double limit, double alpha) {
    LimitTest test = new LimitTest(limit);
    StringBuilder row = new StringBuilder();
    long before = 0;
    for (int bad = 1; bad <= 100; bad++) {
      long boundary = test.boundary(bad, 1 / alpha);
      row.append(' ').append(boundary);
      assertThat(boundary).isGreaterThanOrEqualTo(before);
      before = boundary;
      if (boundary == 0) {
        continue;
      }
      assertThat(evidenceWithRestarts(test, boundary, bad, true)).as("%d bad first of %d", bad, boundary).isGreaterThanOrEqualTo(1 / alpha);
      assertThat(evidenceWithRestarts(test, boundary, bad, false)).as("%d bad last of %d", bad, boundary).isGreaterThanOrEqualTo(1 / alpha);
      assertThat(START * mixture(limit, boundary + 1, bad)).as("not one event more").isLessThan(1 / alpha);
    }
    System.out.printf("boundary, limit %s, alpha %s:%s%n", limit, alpha, row);
  }

  private static double evidenceWithRestarts(LimitTest test, long events, int bad, boolean badFirst) {
    double[] state = begun(test);
    long restarts = 0;
    double most = 0;
    for (long n = 1; n <= events; n++) {
      if (badFirst ? n <= bad : n > events - bad) {
        test.bad(state, 0, n, restarts);
      } else {
        test.catchUp(state, 0, n);
      }
      most = Math.max(most, test.evidence(state, 0));
      if (n % LimitTest.SPACING == 0) {
        test.restart(state, 0, n, ++restarts);
      }
    }
    return most;
  }

  @Test
  void totalFailureAgainstOnePercentIsStoppedAtTheSecondRequest() {
    LimitTest test = new LimitTest(0.01);
    double[] state = begun(test);
    test.bad(state, 0, 1, 0);
    assertThat(test.evidence(state, 0)).isLessThan(1000);
    test.bad(state, 0, 2, 0);
    assertThat(test.evidence(state, 0)).isGreaterThanOrEqualTo(1000);
    assertThat(test.boundary(2, 1000)).isEqualTo(2);
    assertThat(test.boundary(1, 1000)).isZero();
    assertThat(test.boundary(0, 1000)).isZero();
  }

  @Test
  void aRestartWaitsForThoseInFlight() {
    assertThat(LimitTest.spacing(0)).isEqualTo(LimitTest.SPACING);
    assertThat(LimitTest.spacing(1000)).isEqualTo(1000);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -0.1, 0.500001, 1, Double.NaN, Double.POSITIVE_INFINITY})
  void aLimitWithoutRoomAboveItIsRefused(double limit) {
    assertThatThrownBy(() -> new LimitTest(limit))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("limit: " + limit);
  }

  // --- in general ---------------------------------------------------------------------------------------------------

  private static double mixture(double limit, long events, long bad) {
    double sum = 0;
    for (int k = 0; k < 8; k++) {
      double rate = 1.5 * limit * Math.pow(0.99 / (1.5 * limit), k / 7.0);
      sum += LimitTest.PRIOR[k]
          * Math.exp(bad * Math.log(rate / limit) + (events - bad) * (Math.log1p(-rate) - Math.log1p(-limit)));
    }
    return sum;
  }

  private static double[] begun(LimitTest test) {
    double[] state = new double[test.size()];
    test.begin(state, 0);
    return state;
  }

  private static Offset<Double> relative(double value, double precision) {
    return within(value * precision);
  }
}
