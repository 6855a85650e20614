package dev.sluice.router.ledger;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Plan;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule.Counted;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.Scope;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class EvidenceLedgerTest {

  private static final int ERRORS = 0;
  private static final int FALLBACKS = 1;
  private static final int DISAGREEMENTS = 2;
  private static final int LATENCY = 3;
  private static final long SLOW_NANOS = 1_000_000;

  private static final Segments SEGMENTS =
      new Segments(List.of(SegmentRule.parse("country=DE"), SegmentRule.parse("country=FR")));
  private static final ArmedRules RULES =
      new ArmedRules(
          List.of(
              new ErrorRate(0.01, Scope.ALL), new FallbackRate(0.01, Scope.OVERALL),
              new DisagreementRate(0.01, Scope.EACH), new LatencyOver(SLOW_NANOS, 0.01, Scope.OVERALL)),
          0.001, SEGMENTS);
  private static final Plan PLAN = new Plan(RULES, List.of(), ByHand.CALL_MILLIS_MAX, ByHand.LINES, true);

  private final ByHand hand = new ByHand(PLAN);

  @Test
  void eachRuleCountsItsOwnEventsAndItsOwnBadOnes() {
    EvidenceLedger ledger = hand.ledger;
    Assignment german = hand.live(0);
    Assignment french = hand.live(1);
    Assignment copied = hand.shadow(1);
    hand.failed(german);
    hand.record(new Observation.FellBack(german, FallbackReason.FAILED));
    hand.failed(copied);
    hand.record(new Observation.Failed(french, Variant.BASELINE, false, 1_000));
    hand.record(new Observation.Answered(french, Variant.CANDIDATE, false, SLOW_NANOS + 1));
    hand.record(new Observation.Answered(french, Variant.CANDIDATE, false, SLOW_NANOS));
    hand.record(new Observation.Answered(french, Variant.BASELINE, false, SLOW_NANOS + 1));
    hand.compared(french, true);
    hand.compared(french, false);

    assertThat(ledger.events(ERRORS, ArmedRule.OVERALL)).isEqualTo(3);
    assertThat(ledger.events(ERRORS, 1)).isEqualTo(2);
    assertThat(ledger.events(FALLBACKS, ArmedRule.OVERALL)).as("shadows need no fallback").isEqualTo(2);
    assertThat(ledger.events(DISAGREEMENTS, 1)).isEqualTo(1);
    assertThat(ledger.bad(ERRORS, 0)).isEqualTo(1);
    assertThat(ledger.bad(ERRORS, 1)).as("the baseline's failure is not the candidate's").isEqualTo(1);
    assertThat(ledger.bad(ERRORS, ArmedRule.OVERALL)).isEqualTo(2);
    assertThat(ledger.bad(FALLBACKS, ArmedRule.OVERALL)).isEqualTo(1);
    assertThat(ledger.bad(DISAGREEMENTS, 1)).isEqualTo(1);
    assertThat(ledger.bad(LATENCY, ArmedRule.OVERALL)).as("at the limit is not over it").isEqualTo(1);
    assertThat(ledger.liveCompleted(ArmedRule.OVERALL)).as("live candidate calls only").isEqualTo(3);
    assertThat(ledger.shadowsCompleted(1)).as("compared, for a rule is about that").isEqualTo(2);
    assertThat(ledger.shadowsCompleted(0)).isZero();
  }

  @Test
  void aCallThatWasGivenUpOnTookAtLeastAsLongAsThat() {
    Assignment request = hand.live(0);
    hand.record(new Observation.Failed(request, Variant.CANDIDATE, false, SLOW_NANOS));
    assertThat(hand.ledger.bad(LATENCY, ArmedRule.OVERALL)).isZero();
    hand.record(new Observation.Failed(request, Variant.CANDIDATE, false, SLOW_NANOS + 1));
    assertThat(hand.ledger.bad(LATENCY, ArmedRule.OVERALL)).isEqualTo(1);
  }

  @Test
  void theObservationThatCrossesIsTheFirstThatTripsAndSaysWhy() {
    Trip trip = null;
    int requests = 0;
    while (trip == null) {
      requests++;
      assertThat(hand.ledger.trip()).isNull();
      assertThat(Exposure.isFlipped(hand.ledger.exposure())).isFalse();
      trip = hand.failed(hand.live(1));
    }
    assertThat(requests).isEqualTo(3);
    assertThat(trip.bad()).isEqualTo(3);
    assertThat(trip.events()).isEqualTo(3);
    assertThat(trip.rule()).isEqualTo(ERRORS);
    assertThat(trip.evidence()).isGreaterThanOrEqualTo(RULES.threshold());
    assertThat(hand.ledger.trip()).isEqualTo(trip);
    assertThat(Exposure.isFlipped(hand.ledger.exposure())).as("whoever weighs the line flips").isTrue();
    assertThat(hand.ledger.describe(trip).reason()).startsWith("error-rate");
    assertThat(hand.ledger.describe(trip).reason()).contains("3 bad among");
  }

  @Test
  void aDryRunTripsAndDoesNotFlip() {
    ByHand dry = new ByHand(new Plan(RULES, List.of(), ByHand.CALL_MILLIS_MAX, ByHand.LINES, false));
    Trip trip = null;
    for (int i = 0; i < 10 && trip == null; i++) {
      trip = dry.failed(dry.live(1));
    }
    assertThat(trip).isNotNull();
    assertThat(Exposure.weightBasisPoints(dry.ledger.exposure())).isEqualTo(2_000);
    assertThat(dry.failed(dry.live(1))).as("told once").isNull();
  }

  @Test
  void failuresSpreadOverSegmentsTripTheRuleOverAllTraffic() {
    Trip trip = null;
    for (int i = 0; i < 9 && trip == null; i++) {
      trip = hand.failed(hand.live(i % 3));
    }
    assertThat(requireNonNull(trip).segment()).isEqualTo(ArmedRule.OVERALL);
    assertThat(trip.bad()).isEqualTo(3);
  }

  @Test
  void aFlipHappensOnceAndForGood() {
    assertThat(hand.ledger.flip()).isTrue();
    assertThat(hand.ledger.flip()).isFalse();
    assertThat(hand.ledger.exposure()).isEqualTo(Exposure.flipped(Exposure.of(5, 2_000, 100)));
    assertThat(hand.ledger.trip()).as("a person's flip has no verdict").isNull();
  }

  @Test
  void aWriterThatReadTheExposureBeforeTheFlipIsTooLate() {
    long before = hand.ledger.exposure();
    hand.ledger.flip();
    assertThat(hand.ledger.expose(before, Exposure.of(6, 5_000, 0))).isFalse();
    assertThat(Exposure.weightBasisPoints(hand.ledger.exposure())).isZero();
  }

  @Test
  void aWriterThatReadTheFlipItselfCannotUndoIt() {
    hand.ledger.flip();
    long flipped = hand.ledger.exposure();
    assertThat(hand.ledger.expose(flipped, Exposure.of(7, 5_000, 0))).isFalse();
    assertThat(hand.ledger.exposure()).isEqualTo(flipped);
  }

  @Test
  void evidenceFromAnOlderEpochNeverDecides() {
    Assignment[] requests = new Assignment[100];
    for (int i = 0; i < requests.length; i++) {
      requests[i] = hand.live(0);
    }
    assertThat(hand.ledger.expose(hand.ledger.exposure(), Exposure.of(6, 3_000, 100))).isTrue();
    for (Assignment request : requests) {
      assertThat(hand.failed(request)).as("a failure of epoch 5").isNull();
    }
    assertThat(hand.ledger.bad(ERRORS, 0)).isZero();
    assertThat(hand.ledger.liveCompleted(0)).as("it is evidence of activity all the same").isEqualTo(100);
  }

  @Test
  void evidenceOfEarlierEpochsIsKeptWhenTheWeightChanges() {
    hand.failed(hand.live(0));
    hand.ledger.expose(hand.ledger.exposure(), Exposure.of(6, 3_000, 100));
    assertThat(hand.ledger.bad(ERRORS, 0)).isEqualTo(1);
    assertThat(hand.ledger.events(ERRORS, 0)).isEqualTo(1);
  }

  @Test
  void requestsInFlightWhenItWasFlippedDecideNothingMore() {
    Assignment[] requests = {hand.live(0), hand.live(0), hand.live(0), hand.live(0)};
    hand.ledger.flip();
    for (Assignment request : requests) {
      assertThat(hand.failed(request)).isNull();
    }
    assertThat(hand.ledger.trip()).isNull();
  }

  @Test
  void theFlipAndTheEvidenceOutliveTheProcessInAMappedFile(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("ledger");
    Trip trip = null;
    try (Arena arena = Arena.ofConfined()) {
      EvidenceLedger first = new EvidenceLedger(PLAN, mapped(file, arena));
      first.initialize(ByHand.MARK, Exposure.of(5, 2_000, 100));
      for (int i = 0; i < 4; i++) {
        Assignment request = new Assignment(Variant.CANDIDATE, false, 1, 5, 2_000, 0, first.ticket(1));
        first.assigned(request, 0);
        first.dispatchedLive(1, 0);
        trip = i == 0 ? first.record(new Observation.Failed(request, Variant.CANDIDATE, false, 1), 0) : trip;
      }
      assertThat(first.flip()).isTrue();
    } // unmapped without a force: what a process leaves behind when it is killed
    assertThat(trip).isNull();
    try (Arena arena = Arena.ofConfined()) {
      EvidenceLedger again = new EvidenceLedger(PLAN, mapped(file, arena));
      assertThat(again.restore()).isNull();
      assertThat(again.mark()).isEqualTo(ByHand.MARK);
      assertThat(Exposure.isFlipped(again.exposure())).isTrue();
      assertThat(Exposure.epoch(again.exposure())).isEqualTo(6);
      assertThat(again.liveDispatched(1)).isEqualTo(4);
      assertThat(again.bad(ERRORS, 1)).isEqualTo(1);
      assertThat(again.dispatched(Counted.CANDIDATE_ASSIGNMENTS, 1)).isEqualTo(4);
      assertThat(again.flip()).isFalse();
    }
  }

  @Test
  void freshMemoryHasNoMark() {
    assertThat(new EvidenceLedger(PLAN, LedgerWords.onHeap(PLAN.wordsNeeded())).mark()).isZero();
  }

  @Test
  void memoryThatIsTooSmallIsRefused() {
    assertThatThrownBy(() -> new EvidenceLedger(PLAN, LedgerWords.onHeap(PLAN.wordsNeeded() - 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("this rollout needs " + PLAN.wordsNeeded());
  }

  private static LedgerWords mapped(Path file, Arena arena) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      return new LedgerWords(channel.map(MapMode.READ_WRITE, 0, PLAN.wordsNeeded() * 8L, arena));
    }
  }
}
