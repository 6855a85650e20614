package dev.sluice.router.ledger;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Stop;
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

  private final EvidenceLedger ledger = ledger(LedgerWords.onHeap(wordsNeeded()), Exposure.of(5, 2_000, 100));

  @Test
  void eachRuleCountsItsOwnEventsAndItsOwnBadOnes() {
    ledger.assignedLive(0);
    ledger.dispatchedLive(0);
    ledger.assignedLive(1);
    ledger.dispatchedLive(1);
    ledger.dispatchedShadow(1);
    ledger.dispatchedComparison(1);
    ledger.record(failed(0, Variant.CANDIDATE, false));
    ledger.record(new Observation.FellBack(5, 0, FallbackReason.FAILED));
    ledger.record(failed(1, Variant.CANDIDATE, true));
    ledger.record(failed(1, Variant.BASELINE, false));
    ledger.record(answered(1, Variant.CANDIDATE, SLOW_NANOS + 1));
    ledger.record(answered(1, Variant.CANDIDATE, SLOW_NANOS));
    ledger.record(answered(1, Variant.BASELINE, SLOW_NANOS + 1));
    ledger.record(new Observation.Compared(5, 1, new Disagreement(0.1, true)));
    ledger.record(new Observation.Compared(5, 1, new Disagreement(0.1, false)));

    assertThat(ledger.dispatched(ERRORS, ArmedRule.OVERALL)).isEqualTo(3);
    assertThat(ledger.dispatched(ERRORS, 1)).isEqualTo(2);
    assertThat(ledger.dispatched(FALLBACKS, ArmedRule.OVERALL)).as("shadows need no fallback").isEqualTo(2);
    assertThat(ledger.dispatched(DISAGREEMENTS, 1)).isEqualTo(1);
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
    ledger.record(new Observation.Failed(5, 0, Variant.CANDIDATE, false, SLOW_NANOS));
    ledger.record(new Observation.Failed(5, 0, Variant.CANDIDATE, false, SLOW_NANOS - 1));
    assertThat(ledger.bad(LATENCY, ArmedRule.OVERALL)).isEqualTo(1);
  }

  @Test
  void theObservationThatCrossesIsTheFirstThatTripsAndSaysWhy() {
    Trip trip = null;
    int requests = 0;
    while (trip == null) {
      requests++;
      ledger.assignedLive(1);
      ledger.dispatchedLive(1);
      trip = ledger.record(failed(1, Variant.CANDIDATE, false));
    }
    assertThat(trip).isEqualTo(new Trip(ERRORS, 1, requests, requests)).isEqualTo(new Trip(ERRORS, 1, 3, 3));
    assertThat(ledger.trip()).as("nothing is stopped until someone flips").isNull();
    assertThat(ledger.flip(trip)).isTrue();
    assertThat(ledger.trip()).isEqualTo(trip);
    Stop stop = ledger.describe(trip);
    assertThat(stop).isEqualTo(new Stop("error-rate", "country=FR", 3, 3, armed(ERRORS, 1).table().boundary(3)));
    assertThat(stop.reason()).startsWith("error-rate in country=FR: 3 bad among the first 3, and 3 among ");
  }

  @Test
  void failuresSpreadOverSegmentsTripTheRuleOverAllTraffic() {
    Trip trip = null;
    for (int i = 0; i < 6 && trip == null; i++) {
      ledger.assignedLive(i % 3);
      ledger.dispatchedLive(i % 3);
      trip = ledger.record(failed(i % 3, Variant.CANDIDATE, false));
    }
    assertThat(trip).isEqualTo(new Trip(ERRORS, ArmedRule.OVERALL, 3, 3));
    assertThat(ledger.describe(new Trip(ERRORS, ArmedRule.OVERALL, 3, 3)).reason()).startsWith("error-rate: 3 bad");
  }

  @Test
  void aFlipHappensOnceAndForGood() {
    Trip first = new Trip(ERRORS, 0, 4, 9);
    assertThat(ledger.flip(first)).isTrue();
    assertThat(ledger.flip(new Trip(LATENCY, ArmedRule.OVERALL, 5, 10))).isFalse();
    assertThat(ledger.flip(null)).isFalse();
    assertThat(ledger.trip()).isEqualTo(first);
    assertThat(ledger.exposure()).isEqualTo(Exposure.flipped(Exposure.of(5, 2_000, 100)));
  }

  @Test
  void aPersonsFlipHasNoTrip() {
    assertThat(ledger.flip(null)).isTrue();
    assertThat(ledger.trip()).isNull();
  }

  @Test
  void aWriterThatReadTheExposureBeforeTheFlipIsTooLate() {
    long before = ledger.exposure();
    ledger.flip(null);
    assertThat(ledger.expose(before, Exposure.of(6, 5_000, 0))).isFalse();
    assertThat(Exposure.weightBasisPoints(ledger.exposure())).isZero();
  }

  @Test
  void aWriterThatReadTheFlipItselfCannotUndoIt() {
    ledger.flip(null);
    long flipped = ledger.exposure();
    assertThat(ledger.expose(flipped, Exposure.of(7, 5_000, 0))).isFalse();
    assertThat(ledger.exposure()).isEqualTo(flipped);
  }

  @Test
  void evidenceFromAnOlderEpochNeverDecides() {
    for (int i = 0; i < 100; i++) {
      ledger.assignedLive(0);
      ledger.dispatchedLive(0);
    }
    assertThat(ledger.expose(ledger.exposure(), Exposure.of(6, 3_000, 100))).isTrue();
    for (int i = 0; i < 100; i++) {
      assertThat(ledger.record(failed(0, Variant.CANDIDATE, false))).as("failure %d of epoch 5", i).isNull();
    }
    assertThat(ledger.bad(ERRORS, 0)).isZero();
    assertThat(ledger.liveCompleted(0)).as("it is evidence of activity all the same").isEqualTo(100);
  }

  @Test
  void evidenceOfEarlierEpochsIsKeptWhenTheWeightChanges() {
    ledger.assignedLive(0);
    ledger.dispatchedLive(0);
    ledger.record(failed(0, Variant.CANDIDATE, false));
    ledger.expose(ledger.exposure(), Exposure.of(6, 3_000, 100));
    assertThat(ledger.bad(ERRORS, 0)).isEqualTo(1);
    assertThat(ledger.dispatched(ERRORS, 0)).isEqualTo(1);
  }

  @Test
  void requestsInFlightWhenItWasFlippedDecideNothingMore() {
    ledger.flip(null);
    for (int i = 0; i < 10; i++) {
      ledger.assignedLive(0);
      ledger.dispatchedLive(0);
      assertThat(ledger.record(failed(0, Variant.CANDIDATE, false))).isNull();
    }
  }

  @Test
  void theFlipAndTheCountersOutliveTheProcessInAMappedFile(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("ledger");
    Trip trip = new Trip(ERRORS, 1, 3, 4);
    try (Arena arena = Arena.ofConfined()) {
      EvidenceLedger first = ledger(mapped(file, arena), Exposure.of(5, 2_000, 100));
      for (int i = 0; i < 4; i++) {
        first.assignedLive(1);
        first.dispatchedLive(1);
      }
      first.record(failed(1, Variant.CANDIDATE, false));
      assertThat(first.flip(trip)).isTrue();
    } // unmapped without a force: what a process leaves behind when it is killed
    try (Arena arena = Arena.ofConfined()) {
      EvidenceLedger again = new EvidenceLedger(RULES, SEGMENTS, mapped(file, arena));
      assertThat(again.mark()).isEqualTo(77);
      assertThat(Exposure.isFlipped(again.exposure())).isTrue();
      assertThat(Exposure.epoch(again.exposure())).isEqualTo(6);
      assertThat(again.trip()).isEqualTo(trip);
      assertThat(again.liveDispatched(1)).isEqualTo(4);
      assertThat(again.bad(ERRORS, 1)).isEqualTo(1);
      assertThat(again.flip(null)).isFalse();
    }
  }

  @Test
  void freshMemoryHasNoMark() {
    assertThat(new EvidenceLedger(RULES, SEGMENTS, LedgerWords.onHeap(wordsNeeded())).mark()).isZero();
  }

  @Test
  void memoryThatIsTooSmallIsRefused() {
    assertThatThrownBy(() -> new EvidenceLedger(RULES, SEGMENTS, LedgerWords.onHeap(wordsNeeded() - 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("3 segments and 4 rules need " + wordsNeeded());
  }

  private static LedgerWords mapped(Path file, Arena arena) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      return new LedgerWords(channel.map(MapMode.READ_WRITE, 0, wordsNeeded() * 8L, arena));
    }
  }

  private static int wordsNeeded() {
    return EvidenceLedger.wordsNeeded(RULES.rules().size(), SEGMENTS.count());
  }

  private static EvidenceLedger ledger(LedgerWords words, long exposure) {
    EvidenceLedger ledger = new EvidenceLedger(RULES, SEGMENTS, words);
    ledger.initialize(77, exposure);
    return ledger;
  }

  private static ArmedRule armed(int rule, int segment) {
    return requireNonNull(RULES.armed(rule, segment));
  }

  private static Observation failed(int segment, Variant variant, boolean shadow) {
    return new Observation.Failed(5, segment, variant, shadow, 1_000);
  }

  private static Observation answered(int segment, Variant variant, long nanos) {
    return new Observation.Answered(5, segment, variant, false, nanos);
  }
}
