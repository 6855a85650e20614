package dev.sluice.router.comparison;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// How two numeric outputs of the same shape are compared, and from when on they disagree.
///
/// Each is a pure function of the outputs, in a time proportional to them. An element that is not a number on one side alone is
/// always a disagreement; not a number on both sides is agreement, and such an element is left out of whatever is computed.
/// Comparisons of rows look at each row by itself (the last dimension of the output), and the row that is farthest apart counts.
public sealed interface Comparison {

  /// Compares the outputs that the bench's views show, and adds to the bench what there is to tell.
  ///
  /// @param rowLength elements per row: the last dimension of the output
  void compare(Workbench bench, int rowLength);

  /// Why outputs with rows of this many elements cannot be compared in this way; null if they can.
  default @Nullable String misfit(long rowLength) {
    return null;
  }

  /// The largest absolute difference of two elements; disagrees when some element differs by more than
  /// `absolute + relative x |baseline|`.
  ///
  /// @param scale the difference that is as bad as any other, for rules about a mean; 0 if the note names none
  record Numeric(double absolute, double relative, double scale) implements Comparison {
    public Numeric {
      if (!(absolute >= 0) || !(relative >= 0)) {
        throw new IllegalArgumentException(
            "tolerance: absolute %s, relative %s: both must be at least 0".formatted(absolute, relative));
      }
      if (!(scale >= 0 && scale < Double.POSITIVE_INFINITY)) {
        throw new IllegalArgumentException("scale: %s is not a finite number above 0".formatted(scale));
      }
    }

    public Numeric(double absolute, double relative) {
      this(absolute, relative, 0);
    }

    @Override
    public void compare(Workbench bench, int rowLength) {
      double largest = 0;
      Cause cause = Cause.NONE;
      for (int from = 0; from < bench.count(); from += Numbers.WINDOW) {
        int length = bench.read(from);
        double[] b = bench.baselineWindow();
        double[] c = bench.candidateWindow();
        double here = largest(b, c, length);
        if (here < Double.POSITIVE_INFINITY) {
          cause = cause.or(here > absolute && isBeyond(b, c, length) ? Cause.DISTANCE : Cause.NONE);
        } else {
          for (int i = 0; i < length; i++) {
            cause = cause.or(causeOf(b[i], c[i]));
          }
          here = largestFinite(b, c, length);
        }
        largest = Math.max(largest, here);
      }
      double bounded = scale > 0 ? Math.min(1, largest / scale) : cause == Cause.NONE ? 0 : 1;
      bench.add(cause.compareTo(Cause.DISTANCE) > 0 ? Disagreement.DISTANCE_MAX : largest, cause, bounded);
    }

    /// Not a number if any element is not.
    private static double largest(double[] b, double[] c, int length) {
      double largest = 0;
      for (int i = 0; i < length; i++) {
        largest = Math.max(largest, Math.abs(c[i] - b[i]));
      }
      return largest;
    }

    private boolean isBeyond(double[] b, double[] c, int length) {
      for (int i = 0; i < length; i++) {
        if (!(Math.abs(c[i] - b[i]) <= absolute + relative * Math.abs(b[i]))) {
          return true;
        }
      }
      return false;
    }

    private Cause causeOf(double b, double c) {
      double difference = Math.abs(c - b);
      // An infinite baseline would stretch the relative tolerance until it allows everything.
      boolean allowed = difference <= absolute + relative * Math.abs(b) && difference < Double.POSITIVE_INFINITY;
      return allowed || same(b, c) ? Cause.NONE : Comparison.causeOf(b, c);
    }

    private static double largestFinite(double[] b, double[] c, int length) {
      double largest = 0;
      for (int i = 0; i < length; i++) {
        double difference = Math.abs(c[i] - b[i]);
        largest = difference > largest && !same(b[i], c[i]) ? difference : largest;
      }
      return largest;
    }
  }

  /// The largest difference of two elements in units in the last place: how many numbers of the output's own datatype lie between
  /// them, and one. For integers the difference itself. Disagrees when it is more than the most allowed.
  record Ulp(long most) implements Comparison {
    public Ulp {
      if (most < 0) {
        throw new IllegalArgumentException("ulp: %d is not at least 0".formatted(most));
      }
    }

    @Override
    public void compare(Workbench bench, int rowLength) {
      Numbers.Element element = bench.baseline().element();
      double largest = 0;
      Cause cause = Cause.NONE;
      for (int from = 0; from < bench.count(); from += Numbers.WINDOW) {
        int length = bench.read(from);
        double[] b = bench.baselineWindow();
        double[] c = bench.candidateWindow();
        boolean finite = bench.isFinite();
        for (int i = 0; i < length && !finite; i++) {
          if (!(Double.isFinite(b[i]) && Double.isFinite(c[i]))) {
            cause = cause.or(same(b[i], c[i]) ? Cause.NONE : causeOf(b[i], c[i]));
            b[i] = c[i]; // nothing between them to count
          }
        }
        largest = Math.max(largest, UnitsInTheLastPlace.largest(element, b, c, length));
      }
      if (cause.compareTo(Cause.DISTANCE) > 0) {
        bench.add(cause);
        return;
      }
      cause = cause.or(largest > most ? Cause.DISTANCE : Cause.NONE);
      bench.add(largest, cause, cause == Cause.NONE ? 0 : 1);
    }
  }

  /// The share of rows whose largest element stands at another place; disagrees when there is such a row. The first of equal
  /// elements is the largest; a row without numbers has none.
  record TopOne() implements Comparison {
    @Override
    public void compare(Workbench bench, int rowLength) {
      int rows = bench.rows(rowLength);
      int differing = 0;
      Cause cause = Cause.NONE;
      for (int row = 0; row < rows; ) {
        int read = bench.readRows(row, rows, rowLength);
        boolean finite = bench.isFinite();
        for (int from = 0; from < read * rowLength; from += rowLength) {
          int difference =
              finite
                  ? differenceOfTheFinite(bench.baselineWindow(), bench.candidateWindow(), from, from + rowLength)
                  : difference(bench.baselineWindow(), bench.candidateWindow(), from, from + rowLength);
          differing += difference == 0 ? 0 : 1;
          cause = cause.or(difference < 0 ? Cause.NOT_A_NUMBER : Cause.NONE);
        }
        row += read;
      }
      bench.addShare(differing, rows, cause);
    }

    private static int differenceOfTheFinite(double[] b, double[] c, int from, int to) {
      return largest(b, from, to) == largest(c, from, to) ? 0 : 1;
    }

    private static int largest(double[] row, int from, int to) {
      int top = from;
      double most = row[from];
      for (int i = from + 1; i < to; i++) {
        if (row[i] > most) {
          most = row[i];
          top = i;
        }
      }
      return top;
    }

    /// 0 for the same top, 1 for another, -1 where a number is missing on one side alone.
    private static int difference(double[] b, double[] c, int from, int to) {
      int baselineTop = -1;
      int candidateTop = -1;
      double baselineMost = Double.NEGATIVE_INFINITY;
      double candidateMost = Double.NEGATIVE_INFINITY;
      for (int i = from; i < to; i++) {
        double bi = b[i];
        double ci = c[i];
        if (bi > baselineMost) {
          baselineMost = bi;
          baselineTop = i;
        }
        if (ci > candidateMost) {
          candidateMost = ci;
          candidateTop = i;
        }
        if (Double.isNaN(bi) != Double.isNaN(ci)) {
          return -1;
        }
      }
      // Nothing above minus infinity: the first that is a number.
      baselineTop = baselineTop < 0 ? firstNumber(b, from, to) : baselineTop;
      candidateTop = candidateTop < 0 ? firstNumber(c, from, to) : candidateTop;
      return baselineTop == candidateTop ? 0 : 1;
    }

    private static int firstNumber(double[] row, int from, int to) {
      int at = from;
      while (at < to && Double.isNaN(row[at])) {
        at++;
      }
      return at;
    }
  }

  /// The share of a row's k largest elements that are not among the k largest of the other, in whatever order; disagrees when the
  /// share that is among them is less than the overlap asked for. A row shorter than k is compared as a whole.
  record TopK(int k, double overlap) implements ByRow {
    public static final int K_MAX = 1_000;

    public TopK {
      if (k < 1 || k > K_MAX) {
        throw new IllegalArgumentException("top-k: %d is not between 1 and %d".formatted(k, K_MAX));
      }
      if (!(overlap > 0 && overlap <= 1)) {
        throw new IllegalArgumentException("overlap: %s is not above 0 and at most 1".formatted(overlap));
      }
    }

    @Override
    public @Nullable String misfit(long rowLength) {
      return k > rowLength ? "top-k %d: the output's rows have %d elements".formatted(k, rowLength) : ByRow.super.misfit(rowLength);
    }

    @Override
    public void compareRow(Workbench bench, int from, int to, boolean finite) {
      double[] b = bench.baselineWindow();
      double[] c = bench.candidateWindow();
      if (!finite && isMissingOnOneSide(b, c, from, to)) {
        bench.add(1, Cause.NOT_A_NUMBER, 1);
        return;
      }
      double shared = bench.ranks().overlap(b, c, from, to, k);
      bench.add(1 - shared, shared < overlap ? Cause.DISTANCE : Cause.NONE, 1 - shared);
    }
  }

  /// The share of decisions that change, where a decision is "at or above the threshold"; disagrees when one changes.
  ///
  /// @param column the element of each row that is decided on, or -1 for every element
  record Threshold(double at, int column) implements Comparison {
    public Threshold {
      if (!Double.isFinite(at) || column < -1) {
        throw new IllegalArgumentException(
            "threshold: at %s, column %d: at must be finite, column at least 0".formatted(at, column));
      }
    }

    @Override
    public @Nullable String misfit(long rowLength) {
      return column >= rowLength ? "column %d: the output's rows have %d elements".formatted(column, rowLength) : null;
    }

    @Override
    public void compare(Workbench bench, int rowLength) {
      if (column >= rowLength) {
        bench.add(Cause.SHAPE);
        return;
      }
      int decisions = 0;
      int differing = 0;
      int missing = 0;
      int count = bench.count();
      // Rows that fit a window are read together; of longer ones, the column alone.
      int step = column < 0 ? Numbers.WINDOW : rowLength > Numbers.WINDOW ? rowLength : Numbers.WINDOW / rowLength * rowLength;
      int first = column < 0 || rowLength > Numbers.WINDOW ? 0 : column;
      int stride = column < 0 ? 1 : rowLength;
      for (int from = 0; from < count; from += step) {
        int length = stride > Numbers.WINDOW ? 1 : Math.min(step, count - from);
        bench.read(stride > Numbers.WINDOW ? from + column : from, length);
        double[] b = bench.baselineWindow();
        double[] c = bench.candidateWindow();
        if (stride == 1 && bench.isFinite()) {
          decisions += length;
          differing += differing(b, c, length);
          continue;
        }
        for (int i = first; i < length; i += stride) {
          decisions++;
          if (Double.isNaN(b[i]) != Double.isNaN(c[i])) {
            missing++;
          } else if (b[i] >= at != c[i] >= at) {
            differing++;
          }
        }
      }
      bench.addShare(differing + missing, decisions, missing > 0 ? Cause.NOT_A_NUMBER : Cause.NONE);
    }

    private int differing(double[] b, double[] c, int length) {
      double at = this.at;
      int differing = 0;
      for (int i = 0; i < length; i++) {
        differing += (b[i] >= at ? 1 : 0) ^ (c[i] >= at ? 1 : 0);
      }
      return differing;
    }
  }

  /// One minus Spearman's rank correlation of a row: 0 for the same order, 1 for none, 2 for the reverse. Disagrees when the
  /// correlation is less than the least allowed.
  ///
  /// Spearman's and not Kendall's: an item that moves far weighs more than neighbours that change places, which is what a list
  /// that people read from the top suffers from, and it costs a sort and a sum.
  record RankCorrelation(double least) implements ByRow {
    public RankCorrelation {
      if (!(least > -1 && least <= 1)) {
        throw new IllegalArgumentException("rank-correlation: %s is not above -1 and at most 1".formatted(least));
      }
    }

    @Override
    public @Nullable String misfit(long rowLength) {
      return rowLength < 2
          ? "the output's rows have %d elements, which are always in order".formatted(rowLength)
          : ByRow.super.misfit(rowLength);
    }

    @Override
    public void compareRow(Workbench bench, int from, int to, boolean finite) {
      int count = finite ? to - from : bench.keepNumbers(from, to);
      if (count < 0) {
        bench.add(Cause.NOT_A_NUMBER);
        return;
      }
      double correlation = bench.ranks().correlation(bench.baselineWindow(), bench.candidateWindow(), from, count);
      bench.add(1 - correlation, correlation < least ? Cause.DISTANCE : Cause.NONE, (1 - correlation) / 2);
    }
  }

  /// One minus the cosine of the angle between two rows: 0 for the same direction, 1 for a right angle, 2 for the opposite.
  /// Disagrees when it is more than the most allowed. A row of zeros has no direction: its distance is 0 from another such row and
  /// 1 from any other. Elements that are infinite on both sides in the same direction are left out.
  record Cosine(double most) implements ByRow {
    public Cosine {
      if (!(most >= 0 && most < 2)) {
        throw new IllegalArgumentException("cosine: %s is not at least 0 and below 2".formatted(most));
      }
    }

    @Override
    public void compareRow(Workbench bench, int from, int to, boolean finite) {
      double[] b = bench.baselineWindow();
      double[] c = bench.candidateWindow();
      double distance = Angles.cosineDistance(b, c, from, to);
      if (Double.isNaN(distance)) {
        Cause cause = nonFiniteOnOneSide(b, c, from, to);
        if (cause != Cause.NONE) {
          bench.add(cause);
          return;
        }
        distance = Angles.cosineDistanceOfTheFinite(b, c, from, to);
      }
      bench.add(distance, distance > most ? Cause.DISTANCE : Cause.NONE, distance / 2);
    }
  }

  /// The Kullback-Leibler divergence of the candidate's distribution from the baseline's, in nats: the sum over a row of
  /// `p ln(p / q)`, p the baseline's. Disagrees when it is more than the most allowed.
  ///
  /// Rows are divided by their sums first. Where p is 0 the term is 0; where q alone is 0 the divergence is infinite, which
  /// [Cause#INFINITE] tells. A negative element, or a row of zeros, is [Cause#UNFIT] unless both rows are the same.
  record KullbackLeibler(double most) implements ByRow {
    public KullbackLeibler {
      if (!(most >= 0)) {
        throw new IllegalArgumentException("kl: %s is not at least 0".formatted(most));
      }
    }

    @Override
    public void compareRow(Workbench bench, int from, int to, boolean finite) {
      double[] b = bench.baselineWindow();
      double[] c = bench.candidateWindow();
      double divergence = Divergences.kullbackLeibler(b, c, from, to, bench.terms());
      if (Double.isNaN(divergence)) {
        bench.add(noDistribution(b, c, from, to));
        return;
      }
      Cause cause =
          divergence == Double.POSITIVE_INFINITY
              ? Cause.INFINITE
              : divergence > most ? Cause.DISTANCE : Cause.NONE;
      bench.add(divergence, cause, cause == Cause.NONE ? 0 : 1);
    }
  }

  /// The Jensen-Shannon divergence of two rows, in nats: the mean of the Kullback-Leibler divergences of both distributions from
  /// their mean, between 0 and ln 2, the same in both directions, finite whatever is 0. Disagrees when it is more than the most
  /// allowed. (J. Lin, *Divergence measures based on the Shannon entropy*, 1991.)
  ///
  /// Rows are divided by their sums first. A negative element, or a row of zeros, is [Cause#UNFIT] unless both rows are the same.
  record JensenShannon(double most) implements ByRow {
    private static final double LARGEST = Math.log(2);

    public JensenShannon {
      if (!(most >= 0 && most < LARGEST)) {
        throw new IllegalArgumentException("js: %s is not at least 0 and below ln 2, which is 0.693".formatted(most));
      }
    }

    @Override
    public void compareRow(Workbench bench, int from, int to, boolean finite) {
      double[] b = bench.baselineWindow();
      double[] c = bench.candidateWindow();
      double divergence = Divergences.jensenShannon(b, c, from, to, bench.terms());
      if (Double.isNaN(divergence)) {
        bench.add(noDistribution(b, c, from, to));
        return;
      }
      double bounded = Math.min(divergence, LARGEST);
      bench.add(bounded, bounded > most ? Cause.DISTANCE : Cause.NONE, bounded / LARGEST);
    }
  }

  /// One minus the smallest intersection over union of two boxes at the same place of both outputs; disagrees when some pair
  /// has less than the least allowed. Rows have four elements.
  ///
  /// In order, and not each with its nearest: that takes a time linear in the boxes, and is what detectors with fixed places
  /// (anchors, queries) need. Two boxes that are the same to the last number agree even without an area, as padding has none.
  record Boxes(double iou, Format format) implements Comparison {

    /// What the four numbers of a box are.
    public enum Format {
      /// Left, top, right, bottom.
      XYXY,
      /// Left, top, width, height.
      XYWH,
      /// Centre, width, height.
      CXCYWH
    }

    public Boxes {
      if (!(iou > 0 && iou <= 1)) {
        throw new IllegalArgumentException("iou: %s is not above 0 and at most 1".formatted(iou));
      }
    }

    @Override
    public @Nullable String misfit(long rowLength) {
      return rowLength == 4 ? null : "iou: the output's rows have %d elements; a box has 4".formatted(rowLength);
    }

    @Override
    public void compare(Workbench bench, int rowLength) {
      if (rowLength != 4) {
        bench.add(Cause.SHAPE);
        return;
      }
      double least = 1;
      for (int from = 0; from < bench.count(); from += Numbers.WINDOW) {
        int length = bench.read(from);
        double[] b = bench.baselineWindow();
        double[] c = bench.candidateWindow();
        double overlap = Overlaps.least(format, b, c, length);
        if (Double.isNaN(overlap)) {
          Cause cause = nonFiniteOnOneSide(b, c, 0, length);
          bench.add(cause == Cause.NONE ? Cause.UNFIT : cause);
        } else {
          least = Math.min(least, overlap);
        }
      }
      bench.add(1 - least, least < iou ? Cause.DISTANCE : Cause.NONE, 1 - least);
    }
  }

  /// The share of elements that are not the same number; disagrees when there is one.
  record Exact() implements Comparison {
    @Override
    public void compare(Workbench bench, int rowLength) {
      Numbers baseline = bench.baseline();
      if (baseline.element().isWiderThanDouble() && baseline.element() == bench.candidate().element()) {
        // Beyond 2^53 neighbouring integers share one double.
        bench.addShare(baseline.differing64(bench.candidate()), bench.count(), Cause.NONE);
        return;
      }
      int differing = 0;
      Cause cause = Cause.NONE;
      for (int from = 0; from < bench.count(); from += Numbers.WINDOW) {
        int length = bench.read(from);
        double[] b = bench.baselineWindow();
        double[] c = bench.candidateWindow();
        if (bench.isFinite()) {
          for (int i = 0; i < length; i++) {
            differing += b[i] == c[i] ? 0 : 1;
          }
          continue;
        }
        for (int i = 0; i < length; i++) {
          if (!same(b[i], c[i])) {
            differing++;
            cause = cause.or(causeOf(b[i], c[i]));
          }
        }
      }
      bench.addShare(differing, bench.count(), cause);
    }
  }

  /// Several comparisons of one output, which disagrees when one of them does. The largest distance counts.
  record Several(List<Comparison> comparisons) implements Comparison {
    public static final int COMPARISONS_MAX = 8;

    public Several {
      comparisons = List.copyOf(comparisons);
      if (comparisons.isEmpty() || comparisons.size() > COMPARISONS_MAX) {
        throw new IllegalArgumentException(
            "%d comparisons of one output; expected 1 to %d".formatted(comparisons.size(), COMPARISONS_MAX));
      }
    }

    @Override
    public @Nullable String misfit(long rowLength) {
      for (Comparison each : comparisons) {
        String misfit = each.misfit(rowLength);
        if (misfit != null) {
          return misfit;
        }
      }
      return null;
    }

    @Override
    public void compare(Workbench bench, int rowLength) {
      for (int i = 0; i < comparisons.size(); i++) {
        comparisons.get(i).compare(bench, rowLength);
      }
    }
  }

  // --- what they share ------------------------------------------------------------------------------------------------

  private static boolean same(double b, double c) {
    return b == c || (Double.isNaN(b) && Double.isNaN(c));
  }

  /// Why two elements disagree that do.
  private static Cause causeOf(double b, double c) {
    if (Double.isNaN(b) != Double.isNaN(c)) {
      return Cause.NOT_A_NUMBER;
    }
    return Double.isInfinite(b) || Double.isInfinite(c) ? Cause.INFINITE : Cause.DISTANCE;
  }

  private static boolean isMissingOnOneSide(double[] b, double[] c, int from, int to) {
    for (int i = from; i < to; i++) {
      if (Double.isNaN(b[i]) != Double.isNaN(c[i])) {
        return true;
      }
    }
    return false;
  }

  private static Cause nonFiniteOnOneSide(double[] b, double[] c, int from, int to) {
    Cause cause = Cause.NONE;
    for (int i = from; i < to; i++) {
      if (!(Double.isFinite(b[i]) && Double.isFinite(c[i])) && !same(b[i], c[i])) {
        cause = cause.or(causeOf(b[i], c[i]));
      }
    }
    return cause;
  }

  /// Of two rows of which one is no distribution.
  private static Cause noDistribution(double[] b, double[] c, int from, int to) {
    Cause cause = nonFiniteOnOneSide(b, c, from, to);
    if (cause != Cause.NONE) {
      return cause;
    }
    for (int i = from; i < to; i++) {
      if (!same(b[i], c[i])) {
        return Cause.UNFIT;
      }
    }
    return Cause.NONE;
  }

  /// Comparisons that need a whole row in sight.
  sealed interface ByRow extends Comparison permits TopK, RankCorrelation, Cosine, KullbackLeibler, JensenShannon {

    @Override
    default @Nullable String misfit(long rowLength) {
      return rowLength > Workbench.ROW_MAX
          ? "the output's rows have %d elements; at most %d can be compared".formatted(rowLength, Workbench.ROW_MAX)
          : null;
    }

    @Override
    default void compare(Workbench bench, int rowLength) {
      int rows = bench.rows(rowLength);
      for (int row = 0; row < rows; ) {
        int read = bench.readRows(row, rows, rowLength);
        boolean finite = bench.isFinite();
        for (int from = 0; from < read * rowLength; from += rowLength) {
          compareRow(bench, from, from + rowLength, finite);
        }
        row += read;
      }
    }

    /// Compares a row that stands in the bench's windows.
    ///
    /// @param finite whether all of its elements are certainly finite
    void compareRow(Workbench bench, int from, int to, boolean finite);
  }
}
