package dev.sluice.router.comparison;

import java.util.Arrays;

/// The order of a row's elements, in arrays that are used again and grow to the longest row.
///
/// Sorted by a radix sort on the bits of the doubles, a byte at a time from the last: linear, stable, in place of
/// comparisons that a processor cannot predict. Bytes that all elements share are passed over; a widened float has three.
final class Ranks {

  /// Below this, moving elements one by one is quicker than counting bytes.
  private static final int FEW = 48;

  private static final int DIGITS = Long.BYTES;
  private static final int VALUES = 256;

  private final int[] counts = new int[DIGITS * VALUES];
  private long[] keys = {};
  private long[] otherKeys = {};
  private int[] places = {};
  private int[] otherPlaces = {};
  private double[] baselineRanks = {};
  private double[] candidateRanks = {};
  private int[] baselineTop = {};
  private int[] candidateTop = {};

  /// Spearman's rank correlation of two rows of numbers, between -1 and 1; elements of equal value share their mean rank
  /// (Kendall and Gibbons, *Rank Correlation Methods*, chapter 3). A row of equal elements ranks nothing: its correlation is 1 with
  /// another such row, 0 with any other.
  double correlation(double[] baseline, double[] candidate, int from, int count) {
    if (baselineRanks.length < count) {
      int length = Integer.highestOneBit(count) * 2;
      keys = new long[length];
      otherKeys = new long[length];
      places = new int[length];
      otherPlaces = new int[length];
      baselineRanks = new double[length];
      candidateRanks = new double[length];
    }
    rank(baseline, from, count, baselineRanks);
    rank(candidate, from, count, candidateRanks);
    double mean = (count - 1) / 2.0;
    double together = 0;
    double baselineSquares = 0;
    double candidateSquares = 0;
    for (int i = 0; i < count; i++) {
      double b = baselineRanks[i] - mean;
      double c = candidateRanks[i] - mean;
      together += b * c;
      baselineSquares += b * b;
      candidateSquares += c * c;
    }
    if (baselineSquares == 0 || candidateSquares == 0) {
      return baselineSquares == candidateSquares ? 1 : 0;
    }
    return Math.clamp(together / Math.sqrt(baselineSquares * candidateSquares), -1.0, 1.0);
  }

  private void rank(double[] values, int from, int count, double[] ranks) {
    for (int i = 0; i < count; i++) {
      long bits = Double.doubleToRawLongBits(values[from + i] + 0.0); // the two zeros are one value
      keys[i] = bits ^ ((bits >> 63) | Long.MIN_VALUE);
      places[i] = i;
    }
    if (count <= FEW) {
      sortFew(count);
    } else {
      sort(count);
    }
    for (int first = 0; first < count; ) {
      int next = first + 1;
      while (next < count && keys[next] == keys[first]) {
        next++;
      }
      double shared = (first + next - 1) / 2.0;
      for (int i = first; i < next; i++) {
        ranks[places[i]] = shared;
      }
      first = next;
    }
  }

  private void sortFew(int count) {
    for (int i = 1; i < count; i++) {
      long key = keys[i];
      int place = places[i];
      int at = i;
      while (at > 0 && Long.compareUnsigned(keys[at - 1], key) > 0) {
        keys[at] = keys[at - 1];
        places[at] = places[at - 1];
        at--;
      }
      keys[at] = key;
      places[at] = place;
    }
  }

  private void sort(int count) {
    int[] counts = this.counts;
    Arrays.fill(counts, 0);
    for (int i = 0; i < count; i++) {
      long key = keys[i];
      for (int digit = 0; digit < DIGITS; digit++) {
        counts[digit * VALUES + (int) (key >>> (8 * digit) & 0xff)]++;
      }
    }
    for (int digit = 0; digit < DIGITS; digit++) {
      if (counts[digit * VALUES + (int) (keys[0] >>> (8 * digit) & 0xff)] < count) {
        sortBy(digit, count);
      }
    }
  }

  private void sortBy(int digit, int count) {
    int[] counts = this.counts;
    int before = 0;
    for (int value = digit * VALUES; value < (digit + 1) * VALUES; value++) {
      int here = counts[value];
      counts[value] = before;
      before += here;
    }
    long[] keys = this.keys;
    int[] places = this.places;
    long[] sortedKeys = otherKeys;
    int[] sortedPlaces = otherPlaces;
    for (int i = 0; i < count; i++) {
      int at = counts[digit * VALUES + (int) (keys[i] >>> (8 * digit) & 0xff)]++;
      sortedKeys[at] = keys[i];
      sortedPlaces[at] = places[i];
    }
    this.keys = sortedKeys;
    this.places = sortedPlaces;
    otherKeys = keys;
    otherPlaces = places;
  }

  /// How many of a row's k largest elements stand among the k largest of both rows, as a share of k. Of equal elements the first
  /// are the larger ones. Elements that are not numbers stand in the same places of both rows, and are never among the largest.
  double overlap(double[] baseline, double[] candidate, int from, int to, int k) {
    if (baselineTop.length < k) {
      baselineTop = new int[k];
      candidateTop = new int[k];
    }
    int found = largest(baseline, from, to, k, baselineTop);
    int same = largest(candidate, from, to, k, candidateTop);
    assert found == same : found + " and " + same;
    if (found == 0) {
      return 1;
    }
    Arrays.sort(baselineTop, 0, found);
    Arrays.sort(candidateTop, 0, found);
    int shared = 0;
    for (int b = 0, c = 0; b < found && c < found; ) {
      int difference = baselineTop[b] - candidateTop[c];
      shared += difference == 0 ? 1 : 0;
      b += difference <= 0 ? 1 : 0;
      c += difference >= 0 ? 1 : 0;
    }
    return (double) shared / found;
  }

  /// The places of the largest elements, kept in a heap with the least of them on top.
  private static int largest(double[] values, int from, int to, int k, int[] heap) {
    int size = 0;
    int i = from;
    for (; i < to && size < k; i++) {
      if (!Double.isNaN(values[i])) {
        int at = size++;
        for (; at > 0 && isLess(values, i, heap[(at - 1) / 2]); at = (at - 1) / 2) {
          heap[at] = heap[(at - 1) / 2];
        }
        heap[at] = i;
      }
    }
    double least = size == 0 ? Double.NaN : values[heap[0]];
    for (; i < to; i++) {
      if (values[i] > least) {
        replaceLeast(values, heap, size, i);
        least = values[heap[0]];
      }
    }
    return size;
  }

  private static void replaceLeast(double[] values, int[] heap, int size, int place) {
    int at = 0;
    for (int child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && isLess(values, heap[child + 1], heap[child])) {
        child++;
      }
      if (!isLess(values, heap[child], place)) {
        break;
      }
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = place;
  }

  private static boolean isLess(double[] values, int place, int other) {
    return values[place] < values[other] || (values[place] == values[other] && place > other);
  }
}
