package dev.sluice.router.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// What every e-process promises, and what each of them does with its own kind of observation.
final class EvidenceTest {

  private static final long SEED = 23;

  @Test
  void everyTestBeginsWithEvidenceOneAndStaysInItsPlace() {
    for (EProcess test : List.of(new LimitTest(0.01), new RatioTest(1), new RatioTest(2, RatioTest.LATENCY_FACTORS),
        new SignTest(), new MeanTest(0.02, 0, 1), new ShiftTest(0.5), new BinTest(new double[] {0.3, 1, 0.5}),
        new ShareTest(), new RatioAcceptance(2))) {
      double[] memory = new double[test.size() + 2];
      memory[0] = 3;
      memory[memory.length - 1] = 4;
      test.begin(memory, 1);
      assertThat(test.evidence(memory, 1)).as("%s", test).isCloseTo(1, within(1e-12));
      assertThat(memory[0]).isEqualTo(3);
      assertThat(memory[memory.length - 1]).isEqualTo(4);
      assertThat(test.size() * 8).as("bytes of state, %s", test).isLessThanOrEqualTo(1024);
    }
  }

  // --- ratio --------------------------------------------------------------------------------------------------------

  @Test
  void aFailureIsWeighedByTheOddsThatItWasTheCandidates() {
    double[] factors = {2, 10};
    for (double margin : new double[] {1, 1.5}) {
      for (double share : new double[] {0.001, 0.01, 0.5, 0.99}) {
        RatioTest test = new RatioTest(margin, factors);
        double[] state = begun(test);
        test.add(state, 0, 1, 2, share);
        double idle = state[factors.length];
        double expected = idle;
        for (double factor : factors) {
          expected += (1 - idle) / factors.length
              * theta(margin * factor, share) / theta(margin, share)
              * Math.pow((1 - theta(margin * factor, share)) / (1 - theta(margin, share)), 2);
        }
        assertThat(test.evidence(state, 0)).isCloseTo(expected, within(expected * 1e-12));
      }
    }
  }

  private static double theta(double ratio, double share) {
    return share * ratio / (share * ratio + 1 - share);
  }

  @ParameterizedTest(name = "margin {0}, share {1}")
  @CsvSource({"1, 0.01", "2, 0.1", "1.5, 0.5"})
  void atTheMarginTheNextEvidenceIsOnAverageTheOneNow(double margin, double share) {
    RatioTest stop = new RatioTest(margin);
    RatioAcceptance accept = new RatioAcceptance(margin);
    double[] state = begun(stop);
    double[] accepting = begun(accept);
    SplittableRandom random = new SplittableRandom(SEED);
    for (int i = 0; i < 300; i++) {
      double theta = theta(margin, share);
      double[] ifCandidate = state.clone();
      double[] ifBaseline = state.clone();
      stop.add(ifCandidate, 0, 1, 0, share);
      stop.add(ifBaseline, 0, 0, 1, share);
      double now = stop.evidence(state, 0);
      double candidate = stop.evidence(ifCandidate, 0);
      double baseline = stop.evidence(ifBaseline, 0);
      assertThat(theta * candidate + (1 - theta) * baseline).as("seed %d", SEED).isCloseTo(now, within(now * 1e-9));
      assertThat(0.9 * theta * candidate + (1 - 0.9 * theta) * baseline).isLessThanOrEqualTo(now);
      double[] betterIfCandidate = accepting.clone();
      double[] betterIfBaseline = accepting.clone();
      accept.add(betterIfCandidate, 0, 1, 0, share);
      accept.add(betterIfBaseline, 0, 0, 1, share);
      double nowAccepting = accept.evidence(accepting, 0);
      double less = accept.evidence(betterIfCandidate, 0);
      double more = accept.evidence(betterIfBaseline, 0);
      assertThat(theta * less + (1 - theta) * more).isCloseTo(nowAccepting, within(nowAccepting * 1e-9));
      assertThat(1.05 * theta * less + (1 - 1.05 * theta) * more).isLessThanOrEqualTo(nowAccepting);
      boolean isCandidate = random.nextDouble() < theta;
      state = isCandidate ? ifCandidate : ifBaseline;
      accepting = isCandidate ? betterIfCandidate : betterIfBaseline;
    }
  }

  @Test
  void aSliceIsWorthAsMuchAsItsEventsOneByOne() {
    RatioAcceptance test = new RatioAcceptance(2);
    for (int events : new int[] {2, 3, 16, 63, 64, 65, 400}) {
      double[] slice = begun(test);
      double[] single = begun(test);
      test.add(slice, 0, events / 3, events - events / 3, 0.2);
      for (int i = 0; i < events; i++) {
        test.add(single, 0, i % 3 == 2 ? 1 : 0, i % 3 == 2 ? 0 : 1, 0.2);
      }
      double expected = test.evidence(single, 0);
      assertThat(test.evidence(slice, 0)).as("%d events", events).isCloseTo(expected, within(expected * 1e-9));
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 1, -1, 2, Double.NaN})
  void aShareThatLeavesNoChoiceTeachesNothing(double share) {
    RatioTest test = new RatioTest(1);
    double[] state = begun(test);
    double[] before = state.clone();
    test.add(state, 0, 5, 5, share);
    test.add(state, 0, 0, 0, 0.5);
    assertThat(state).isEqualTo(before);
  }

  @Test
  void hugeSlicesStayWithinTheBoundsOfADouble() {
    RatioTest test = new RatioTest(1);
    double[] state = begun(test);
    test.add(state, 0, 1_000_000_000L, 0, 0.001);
    assertThat(test.evidence(state, 0)).isFinite().isGreaterThan(1e100);
    test.add(state, 0, 0, 1_000_000_000_000L, 0.001);
    assertThat(test.evidence(state, 0)).isFinite().isBetween(0.0, 1.0);
    test.add(state, 0, 1_000_000_000L, 1_000_000_000L, 0.5);
    assertThat(test.evidence(state, 0)).isFinite().isBetween(0.0, 1.0);
  }

  @Test
  void whatCannotBeARatioIsRefused() {
    assertThatThrownBy(() -> new RatioTest(0.9)).hasMessageContaining("margin: 0.9");
    assertThatThrownBy(() -> new RatioTest(Double.NaN)).hasMessageContaining("margin: NaN");
    assertThatThrownBy(() -> new RatioTest(1, new double[0])).hasMessageContaining("factors: none");
    assertThatThrownBy(() -> new RatioTest(1, new double[] {2, 1})).hasMessageContaining("factors: 1.0");
    assertThatThrownBy(() -> new RatioAcceptance(0.5)).hasMessageContaining("margin: 0.5");
    RatioTest test = new RatioTest(1);
    assertThatThrownBy(() -> test.add(begun(test), 0, -1, 0, 0.5)).hasMessageContaining("-1 of the candidate");
  }

  // --- means and shifts ---------------------------------------------------------------------------------------------

  @Test
  void theMeanBetIsFairAtTheLimitAndNeverLosesMoreThanItsStake() {
    MeanTest test = new MeanTest(0.3, -1, 2);
    double[] state = begun(test);
    for (int i = 0; i < 200; i++) {
      double[] low = state.clone();
      double[] high = state.clone();
      test.add(low, 0, -1);
      test.add(high, 0, 2);
      double now = test.evidence(state, 0);
      double chanceOfHigh = 1.3 / 3;
      assertThat(chanceOfHigh * test.evidence(high, 0) + (1 - chanceOfHigh) * test.evidence(low, 0))
          .isCloseTo(now, within(now * 1e-9));
      assertThat(test.evidence(low, 0)).isNotNegative();
      state = i % 3 == 0 ? high : low;
    }
  }

  @Test
  void valuesOutsideAreClampedAndNoNumberIsNoValue() {
    MeanTest test = new MeanTest(0.02, 0, 1);
    double[] inside = begun(test);
    double[] outside = begun(test);
    test.add(inside, 0, 1);
    test.add(inside, 0, 0);
    test.add(outside, 0, Double.POSITIVE_INFINITY);
    test.add(outside, 0, -5);
    test.add(outside, 0, Double.NaN);
    assertThat(outside).isEqualTo(inside);
    ShiftTest shift = new ShiftTest(0.5);
    double[] clipped = begun(shift);
    double[] far = begun(shift);
    shift.add(clipped, 0, -4);
    shift.add(far, 0, -1e9);
    shift.add(far, 0, Double.NaN);
    assertThat(far).isEqualTo(clipped);
  }

  @Test
  void aShiftUpIsAsMuchEvidenceAsTheSameShiftDown() {
    ShiftTest test = new ShiftTest(0.25);
    double[] up = begun(test);
    double[] down = begun(test);
    SplittableRandom random = new SplittableRandom(SEED);
    for (int i = 0; i < 500; i++) {
      double z = 0.5 + random.nextGaussian();
      test.add(up, 0, z);
      test.add(down, 0, -z);
    }
    double expected = test.evidence(up, 0);
    assertThat(test.evidence(down, 0)).isCloseTo(expected, within(expected * 1e-9));
    assertThat(expected).isGreaterThan(1);
  }

  @Test
  void limitsThatLeaveNoRoomAreRefused() {
    assertThatThrownBy(() -> new MeanTest(0, 0, 1)).hasMessageContaining("limit: 0.0 is not between low 0.0 and high 1.0");
    assertThatThrownBy(() -> new MeanTest(1, 0, 1)).hasMessageContaining("limit: 1.0");
    assertThatThrownBy(() -> new MeanTest(Double.NaN, 0, 1)).hasMessageContaining("limit: NaN");
    assertThatThrownBy(() -> new MeanTest(0, Double.NEGATIVE_INFINITY, 1)).hasMessageContaining("low -Infinity");
    assertThatThrownBy(() -> new ShiftTest(-0.1)).hasMessageContaining("tolerance: -0.1");
    assertThatThrownBy(() -> new ShiftTest(4)).hasMessageContaining("tolerance: 4.0");
  }

  // --- bins and shares ----------------------------------------------------------------------------------------------

  @Test
  void eachBinIsFairAtItsLimit() {
    double[] limits = {0.2, 1.5, 0.7};
    BinTest test = new BinTest(limits);
    double[] state = begun(test);
    for (int i = 0; i < 300; i++) {
      double now = test.evidence(state, 0);
      double mean = 0;
      double[] chances = {0.2, 0.1, 0.7};
      for (int bin = 0; bin < 3; bin++) {
        double[] next = state.clone();
        test.add(next, 0, bin);
        mean += chances[bin] * test.evidence(next, 0);
      }
      assertThat(mean).isCloseTo(now, within(now * 1e-9));
      test.add(state, 0, i % 3);
    }
  }

  @Test
  void binsThatDoNotExistAreRefused() {
    BinTest test = new BinTest(new double[] {0.5, 1});
    assertThatThrownBy(() -> test.add(begun(test), 0, 2)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> test.add(begun(test), 0, -1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> new BinTest(new double[] {0.5, 0})).hasMessageContaining("limits[1]: 0.0 is not above 0");
    assertThatThrownBy(() -> new BinTest(new double[] {0.5, Double.NaN})).hasMessageContaining("limits[1]: NaN");
    assertThatThrownBy(() -> new BinTest(new double[] {1, 2})).hasMessageContaining("no bin with a limit below 1");
    assertThatThrownBy(() -> new BinTest(new double[0])).hasMessageContaining("no bin");
  }

  @Test
  void aShareIsFairWhateverItIs() {
    ShareTest test = new ShareTest();
    double[] state = begun(test);
    SplittableRandom random = new SplittableRandom(SEED);
    for (int i = 0; i < 1000; i++) {
      double share = random.nextDouble();
      double[] candidate = state.clone();
      double[] baseline = state.clone();
      test.add(candidate, 0, true, share);
      test.add(baseline, 0, false, share);
      double now = test.evidence(state, 0);
      assertThat(share * test.evidence(candidate, 0) + (1 - share) * test.evidence(baseline, 0))
          .isCloseTo(now, within(now * 1e-9));
      state = random.nextDouble() < share ? candidate : baseline;
    }
  }

  // --- promotion ----------------------------------------------------------------------------------------------------

  @Test
  void asManyAsNeededSufficeAndOneLessDoesNot() {
    for (double limit : new double[] {0.0001, 0.005, 0.01, 0.2, 0.9}) {
      LimitAcceptance test = new LimitAcceptance(limit);
      long before = 0;
      for (long bad = 0; bad < 40; bad++) {
        long needed = test.completedNeeded(bad, 20);
        assertThat(test.evidence(needed, bad)).isGreaterThanOrEqualTo(20 * (1 - 1e-12));
        assertThat(test.evidence(needed - 1, bad)).isLessThan(20);
        assertThat(needed).isGreaterThan(before);
        before = needed;
      }
    }
  }

  @Test
  void acceptanceIsFairAtTheLimitAndPendingIsNotEvidence() {
    LimitAcceptance test = new LimitAcceptance(0.01);
    assertThat(test.evidence(0, 0)).isCloseTo(1, within(1e-12));
    for (int events = 0; events < 500; events += 9) {
      for (int bad = 0; bad <= Math.min(events, 5); bad++) {
        double now = test.evidence(events, bad);
        double ifBad = test.evidence(events + 1, bad + 1);
        double ifGood = test.evidence(events + 1, bad);
        assertThat(0.01 * ifBad + 0.99 * ifGood).isCloseTo(now, within(now * 1e-9));
        assertThat(0.02 * ifBad + 0.98 * ifGood).isLessThan(now);
      }
    }
    assertThat(test.evidence(Long.MAX_VALUE / 2, 0)).isFinite().isGreaterThan(1e199);
    assertThat(test.evidence(1_000_000, 1_000_000)).isNotNegative();
  }

  @Test
  void whatCannotBeAcceptedIsRefused() {
    assertThatThrownBy(() -> new LimitAcceptance(0)).hasMessageContaining("limit: 0.0");
    assertThatThrownBy(() -> new LimitAcceptance(1)).hasMessageContaining("limit: 1.0");
    LimitAcceptance test = new LimitAcceptance(0.01);
    assertThatThrownBy(() -> test.evidence(3, 4)).hasMessageContaining("bad: 4 is not between 0 and the 3 completed");
    assertThatThrownBy(() -> test.completedNeeded(-1, 20)).hasMessageContaining("bad: -1");
    assertThatThrownBy(() -> test.completedNeeded(1, 1)).hasMessageContaining("threshold: 1.0");
  }

  private static double[] begun(EProcess test) {
    double[] state = new double[test.size()];
    test.begin(state, 0);
    return state;
  }
}
