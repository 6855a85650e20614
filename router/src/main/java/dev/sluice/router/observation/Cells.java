package dev.sluice.router.observation;

import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/// A histogram that any thread may add to, in the cells that [Histogram] has at two digits: none is wider than 1 % of its values.
///
/// HdrHistogram's own concurrent kind keeps all cells of its range twice, 50 KiB from nanoseconds to a minute, of which a
/// model's latencies meet a few: here the cells of one power of two are a row, made when it is first met, and a cell has 32 bits.
/// With ten segments, two variants and hundreds of rollouts that is the difference between some megabytes and some hundreds.
/// Adding is one atomic increment, and nothing that a reader could hold up; only the one addition in a billion that fills a cell
/// takes a lock, to carry what it holds to a place with room.
final class Cells {

  /// Two digits need 2 x 10^2 cells up to the first power of two above that, and half as many in each further one.
  private static final int DIGITS = 2;

  private static final int ROW_SHIFT = 7;
  private static final int ROW = 1 << ROW_SHIFT;

  private final long lowest;
  private final long highest;
  private final int unitMagnitude;
  private final AtomicReferenceArray<AtomicIntegerArray> rows;

  /// A cell that has come to this much is emptied. As much again fits into it meanwhile.
  private final int full;

  /// By cell, what was carried away from it; null as long as none was full. Guarded by this.
  private long @Nullable [] carried;

  /// @param lowest the least that can be told from 0
  /// @param highest what is above counts as this much
  Cells(long lowest, long highest) {
    this(lowest, highest, 1 << 30);
  }

  Cells(long lowest, long highest, int full) {
    this.full = full;
    this.lowest = lowest;
    this.highest = highest;
    this.unitMagnitude = Long.SIZE - 1 - Long.numberOfLeadingZeros(lowest);
    this.rows = new AtomicReferenceArray<>((index(highest) >> ROW_SHIFT) + 1);
  }

  void add(long value) {
    int index = index(Math.clamp(value, 0, highest));
    AtomicIntegerArray row = rows.get(index >> ROW_SHIFT);
    if (row == null) {
      row = made(index >> ROW_SHIFT);
    }
    if (row.incrementAndGet(index & (ROW - 1)) == full) {
      carry(row, index);
    }
  }

  private AtomicIntegerArray made(int index) {
    AtomicIntegerArray row = new AtomicIntegerArray(ROW);
    AtomicIntegerArray before = rows.compareAndExchange(index, null, row);
    return before == null ? row : before;
  }

  private synchronized void carry(AtomicIntegerArray row, int index) {
    long[] to = carried;
    if (to == null) {
      to = new long[rows.length() << ROW_SHIFT];
      carried = to;
    }
    to[index] += full;
    row.getAndAdd(index & (ROW - 1), -full);
  }

  /// As `countsArrayIndex` of HdrHistogram: the first two rows are one linear stretch, each further one covers a power of two.
  private int index(long value) {
    int bucket =
        Long.SIZE - unitMagnitude - (ROW_SHIFT + 1) - Long.numberOfLeadingZeros(value | (2L * ROW - 1) << unitMagnitude);
    int inBucket = (int) (value >>> (bucket + unitMagnitude));
    return ((bucket + 1) << ROW_SHIFT) + inBucket - ROW;
  }

  private long value(int index) {
    int bucket = (index >> ROW_SHIFT) - 1;
    return bucket < 0
        ? (long) index << unitMagnitude
        : (long) ((index & (ROW - 1)) + ROW) << (bucket + unitMagnitude);
  }

  /// A copy, cell by cell.
  synchronized Histogram snapshot() {
    Histogram copy = new Histogram(lowest, highest, DIGITS);
    for (int r = 0; r < rows.length(); r++) {
      AtomicIntegerArray row = rows.get(r);
      for (int cell = 0; row != null && cell < ROW; cell++) {
        int index = (r << ROW_SHIFT) + cell;
        long count = row.get(cell) + (carried == null ? 0 : carried[index]);
        if (count > 0) {
          copy.recordValueWithCount(value(index), count);
        }
      }
    }
    return copy;
  }
}
