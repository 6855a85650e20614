package dev.sluice.router.ledger;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Plan;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.simulation.Chance;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Calibration;
import dev.sluice.router.stop.StopRule.Cap;
import dev.sluice.router.stop.StopRule.Cap.Bounded;
import dev.sluice.router.stop.StopRule.Crash;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.MeanDrift;
import dev.sluice.router.stop.StopRule.SampleRatio;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.LongPredicate;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/// Each way in which honest traffic can make a healthy candidate look bad, with the guard against it and without. That counting
/// at completion is one of them is shown by [InFlightTest], that many attempts spend one budget by
/// [dev.sluice.router.stop.ArmedRulesTest].
final class TrapsTest {

  private static final long SEED = 211;
  private static final double ALPHA = 0.001;
  private static final int RUNS = 200;

  /// Ten thousand callers, few of whom send most requests; one in a hundred of them always fails, whoever answers.
  @Test
  void aCallerWhoAlwaysFailsIsOnePieceOfEvidence() {
    assertThat(alarms(seed -> failingCallers(seed, true))).as("first failures").isLessThanOrEqualTo(Chance.mostOf(RUNS, ALPHA));
    assertThat(alarms(seed -> failingCallers(seed, false))).as("every failure").isGreaterThan(RUNS / 20);
  }

  private static boolean failingCallers(long seed, boolean keyed) {
    SplittableRandom random = new SplittableRandom(seed);
    Side side = new Side(ByHand.CALL_MILLIS_MAX, new ErrorRatio(1, Scope.OVERALL));
    long salt = random.nextLong();
    for (int i = 0; i < 30_000 && !side.isStopped(); i++) {
      int key = (int) Math.pow(10_000, random.nextDouble());
      long hash = new SplittableRandom(salt + key).nextLong();
      boolean fails = new SplittableRandom(salt - key).nextInt(100) == 0;
      Variant variant = Long.remainderUnsigned(hash, 10) == 0 ? Variant.CANDIDATE : Variant.BASELINE;
      if (fails) {
        side.failed(variant, 1_000, keyed ? hash : Assignment.NO_KEY, 0);
      }
      side.pass(1);
    }
    return side.isStopped();
  }

  /// The candidate's failures return at once, the baseline's only after most of the time that a call may take.
  @Test
  void whoFailsFasterDoesNotFailMoreOften() {
    assertThat(alarms(seed -> fasterFailures(seed, 1_000))).as("slices").isLessThanOrEqualTo(Chance.mostOf(RUNS, ALPHA));
    assertThat(alarms(seed -> fasterFailures(seed, 4))).as("slices that do not wait").isGreaterThan(RUNS / 2);
  }

  private static boolean fasterFailures(long seed, long callMillisMax) {
    SplittableRandom random = new SplittableRandom(seed);
    Side side = new Side(callMillisMax, new ErrorRatio(1, Scope.OVERALL));
    int late = 900;
    boolean[] baselineFails = new boolean[3_000];
    for (int i = 0; i < baselineFails.length && !side.isStopped(); i++) {
      boolean candidate = random.nextInt(10) == 0;
      boolean fails = random.nextInt(5) == 0;
      if (fails && candidate) {
        side.failed(Variant.CANDIDATE, 1_000, Assignment.NO_KEY, 0);
      }
      baselineFails[i] = fails && !candidate;
      if (i >= late && baselineFails[i - late]) {
        side.failed(Variant.BASELINE, 1_000, Assignment.NO_KEY, late);
      }
      side.pass(1);
    }
    return side.isStopped();
  }

  /// The weight rises from 1 % to 50 %.
  @Test
  void eachRequestIsWeighedWithItsOwnShare() {
    assertThat(alarms(seed -> risingWeight(seed, true))).as("its own").isLessThanOrEqualTo(Chance.mostOf(RUNS, ALPHA));
    assertThat(alarms(seed -> risingWeight(seed, false))).as("the first one").isGreaterThan(RUNS / 2);
  }

  private static boolean risingWeight(long seed, boolean own) {
    SplittableRandom random = new SplittableRandom(seed);
    Side side = new Side(ByHand.CALL_MILLIS_MAX, new ErrorRatio(1, Scope.OVERALL));
    for (int i = 0; i < 6_000 && !side.isStopped(); i++) {
      int share = i < 3_000 ? 100 : 5_000;
      Variant variant = random.nextInt(Exposure.ALL) < share ? Variant.CANDIDATE : Variant.BASELINE;
      if (random.nextInt(50) == 0) {
        side.failed(variant, own ? share : 100, Assignment.NO_KEY, 0);
      }
      side.pass(1);
    }
    return side.isStopped();
  }

  /// Requests come in waves of a thousand, and the failures of a wave when all of it is on its way. A test that began afresh in
  /// between must not count failures whose requests it has not counted.
  @Test
  void aFailureCountsOnlyForTestsThatHaveCountedItsRequest() {
    assertThat(alarms(seed -> waves(seed, true))).as("with tickets").isLessThanOrEqualTo(Chance.mostOf(RUNS, ALPHA));
    assertThat(alarms(seed -> waves(seed, false))).as("without").isGreaterThan(RUNS / 20);
  }

  private static boolean waves(long seed, boolean tickets) {
    SplittableRandom random = new SplittableRandom(seed);
    ByHand hand = new ByHand(new ErrorRate(0.01, Scope.OVERALL));
    for (int wave = 0; wave < 30 && hand.ledger.trip() == null; wave++) {
      Assignment[] requests = new Assignment[1_000];
      for (int i = 0; i < requests.length; i++) {
        requests[i] = hand.live(0);
      }
      for (Assignment request : requests) {
        if (random.nextInt(100) == 0) {
          hand.failed(tickets ? request : request.dispatched(hand.ledger.ticket(0)));
        }
      }
    }
    return hand.ledger.trip() != null;
  }

  /// One burst of late failures must not put an end to restarts, or nobody would notice what goes wrong later.
  @Test
  void aBurstOfLateFailuresDoesNotMakeTheTestsDeaf() {
    ByHand hand = new ByHand(new ErrorRate(0.1, Scope.OVERALL));
    Assignment[] late = new Assignment[40];
    for (int i = 0; i < late.length; i++) {
      late[i] = hand.live(0);
    }
    for (int i = 0; i < 2_000; i++) {
      hand.live(0);
    }
    for (Assignment request : late) {
      assertThat(hand.failed(request)).isNull();
    }
    long before = hand.ledger.ticket(0) & 0xFFFF_FFFFL;
    for (int i = 0; i < 2_000; i++) {
      hand.live(0);
    }
    assertThat((hand.ledger.ticket(0) & 0xFFFF_FFFFL) - before).as("restarts in 2000 requests").isGreaterThanOrEqualTo(10);
  }

  @Test
  void aSegmentThatIsFoundOnTheWayIsJudgedByWhatComesAfterwards() {
    Segments segments = new Segments(List.of(SegmentRule.parse("country=DE")), new Segments.Discovery("tenant", 2));
    ByHand hand = new ByHand(ByHand.plan(segments, new ErrorRate(0.01, Scope.EACH)));
    int before = segment(hand, "acme");
    assertThat(before).as("other").isEqualTo(1);
    hand.failed(hand.live(before));
    int after = segment(hand, "acme");
    assertThat(after).isEqualTo(2);
    assertThat(hand.ledger.segmentName(after)).isEqualTo("tenant=acme");
    assertThat(hand.ledger.events(0, after)).as("what had made it known is not held against it").isZero();
    assertThat(hand.ledger.bad(0, after)).isZero();
    segment(hand, "b");
    segment(hand, "c");
    assertThat(segment(hand, "b")).isEqualTo(3);
    assertThat(segment(hand, "c")).as("there is no room for more").isEqualTo(1);
  }

  private static int segment(ByHand hand, String tenant) {
    return hand.ledger.segmentOf(attribute -> attribute.equals("tenant") ? tenant : null, hand.nowMillis);
  }

  /// Evidence of labels and of arrivals comes in at its own time: neither may help the other over its threshold.
  @Test
  void evidenceOfDifferentClocksIsNotAddedUp() {
    StopRule cost = new MeanCost(10_000_000, 100_000_000, Scope.OVERALL);
    StopRule labels = new Calibration(0.02, Scope.OVERALL);
    ByHand alone = new ByHand(ByHand.plan(ByHand.NO_SEGMENTS, cost, labels));
    Assignment request = alone.live(0);
    int enough = 0;
    while (alone.record(new Observation.Answered(request, Variant.CANDIDATE, false, 60_000_000)) == null) {
      enough++;
    }
    ByHand both = new ByHand(ByHand.plan(ByHand.NO_SEGMENTS, cost, labels));
    for (int i = 0; i < enough; i++) {
      assertThat(both.record(new Observation.Answered(request, Variant.CANDIDATE, false, 60_000_000))).isNull();
    }
    // One label alone is far from enough, and what has been heard of costs does not count for it.
    assertThat(both.record(new Observation.Labelled(request, 1))).isNull();
    assertThat(both.record(new Observation.Labelled(request, 1))).isNull();
    assertThat(both.record(new Observation.Answered(request, Variant.CANDIDATE, false, 60_000_000))).isNotNull();
  }

  // --- the world, and the routing ---------------------------------------------------------------------------------------

  @Test
  void driftOfTheCandidateAloneStopsAndDriftOfBothHolds() {
    int stopped = 0;
    int held = 0;
    for (long seed = SEED; seed < SEED + 50; seed++) {
      ByHand alone = drifting(seed, 0, 1.5, 5);
      assertThat(alone.ledger.trip()).as("seed %d", seed).isNotNull();
      ByHand both = drifting(seed, 1.5, 1.5, 10);
      stopped += both.ledger.trip() == null ? 0 : 1;
      held += both.ledger.holding().isEmpty() ? 0 : 1;
    }
    assertThat(stopped).as("of 50 releases while the world drifted").isLessThanOrEqualTo(1);
    assertThat(held).isGreaterThanOrEqualTo(49);
  }

  /// When the candidate answers everybody there is nobody left to tell its drift from the world's.
  @Test
  void driftWithoutABaselineToCompareWithHolds() {
    ByHand promoted = drifting(SEED, 0, 1.5, 1);
    assertThat(promoted.ledger.trip()).isNull();
    assertThat(promoted.ledger.holding()).hasSize(1);
  }

  /// @param oneIn so many requests are the candidate's
  private static ByHand drifting(long seed, double baseline, double candidate, int oneIn) {
    SplittableRandom random = new SplittableRandom(seed);
    ByHand hand = new ByHand(new MeanDrift(new Feature("age", true, 0), 40, 12, 0.5));
    for (int i = 0; i < 3_000 && hand.ledger.trip() == null; i++) {
      Variant variant = i % oneIn == 0 ? Variant.CANDIDATE : Variant.BASELINE;
      double shift = variant == Variant.CANDIDATE ? candidate : baseline;
      Assignment request = hand.assigned(variant, 0, Assignment.NO_KEY);
      hand.record(new Observation.Measured(request, variant, 0, shift + random.nextGaussian()));
    }
    return hand;
  }

  @Test
  void requestsThatReachTheCandidateTooSeldomHoldTheRollout() {
    SplittableRandom random = new SplittableRandom(SEED);
    for (int actual : new int[] {2_000, 1_000}) {
      ByHand hand = new ByHand(new SampleRatio());
      for (int i = 0; i < 5_000; i++) {
        Variant variant = random.nextInt(Exposure.ALL) < actual ? Variant.CANDIDATE : Variant.BASELINE;
        hand.ledger.assigned(hand.assigned(variant, 0, Assignment.NO_KEY), hand.nowMillis);
      }
      assertThat(hand.ledger.holding()).as("%d instead of 2000 basis points", actual).hasSize(actual == 2_000 ? 0 : 1);
      assertThat(hand.ledger.trip()).isNull();
    }
  }

  // --- hard bounds --------------------------------------------------------------------------------------------------------

  @Test
  void theRequestAfterTheLastOneNeverReachesTheCandidate() {
    ByHand hand = new ByHand(new Cap(Bounded.REQUESTS, 100));
    for (int i = 0; i < 100; i++) {
      assertThat(hand.ledger.assigned(hand.assigned(Variant.CANDIDATE, 0, i + 1), hand.nowMillis)).as("request %d", i).isTrue();
      assertThat(hand.ledger.capped(hand.nowMillis)).isNull();
    }
    assertThat(hand.ledger.assigned(hand.assigned(Variant.BASELINE, 0, 1), hand.nowMillis)).as("the baseline's").isTrue();
    assertThat(hand.ledger.assigned(hand.assigned(Variant.CANDIDATE, 0, 1), hand.nowMillis)).isFalse();
    assertThat(requireNonNull(hand.ledger.capped(hand.nowMillis)).rule()).isZero();
    assertThat(Exposure.isFlipped(hand.ledger.exposure())).isTrue();
    assertThat(hand.ledger.replay().identical()).isTrue();
  }

  @Test
  void aBoundCountsFromTheStepsBeginning() {
    ByHand hand = new ByHand(new Cap(Bounded.REQUESTS, 10));
    for (int step = 0; step < 5; step++) {
      for (int i = 0; i < 10; i++) {
        assertThat(hand.ledger.assigned(hand.assigned(Variant.CANDIDATE, 0, i + 1), hand.nowMillis)).isTrue();
      }
      hand.ledger.enterStep();
    }
    assertThat(hand.ledger.trip()).isNull();
  }

  @Test
  void onlySoManyCallersMeetTheCandidate() {
    ByHand hand = new ByHand(new Cap(Bounded.KEYS, 20));
    for (int i = 0; i < 500; i++) {
      long key = new SplittableRandom(i % 20).nextLong();
      assertThat(hand.ledger.assigned(hand.assigned(Variant.CANDIDATE, 0, key), hand.nowMillis)).as("request %d", i).isTrue();
    }
    assertThat(hand.ledger.assigned(hand.assigned(Variant.CANDIDATE, 0, new SplittableRandom(20).nextLong()), hand.nowMillis)).isFalse();
    assertThat(hand.ledger.capped(hand.nowMillis)).isNotNull();
  }

  @Test
  void failuresAndRunTimeHaveTheirBounds() {
    ByHand failures = new ByHand(new Cap(Bounded.FAILURES, 3));
    Trip trip = null;
    int failed = 0;
    while (trip == null) {
      trip = failures.failed(failures.live(0));
      failed++;
    }
    assertThat(failed).isEqualTo(4);
    ByHand time = new ByHand(new Cap(Bounded.RUN_MILLIS, 100));
    for (int i = 0; i < 10; i++) {
      assertThat(time.record(new Observation.Answered(time.live(0), Variant.CANDIDATE, false, 10_000_000))).isNull();
    }
    assertThat(time.record(new Observation.Answered(time.live(0), Variant.CANDIDATE, false, 1))).isNotNull();
  }

  @Test
  void aCrashStopsAtOnce() {
    ByHand hand = new ByHand(new ErrorRate(0.01, Scope.OVERALL), new Crash());
    assertThat(requireNonNull(hand.record(new Observation.Crashed(hand.live(0)))).rule()).isEqualTo(1);
    assertThat(Exposure.isFlipped(hand.ledger.exposure())).isTrue();
  }

  /// For a promotion a failure that came back after the weight had changed is a failure all the same.
  @Test
  void whatIsNoEvidenceAgainstTheCandidateIsNoneForItEither() {
    ByHand hand = new ByHand(new ErrorRate(0.01, Scope.OVERALL));
    Assignment request = hand.live(0);
    hand.ledger.expose(hand.ledger.exposure(), Exposure.of(6, 3_000, 100));
    hand.failed(request);
    assertThat(hand.ledger.bad(0, -1)).isZero();
    assertThat(hand.ledger.badOfAnyEpoch(0)).isEqualTo(1);
  }

  // --- making things --------------------------------------------------------------------------------------------------------

  private static long alarms(LongPredicate stops) {
    return LongStream.range(SEED * 1_000_003, SEED * 1_000_003 + RUNS).parallel().filter(stops).count();
  }

  /// Live failures of both variants as time passes.
  private static final class Side {
    private final ByHand hand;

    Side(long callMillisMax, StopRule rule) {
      this.hand = new ByHand(new Plan(new ArmedRules(List.of(rule), ALPHA, ByHand.NO_SEGMENTS), List.of(), callMillisMax, ByHand.LINES, true));
    }

    void failed(Variant variant, int share, long key, long tookMillis) {
      Assignment request = new Assignment(variant, false, 0, 5, share, key, 0);
      hand.record(new Observation.Failed(request, variant, false, tookMillis * 1_000_000));
    }

    void pass(int millis) {
      hand.nowMillis += millis;
      hand.ledger.tick(hand.nowMillis);
    }

    boolean isStopped() {
      return hand.ledger.trip() != null;
    }
  }
}
