package dev.sluice.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.runtime.model.VersionStatistics.BatchSize;
import dev.sluice.runtime.model.VersionStatistics.Distribution;
import dev.sluice.runtime.model.VersionStatistics.Duration;
import dev.sluice.runtime.model.VersionStatistics.FailureReason;
import dev.sluice.runtime.model.VersionStatistics.Snapshot;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class VersionStatisticsTest {
  private final VersionStatistics statistics = new VersionStatistics();

  @Test
  void nothingHasHappenedBeforeTheFirstRequest() {
    Snapshot snapshot = statistics.snapshot();
    assertThat(snapshot.lastInferenceMillis()).isZero();
    assertThat(snapshot.inferenceCount()).isZero();
    assertThat(snapshot.executionCount()).isZero();
    assertThat(snapshot.request().duration()).isEqualTo(new Duration(0, 0));
    assertThat(snapshot.failures()).containsOnlyKeys(FailureReason.values());
    assertThat(snapshot.batches()).isEmpty();
  }

  @Test
  void aSharedRunIsOneExecutionAndCountsInFullForEachOfItsRequests() {
    long before = System.currentTimeMillis();
    statistics.executed(5, 10, 300, 20);
    statistics.succeeded(2, 1_000, 600, 10, 300, 20);
    statistics.succeeded(3, 2_000, 1_600, 10, 300, 20);

    Snapshot snapshot = statistics.snapshot();
    assertThat(snapshot.inferenceCount()).as("rows").isEqualTo(5);
    assertThat(snapshot.executionCount()).isOne();
    assertThat(snapshot.request().duration()).isEqualTo(new Duration(2, 3_000));
    assertThat(snapshot.queue().duration()).isEqualTo(new Duration(2, 2_200));
    assertThat(snapshot.computeInput().duration()).isEqualTo(new Duration(2, 20));
    assertThat(snapshot.computeInfer().duration()).isEqualTo(new Duration(2, 600));
    assertThat(snapshot.computeOutput().duration()).isEqualTo(new Duration(2, 40));
    assertThat(snapshot.batches()).containsExactly(new BatchSize(5, 1, 10, 300, 20));
    assertThat(snapshot.lastInferenceMillis()).isBetween(before, System.currentTimeMillis());
  }

  @Test
  void failuresAreKeptApartByTheirReasonAndAreNoInferences() {
    statistics.failed(FailureReason.REJECTED, 1);
    statistics.failed(FailureReason.REJECTED, 2);
    statistics.failed(FailureReason.CANCELED, 10);
    statistics.failed(FailureReason.BACKEND, 100);

    Snapshot snapshot = statistics.snapshot();
    assertThat(snapshot.failure(FailureReason.REJECTED)).isEqualTo(new Duration(2, 3));
    assertThat(snapshot.failure(FailureReason.OTHER)).isEqualTo(new Duration(0, 0));
    assertThat(snapshot.failure()).isEqualTo(new Duration(4, 113));
    assertThat(snapshot.request().count()).isZero();
    assertThat(snapshot.inferenceCount()).isZero();
  }

  @Test
  void anAnswerFromMemoryIsASuccessWithoutARun() {
    statistics.answeredFromCache(500, 40);
    statistics.missedCache(70);

    Snapshot snapshot = statistics.snapshot();
    assertThat(snapshot.request().duration()).isEqualTo(new Duration(1, 500));
    assertThat(snapshot.queue().duration()).isEqualTo(new Duration(1, 0));
    assertThat(snapshot.computeInfer().count()).isZero();
    assertThat(snapshot.cacheHit()).isEqualTo(new Duration(1, 40));
    assertThat(snapshot.cacheMiss()).isEqualTo(new Duration(1, 70));
    assertThat(snapshot.inferenceCount()).isZero();
    assertThat(snapshot.executionCount()).isZero();
  }

  @Test
  void requestsThatWaitAreSeenWhileTheyDo() {
    statistics.waits();
    statistics.waits();
    statistics.endedWaiting();
    assertThat(statistics.snapshot().pendingRequests()).isOne();
  }

  @Test
  void aTimeIsCountedInTheFirstBucketThatReachesIt() {
    for (int bucket = 0; bucket < Distribution.BUCKETS - 1; bucket++) {
      long bound = Distribution.upperBoundMicros(bucket) * 1_000;
      assertThat(Distribution.bucketOf(bound)).isEqualTo(bucket);
      assertThat(Distribution.bucketOf(bound + 1)).isEqualTo(bucket + 1);
    }
    assertThat(Distribution.bucketOf(0)).isZero();
    assertThat(Distribution.bucketOf(Long.MAX_VALUE)).isEqualTo(Distribution.BUCKETS - 1);
    assertThat(Distribution.upperBoundMicros(Distribution.BUCKETS - 2)).isEqualTo(67_108_864);

    statistics.succeeded(1, 1_500, 0, 0, 3_000, 0);
    assertThat(statistics.snapshot().request().counts().get(1)).isOne();
    assertThat(statistics.snapshot().computeInfer().counts().get(2)).isOne();
  }

  @Test
  void batchSizesAreListedInOrderAndTheirNumberIsBounded() {
    long seed = System.nanoTime();
    List<Long> sizes = new ArrayList<>(new Random(seed).longs(1, 10_000).distinct().limit(300).boxed().toList());
    sizes.forEach(size -> statistics.executed(size, 1, 2, 3));

    Snapshot snapshot = statistics.snapshot();
    assertThat(snapshot.executionCount()).isEqualTo(300);
    assertThat(snapshot.batches())
        .as("seed %d", seed)
        .extracting(BatchSize::rows)
        .containsExactlyElementsOf(sizes.subList(0, VersionStatistics.BATCH_SIZES_MAX).stream().sorted().toList());
    assertThat(snapshot.batches()).allSatisfy(batch -> assertThat(batch.inferNanos()).isEqualTo(2));
  }

  @Test
  void nothingIsLostWhenManyThreadsRecord() throws Exception {
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      int rows = i + 1;
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    for (int n = 0; n < 10_000; n++) {
                      statistics.executed(1 + n % 7, 0, 1, 0);
                      statistics.succeeded(rows, 5, 0, 0, 1, 0);
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    Snapshot snapshot = statistics.snapshot();
    assertThat(snapshot.inferenceCount()).isEqualTo(10 * 10_000);
    assertThat(snapshot.executionCount()).isEqualTo(40_000);
    assertThat(snapshot.request().duration()).isEqualTo(new Duration(40_000, 200_000));
  }
}
