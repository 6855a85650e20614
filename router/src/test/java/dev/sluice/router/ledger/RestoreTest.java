package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Plan;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule.Counted;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.Scope;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/// A process is killed at any moment; the next one goes on from the memory it has left.
final class RestoreTest {

  private static final Segments DISCOVERING =
      new Segments(List.of(SegmentRule.parse("country=DE")), new Segments.Discovery("tenant", 4));

  private static final Plan PLAN =
      new Plan(
          new ArmedRules(
              List.of(
                  new ErrorRate(0.1, Scope.ALL), new ErrorRatio(1, Scope.ALL), new MeanCost(5_000_000, 10_000_000, Scope.ALL)),
              1e-9, DISCOVERING),
          List.of(2.0), ByHand.CALL_MILLIS_MAX, 64, true);

  /// Killed between two requests, in each moment of a life of a few laps of the log.
  @Test
  void whereverAProcessIsKilledTheNextOneGoesOn() {
    for (int killedAt = 0; killedAt < 300; killedAt++) {
      ByHand hand = new ByHand(PLAN);
      SplittableRandom random = new SplittableRandom(killedAt);
      for (int i = 0; i < killedAt; i++) {
        request(hand, random);
      }
      goesOn(hand, random, killedAt);
    }
  }

  /// Killed between two words: what was written so far stays, the rest never happens.
  @Test
  void evenInTheMiddleOfALine() {
    for (int seed = 0; seed < 1_000; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      DyingWords words = new DyingWords(PLAN.wordsNeeded());
      ByHand hand = new ByHand(PLAN, words);
      int requests = random.nextInt(200);
      for (int i = 0; i < requests; i++) {
        request(hand, random);
      }
      words.writesLeft = random.nextInt(60);
      try {
        for (int i = 0; i < 10; i++) {
          request(hand, random);
        }
      } catch (DyingWords.Killed killed) {
        assertThat(words.writesLeft).isZero();
      }
      words.writesLeft = Integer.MAX_VALUE;
      goesOn(hand, random, seed);
    }
  }

  private static void goesOn(ByHand hand, SplittableRandom random, long seed) {
    assertThat(hand.restart()).as("seed %d", seed).isNull();
    check(hand, seed);
    for (int i = 0; i < 100; i++) {
      request(hand, random);
    }
    check(hand, seed);
  }

  private static void check(ByHand hand, long seed) {
    assertThat(hand.ledger.trip()).as("seed %d", seed).isNull();
    assertThat(hand.ledger.replay().identical()).as("seed %d", seed).isTrue();
    assertThat(hand.ledger.segmentCount()).as("seed %d", seed).isLessThanOrEqualTo(DISCOVERING.capacity());
    Set<String> names = new HashSet<>();
    for (int segment = 0; segment < hand.ledger.segmentCount(); segment++) {
      assertThat(names.add(hand.ledger.segmentName(segment))).as("seed %d, %s twice", seed, names).isTrue();
    }
    EvidenceLedger again = new EvidenceLedger(PLAN, ByHand.copy(hand.words));
    assertThat(again.restore()).as("seed %d", seed).isNull();
    for (ArmedRule test : PLAN.rules().armed()) {
      assertThat(again.evidence(test)).as("seed %d, %s", seed, test).isEqualTo(hand.ledger.evidence(test));
    }
    assertThat(again.acceptance(0)).as("seed %d", seed).isEqualTo(hand.ledger.acceptance(0));
    assertThat(again.matured(Counted.CANDIDATE_CALLS)).isEqualTo(hand.ledger.matured(Counted.CANDIDATE_CALLS));
  }

  private static void request(ByHand hand, SplittableRandom random) {
    hand.nowMillis += random.nextInt(100);
    String tenant = "tenant-" + random.nextInt(6);
    int segment = hand.ledger.segmentOf(attribute -> attribute.equals("tenant") ? tenant : null, hand.nowMillis);
    Assignment request =
        new Assignment(
            random.nextInt(5) == 0 ? Variant.CANDIDATE : Variant.BASELINE, false, segment, 5, 2_000, random.nextInt(1, 500),
            hand.ledger.ticket(segment));
    hand.ledger.assigned(request, hand.nowMillis);
    if (request.variant() == Variant.CANDIDATE) {
      hand.ledger.dispatchedLive(segment, hand.nowMillis);
    }
    hand.record(
        random.nextInt(20) == 0
            ? new Observation.Failed(request, request.variant(), false, 1_000_000)
            : new Observation.Answered(request, request.variant(), false, random.nextLong(9_000_000)));
    hand.ledger.tick(hand.nowMillis);
  }

  /// The tripping line is weighed, and then the process dies before the verdict is written or anybody is sent back.
  @Test
  void aVerdictThatWasReachedAndNotWrittenDownIsNotForgotten() {
    int flips = 0;
    for (int writes = 0; writes < 60; writes++) {
      DyingWords words = new DyingWords(PLAN.wordsNeeded());
      ByHand hand = new ByHand(ByHand.plan(ByHand.NO_SEGMENTS, new ErrorRate(0.01, Scope.OVERALL)), words);
      hand.failed(hand.live(0));
      Assignment second = hand.live(0);
      words.writesLeft = writes;
      Trip told = null;
      try {
        told = hand.failed(second);
      } catch (DyingWords.Killed killed) {
        assertThat(told).isNull();
      }
      boolean counted = hand.ledger.trip() != null;
      words.writesLeft = Integer.MAX_VALUE;
      Trip restored = hand.restart();
      boolean flipped = Exposure.isFlipped(hand.ledger.exposure());
      String when = "killed after %d words".formatted(writes);
      assertThat(flipped).as(when).isEqualTo(hand.ledger.trip() != null);
      assertThat(hand.ledger.trip() == null).as(when).isEqualTo(told == null && restored == null && !counted);
      assertThat(hand.ledger.replay().identical()).as(when).isTrue();
      flips += flipped ? 1 : 0;
      if (told != null) {
        assertThat(flipped).as(when).isTrue();
      }
    }
    assertThat(flips).isGreaterThan(40);
  }

  /// The words of a process that is killed after so many more of them.
  private static final class DyingWords extends LedgerWords {
    private int writesLeft = Integer.MAX_VALUE;

    DyingWords(int size) {
      super(MemorySegment.ofArray(new long[size]));
    }

    static final class Killed extends Error {
      private static final long serialVersionUID = 1;
    }

    private void write() {
      if (writesLeft == 0) {
        throw new Killed();
      }
      writesLeft--;
    }

    @Override
    public void set(int index, long value) {
      write();
      super.set(index, value);
    }

    @Override
    void setPlain(int index, long value) {
      write();
      super.setPlain(index, value);
    }

    @Override
    void setRelease(int index, long value) {
      write();
      super.setRelease(index, value);
    }

    @Override
    public long increment(int index) {
      write();
      return super.increment(index);
    }

    @Override
    long add(int index, long value) {
      write();
      return super.add(index, value);
    }

    @Override
    public boolean compareAndSet(int index, long expected, long value) {
      write();
      return super.compareAndSet(index, expected, value);
    }
  }
}
