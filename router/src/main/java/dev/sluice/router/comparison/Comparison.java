package dev.sluice.router.comparison;

/// How two numeric outputs of the same length are compared, and from when on they disagree.
///
/// Each is a pure function in a time proportional to the output. An element that is not a number on one side alone is always
/// a disagreement; not a number on both sides is agreement.
public sealed interface Comparison {

  /// @param rowLength elements per row: the last dimension of the output
  Disagreement compare(Numbers baseline, Numbers candidate, int rowLength);

  /// The largest absolute difference of two elements; disagrees when some element differs by more than
  /// `absolute + relative x |baseline|`.
  record Numeric(double absolute, double relative) implements Comparison {
    public Numeric {
      if (!(absolute >= 0) || !(relative >= 0)) {
        throw new IllegalArgumentException(
            "tolerance: absolute %s, relative %s: both must be at least 0".formatted(absolute, relative));
      }
    }

    @Override
    public Disagreement compare(Numbers baseline, Numbers candidate, int rowLength) {
      double largest = 0;
      boolean disagrees = false;
      for (int i = 0; i < baseline.count(); i++) {
        double b = baseline.at(i);
        double c = candidate.at(i);
        if (b == c || (Double.isNaN(b) && Double.isNaN(c))) {
          continue; // equal infinities have no finite difference
        }
        double difference = Math.abs(c - b);
        // An infinite baseline would stretch the relative tolerance until it allows everything.
        if (!(difference <= absolute + relative * Math.abs(b)) || Double.isInfinite(difference)) {
          disagrees = true;
        }
        largest = Math.max(largest, Double.isNaN(difference) ? Disagreement.DISTANCE_MAX : difference);
      }
      return largest == 0 ? Disagreement.NONE : new Disagreement(largest, disagrees);
    }
  }

  /// The share of rows whose largest element stands at another place; disagrees when there is such a row.
  record TopOne() implements Comparison {
    @Override
    public Disagreement compare(Numbers baseline, Numbers candidate, int rowLength) {
      int rows = rowLength == 0 ? 0 : baseline.count() / rowLength;
      int differing = 0;
      for (int row = 0; row < rows; row++) {
        if (differs(baseline, candidate, row * rowLength, rowLength)) {
          differing++;
        }
      }
      return shareOf(differing, rows);
    }

    /// The top is the first of the largest numbers; a row of none has no top.
    private static boolean differs(Numbers baseline, Numbers candidate, int from, int length) {
      int baselineTop = from;
      int candidateTop = from;
      for (int i = from; i < from + length; i++) {
        double b = baseline.at(i);
        double c = candidate.at(i);
        if (Double.isNaN(b) != Double.isNaN(c)) {
          return true;
        }
        // Not "above the top": a top that is not a number gives way to any number.
        baselineTop = b <= baseline.at(baselineTop) || Double.isNaN(b) ? baselineTop : i;
        candidateTop = c <= candidate.at(candidateTop) || Double.isNaN(c) ? candidateTop : i;
      }
      return baselineTop != candidateTop;
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
    public Disagreement compare(Numbers baseline, Numbers candidate, int rowLength) {
      if (column >= rowLength) {
        return Disagreement.TOTAL;
      }
      int first = Math.max(column, 0);
      int stride = column < 0 ? 1 : rowLength;
      int decisions = 0;
      int differing = 0;
      for (int i = first; i < baseline.count(); i += stride) {
        decisions++;
        double b = baseline.at(i);
        double c = candidate.at(i);
        if (Double.isNaN(b) != Double.isNaN(c) || (b >= at) != (c >= at)) {
          differing++;
        }
      }
      return shareOf(differing, decisions);
    }
  }

  /// The share of elements that are not the same number; disagrees when there is one.
  record Exact() implements Comparison {
    @Override
    public Disagreement compare(Numbers baseline, Numbers candidate, int rowLength) {
      int differing = 0;
      for (int i = 0; i < baseline.count(); i++) {
        if (!baseline.sameAt(i, candidate)) {
          differing++;
        }
      }
      return shareOf(differing, baseline.count());
    }
  }

  private static Disagreement shareOf(int differing, int all) {
    return differing == 0 ? Disagreement.NONE : new Disagreement((double) differing / all, true);
  }
}
