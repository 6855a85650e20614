package dev.sluice.router.comparison;

import java.nio.ByteBuffer;

/// What one thread needs while it compares: two views, the windows they are read through, and what has been found so far.
///
/// Point both views at an output, let a [Comparison] look at them, go on with the next output, and [#take()] the disagreement of
/// the answer as a whole. Comparing allocates nothing once the arrays have grown to the longest row seen, which is bounded by
/// [#ROW_MAX]: some 16 MiB at most. Not for two threads at once.
public final class Workbench {

  /// The longest row that can be compared row by row, in elements; enough for the vocabulary of a language model.
  public static final int ROW_MAX = 262_144;

  private final Numbers baselineNumbers = new Numbers();
  private final Numbers candidateNumbers = new Numbers();
  private final Ranks ranks = new Ranks();

  private double[] baselineWindow = new double[Numbers.WINDOW];
  private double[] candidateWindow = new double[Numbers.WINDOW];
  private double[] terms = new double[Numbers.WINDOW];

  private double distance;
  private Cause cause = Cause.NONE;
  private double bounded;

  public Numbers baseline() {
    return baselineNumbers;
  }

  public Numbers candidate() {
    return candidateNumbers;
  }

  // --- what is found --------------------------------------------------------------------------------------------------

  /// The disagreement of all outputs compared since the last time; the bench is clear afterwards and holds nobody's memory.
  public Disagreement take() {
    Disagreement all =
        distance == 0 && cause == Cause.NONE ? Disagreement.NONE : new Disagreement(distance, cause, bounded);
    clear();
    return all;
  }

  /// Forgets everything, as after an answer that could not be compared to its end.
  public void clear() {
    baselineNumbers.clear();
    candidateNumbers.clear();
    distance = 0;
    cause = Cause.NONE;
    bounded = 0;
  }

  /// An output that cannot be compared at all, for this reason; nothing for none.
  public void add(Cause why) {
    if (why != Cause.NONE) {
      add(Disagreement.DISTANCE_MAX, why, 1);
    }
  }

  /// An output of texts: the same or not.
  public void addBytes(ByteBuffer baseline, ByteBuffer candidate) {
    if (!baseline.equals(candidate)) {
      add(1, Cause.DISTANCE, 1);
    }
  }

  void add(double distance, Cause cause, double bounded) {
    this.distance = Math.max(this.distance, distance);
    this.cause = this.cause.or(cause);
    this.bounded = Math.max(this.bounded, bounded);
  }

  /// The share of cases that differ, which disagrees if there is one.
  void addShare(int differing, int all, Cause cause) {
    if (differing > 0) {
      double share = (double) differing / all;
      add(share, cause.or(Cause.DISTANCE), share);
    }
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  double[] baselineWindow() {
    return baselineWindow;
  }

  double[] candidateWindow() {
    return candidateWindow;
  }

  /// As long as the windows, for what is computed of them.
  double[] terms() {
    return terms;
  }

  Ranks ranks() {
    return ranks;
  }

  /// Elements in each output: of the shorter one, where they are not of one shape.
  int count() {
    return Math.min(baselineNumbers.count(), candidateNumbers.count());
  }

  /// Rows in each output; none, and a disagreement about the shape, if a row is too long to be compared.
  int rows(int rowLength) {
    if (rowLength > ROW_MAX) {
      add(Cause.SHAPE);
      return 0;
    }
    return rowLength == 0 ? 0 : count() / rowLength;
  }

  /// Reads elements of both outputs into the windows.
  ///
  /// @return how many: what is left, or as many as a window holds
  int read(int from) {
    int length = Math.min(Numbers.WINDOW, count() - from);
    read(from, length);
    return length;
  }

  void read(int from, int length) {
    baselineNumbers.read(from, length, baselineWindow);
    candidateNumbers.read(from, length, candidateWindow);
  }

  /// Reads whole rows of both outputs into the windows.
  ///
  /// @return how many rows: what is left, or as many as a window holds, and at least one
  int readRows(int row, int rows, int rowLength) {
    if (rowLength > baselineWindow.length) {
      int length = Math.min(ROW_MAX, Integer.highestOneBit(rowLength) * 2);
      baselineWindow = new double[length];
      candidateWindow = new double[length];
      terms = new double[length];
    }
    int read = Math.min(rows - row, Math.max(1, Numbers.WINDOW / rowLength));
    read(row * rowLength, read * rowLength);
    return read;
  }

  /// Whether everything in the windows is certainly finite.
  boolean isFinite() {
    return baselineNumbers.isFinite() && candidateNumbers.isFinite();
  }

  /// Places of a row where both hold a number, moved to the front of the windows' row.
  ///
  /// @return how many, or -1 if a number is missing on one side alone
  int keepNumbers(int from, int to) {
    double[] b = baselineWindow;
    double[] c = candidateWindow;
    int kept = from;
    for (int i = from; i < to; i++) {
      if (Double.isNaN(b[i]) != Double.isNaN(c[i])) {
        return -1;
      }
      b[kept] = b[i];
      c[kept] = c[i];
      kept += Double.isNaN(b[i]) ? 0 : 1;
    }
    return kept - from;
  }
}
