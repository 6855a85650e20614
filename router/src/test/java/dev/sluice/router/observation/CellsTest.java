package dev.sluice.router.observation;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.HdrHistogram.Histogram;
import org.junit.jupiter.api.Test;

class CellsTest {

  /// HdrHistogram is the oracle: the same values give the same histogram.
  @Test
  void valuesLieInTheCellsOfAHistogram() {
    for (long[] range : new long[][] {{64, 60_000_000_000L}, {1, 1_000_000_000_000L}, {1, 1_000}, {1_000, 5_000_000}}) {
      Cells cells = new Cells(range[0], range[1]);
      Histogram histogram = new Histogram(range[0], range[1], 2);
      long seed = range[1];
      SplittableRandom random = new SplittableRandom(seed);
      for (int i = 0; i < 100_000; i++) {
        long value = random.nextLong(range[1] + 1) >>> random.nextInt(40);
        cells.add(value);
        histogram.recordValue(value);
      }
      for (long value = 0; value <= Math.min(range[1], 2_000); value++) {
        cells.add(value);
        histogram.recordValue(value);
      }
      cells.add(range[1]);
      histogram.recordValue(range[1]);
      assertThat(cells.snapshot()).as("seed %d", seed).isEqualTo(histogram);
    }
  }

  /// As above, with cells that are full after some thousand instead of a billion, threads that fill them and one that looks.
  @Test
  void aCellThatIsFullLosesNothing() throws Exception {
    Cells cells = new Cells(1, 1_000_000, 1_000);
    Runnable adding =
        () -> {
          for (int i = 0; i < 100_000; i++) {
            cells.add(7);
            cells.add(i % 3 == 0 ? 70_000 : 7);
          }
        };
    List<Thread> threads = Stream.generate(() -> Thread.ofPlatform().start(adding)).limit(4).toList();
    long before = 0;
    while (threads.stream().anyMatch(Thread::isAlive)) {
      long now = cells.snapshot().getTotalCount();
      assertThat(now).as("never less than before").isGreaterThanOrEqualTo(before);
      before = now;
    }
    for (Thread thread : threads) {
      thread.join();
    }
    Histogram snapshot = cells.snapshot();
    assertThat(snapshot.getTotalCount()).isEqualTo(800_000);
    assertThat(snapshot.getCountAtValue(70_000)).isEqualTo(4 * 33_334);
  }

  @Test
  void whatIsOutOfRangeCountsAtItsEnds() {
    Cells cells = new Cells(1, 1_000_000);
    cells.add(-5);
    cells.add(Long.MAX_VALUE);
    Histogram snapshot = cells.snapshot();
    assertThat(snapshot.getTotalCount()).isEqualTo(2);
    assertThat(snapshot.getMinValue()).isZero();
    assertThat(snapshot.valuesAreEquivalent(snapshot.getMaxValue(), 1_000_000)).isTrue();
  }
}
