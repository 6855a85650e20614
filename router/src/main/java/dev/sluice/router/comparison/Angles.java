package dev.sluice.router.comparison;

/// The cosine distance of two rows.
final class Angles {

  private static final double SQUARES_MIN = 1e-120;
  private static final double SQUARES_MAX = 1e120;

  private Angles() {}

  /// One minus the cosine; not a number if some element is not finite.
  static double cosineDistance(double[] b, double[] c, int from, int to) {
    double dot0 = 0;
    double dot1 = 0;
    double baseline0 = 0;
    double baseline1 = 0;
    double candidate0 = 0;
    double candidate1 = 0;
    int i = from;
    for (; i < to - 1; i += 2) { // two at a time: each sum has to wait for the one before
      dot0 += b[i] * c[i];
      baseline0 += b[i] * b[i];
      candidate0 += c[i] * c[i];
      dot1 += b[i + 1] * c[i + 1];
      baseline1 += b[i + 1] * b[i + 1];
      candidate1 += c[i + 1] * c[i + 1];
    }
    if (i < to) {
      dot0 += b[i] * c[i];
      baseline0 += b[i] * b[i];
      candidate0 += c[i] * c[i];
    }
    double baseline = baseline0 + baseline1;
    double candidate = candidate0 + candidate1;
    if (isWithin(baseline) && isWithin(candidate)) {
      return distance(dot0 + dot1, baseline, candidate);
    }
    double baselineMost = most(b, from, to);
    double candidateMost = most(c, from, to);
    return baselineMost < Double.POSITIVE_INFINITY && candidateMost < Double.POSITIVE_INFINITY
        ? cosineDistanceOfTheFinite(b, c, from, to)
        : Double.NaN;
  }

  private static boolean isWithin(double squares) {
    return squares > SQUARES_MIN && squares < SQUARES_MAX;
  }

  /// The root of the product, not the product of roots: of two equal rows it is the dot product to the last bit.
  private static double distance(double dot, double baseline, double candidate) {
    return 1 - Math.clamp(dot / Math.sqrt(baseline * candidate), -1.0, 1.0);
  }

  /// The same for numbers whose squares no double holds, and leaving out the elements that are not finite.
  static double cosineDistanceOfTheFinite(double[] b, double[] c, int from, int to) {
    double baselineMost = 0;
    double candidateMost = 0;
    for (int i = from; i < to; i++) {
      boolean finite = Double.isFinite(b[i]) && Double.isFinite(c[i]);
      baselineMost = finite ? Math.max(baselineMost, Math.abs(b[i])) : baselineMost;
      candidateMost = finite ? Math.max(candidateMost, Math.abs(c[i])) : candidateMost;
    }
    if (baselineMost == 0 || candidateMost == 0) {
      return baselineMost == candidateMost ? 0 : 1;
    }
    double dot = 0;
    double baseline = 0;
    double candidate = 0;
    for (int i = from; i < to; i++) {
      if (Double.isFinite(b[i]) && Double.isFinite(c[i])) {
        double x = b[i] / baselineMost;
        double y = c[i] / candidateMost;
        dot += x * y;
        baseline += x * x;
        candidate += y * y;
      }
    }
    return distance(dot, baseline, candidate);
  }

  private static double most(double[] row, int from, int to) {
    double most = 0;
    for (int i = from; i < to; i++) {
      most = Math.max(most, Math.abs(row[i]));
    }
    return most;
  }
}
