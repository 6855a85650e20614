package dev.sluice.router.observation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Cause;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.observation.Observation.Answered;
import dev.sluice.router.observation.Observation.Compared;
import dev.sluice.router.observation.Observation.Failed;
import dev.sluice.router.observation.Observation.FellBack;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.HdrHistogram.Histogram;
import org.junit.jupiter.api.Test;

final class SegmentRecorderTest {

  private static final Assignment REQUEST = new Assignment(Variant.CANDIDATE, true, 0, 1, 500, Assignment.NO_KEY, 0);
  private static final List<Cause> CAUSES = List.of(Cause.values());
  private static final List<FallbackReason> REASONS = List.of(FallbackReason.values());

  @Test
  void everyObservationIsCountedWhereItBelongs() {
    SegmentRecorder recorder = new SegmentRecorder();
    recorder.record(new Answered(REQUEST, Variant.BASELINE, false, 1_000_000));
    recorder.record(new Answered(REQUEST, Variant.CANDIDATE, true, 2_000_000));
    recorder.record(new Failed(REQUEST, Variant.CANDIDATE, false, 3_000_000));
    recorder.record(new FellBack(REQUEST, FallbackReason.LATE));
    recorder.record(new Compared(REQUEST, new Disagreement(0.25, false)));
    recorder.record(new Compared(REQUEST, Disagreement.TOTAL));
    SegmentSnapshot snapshot = recorder.snapshot();
    assertThat(snapshot.baseline().answered()).isEqualTo(1);
    assertThat(snapshot.baseline().latencyNanos().getMaxValue()).isBetween(990_000L, 1_010_000L);
    assertThat(snapshot.candidate().answered()).as("a shadow's answer reaches nobody").isZero();
    assertThat(snapshot.candidate().shadowed()).isEqualTo(1);
    assertThat(snapshot.candidate().failed()).isEqualTo(1);
    assertThat(snapshot.candidate().latencyNanos().getTotalCount()).isEqualTo(2);
    assertThat(snapshot.fellBack()).containsEntry(FallbackReason.LATE, 1L).containsEntry(FallbackReason.FAILED, 0L);
    assertThat(snapshot.compared()).isEqualTo(2);
    assertThat(snapshot.disagreed()).isEqualTo(1);
    assertThat(snapshot.disagreedByCause())
        .containsEntry(Cause.SHAPE, 1L).containsEntry(Cause.DISTANCE, 0L).doesNotContainKey(Cause.NONE);
    assertThat(snapshot.distanceMillionths().getMinValue()).isBetween(248_000L, 252_000L);
  }

  @Test
  void theExtremesHaveAPlace() {
    SegmentRecorder recorder = new SegmentRecorder();
    recorder.record(new Answered(REQUEST, Variant.BASELINE, false, 0));
    recorder.record(new Answered(REQUEST, Variant.BASELINE, false, Long.MAX_VALUE));
    recorder.record(new Failed(REQUEST, Variant.BASELINE, false, Long.MAX_VALUE));
    recorder.record(new Compared(REQUEST, new Disagreement(Double.POSITIVE_INFINITY, true)));
    recorder.record(new Compared(REQUEST, new Disagreement(Double.MIN_VALUE, true)));
    SegmentSnapshot snapshot = recorder.snapshot();
    assertThat(snapshot.baseline().latencyNanos().getTotalCount()).isEqualTo(3);
    assertThat(snapshot.distanceMillionths().getTotalCount()).isEqualTo(2);
  }

  @Test
  void aSnapshotStandsStill() {
    SegmentRecorder recorder = new SegmentRecorder();
    SegmentSnapshot before = recorder.snapshot();
    recorder.record(new Answered(REQUEST, Variant.CANDIDATE, false, 1_000));
    assertThat(before.candidate().answered()).isZero();
    assertThat(before.candidate().latencyNanos().getTotalCount()).isZero();
  }

  @Test
  void snapshotsOfSegmentsAddUpToTheRollouts() {
    long seed = 73;
    SplittableRandom random = new SplittableRandom(seed);
    SegmentRecorder first = new SegmentRecorder();
    SegmentRecorder second = new SegmentRecorder();
    SegmentRecorder all = new SegmentRecorder();
    for (int i = 0; i < 20_000; i++) {
      Observation observation = anyObservation(random);
      (random.nextBoolean() ? first : second).record(observation);
      all.record(observation);
    }
    SegmentSnapshot left = first.snapshot();
    SegmentSnapshot right = second.snapshot();
    assertSame(left.plus(right), all.snapshot(), seed);
    assertSame(right.plus(left), all.snapshot(), seed);
    assertSame(left, first.snapshot(), seed); // adding changed neither
  }

  @Test
  void concurrentRecordingLosesNothing() throws Exception {
    long seed = 79;
    int threads = 8;
    int each = 50_000;
    SegmentRecorder together = new SegmentRecorder();
    SegmentRecorder alone = new SegmentRecorder();
    AtomicBoolean done = new AtomicBoolean();
    try (ExecutorService executor = Executors.newFixedThreadPool(threads + 1)) {
      Future<Long> reading = executor.submit(() -> {
        long last = 0;
        while (!done.get()) { // snapshots while others record: nothing goes backwards
          long count = together.snapshot().baseline().latencyNanos().getTotalCount();
          assertThat(count).isGreaterThanOrEqualTo(last);
          last = count;
        }
        return last;
      });
      List<Future<?>> recording = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        SplittableRandom random = new SplittableRandom(seed + thread);
        recording.add(executor.submit(() -> recordAll(random, each, together)));
      }
      for (Future<?> future : recording) {
        future.get();
      }
      done.set(true);
      reading.get();
    }
    for (int thread = 0; thread < threads; thread++) {
      recordAll(new SplittableRandom(seed + thread), each, alone);
    }
    assertSame(together.snapshot(), alone.snapshot(), seed);
  }

  private static void recordAll(SplittableRandom random, int count, SegmentRecorder recorder) {
    for (int i = 0; i < count; i++) {
      recorder.record(anyObservation(random));
    }
  }

  private static Observation anyObservation(SplittableRandom random) {
    Variant variant = random.nextBoolean() ? Variant.BASELINE : Variant.CANDIDATE;
    long nanos = random.nextLong(1, 100_000_000);
    return switch (random.nextInt(4)) {
      case 0 -> new Answered(REQUEST, variant, random.nextBoolean(), nanos);
      case 1 -> new Failed(REQUEST, variant, random.nextBoolean(), nanos);
      case 2 -> new FellBack(REQUEST, REASONS.get(random.nextInt(REASONS.size())));
      default -> new Compared(REQUEST, new Disagreement(random.nextDouble(0, 10), CAUSES.get(random.nextInt(CAUSES.size())), 0.5));
    };
  }

  private static void assertSame(SegmentSnapshot actual, SegmentSnapshot expected, long seed) {
    assertThat(counts(actual)).as("seed %d", seed).isEqualTo(counts(expected));
    assertThat(actual.fellBack()).as("seed %d", seed).isEqualTo(expected.fellBack());
    assertThat(actual.disagreedByCause()).as("seed %d", seed).isEqualTo(expected.disagreedByCause());
    assertThat(bars(actual)).as("seed %d", seed).isEqualTo(bars(expected));
  }

  private static List<Long> counts(SegmentSnapshot snapshot) {
    return List.of(
        snapshot.baseline().answered(), snapshot.baseline().shadowed(), snapshot.baseline().failed(),
        snapshot.candidate().answered(), snapshot.candidate().shadowed(), snapshot.candidate().failed(),
        snapshot.compared(), snapshot.disagreed());
  }

  private static List<Map<Long, Long>> bars(SegmentSnapshot snapshot) {
    return List.of(
        bars(snapshot.baseline().latencyNanos()), bars(snapshot.candidate().latencyNanos()),
        bars(snapshot.distanceMillionths()));
  }

  private static Map<Long, Long> bars(Histogram histogram) {
    Map<Long, Long> bars = new TreeMap<>();
    histogram.recordedValues().forEach(bar -> bars.put(bar.getValueIteratedTo(), bar.getCountAtValueIteratedTo()));
    return bars;
  }
}
