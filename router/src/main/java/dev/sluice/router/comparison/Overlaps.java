package dev.sluice.router.comparison;

import dev.sluice.router.comparison.Comparison.Boxes.Format;

/// Intersection over union of boxes, four numbers each.
final class Overlaps {

  private Overlaps() {}

  /// The smallest intersection over union of two boxes at the same place; 1 if there is none, not a number if some box holds
  /// something else than finite numbers and is not the same in both.
  static double least(Format format, double[] b, double[] c, int length) {
    // A box's near edges are at its first two numbers and so many times the other two; its far edges likewise.
    double near = format == Format.CXCYWH ? -0.5 : 0;
    double origin = format == Format.XYXY ? 0 : 1;
    double far = format == Format.CXCYWH ? 0.5 : 1;
    double least = 1;
    for (int i = 0; i + 3 < length; i += 4) {
      double overlap = overlap(near, origin, far, b, c, i);
      if (overlap < least) {
        least = overlap;
      } else if (!(overlap <= 1)) {
        return Double.NaN;
      }
    }
    return least;
  }

  private static double overlap(double near, double origin, double far, double[] b, double[] c, int i) {
    double baselineLeft = b[i] + near * b[i + 2];
    double baselineTop = b[i + 1] + near * b[i + 3];
    double baselineRight = origin * b[i] + far * b[i + 2];
    double baselineBottom = origin * b[i + 1] + far * b[i + 3];
    double candidateLeft = c[i] + near * c[i + 2];
    double candidateTop = c[i + 1] + near * c[i + 3];
    double candidateRight = origin * c[i] + far * c[i + 2];
    double candidateBottom = origin * c[i + 1] + far * c[i + 3];
    double shared =
        area(
            smaller(baselineRight, candidateRight) - larger(baselineLeft, candidateLeft),
            smaller(baselineBottom, candidateBottom) - larger(baselineTop, candidateTop));
    double union =
        area(baselineRight - baselineLeft, baselineBottom - baselineTop)
            + area(candidateRight - candidateLeft, candidateBottom - candidateTop)
            - shared;
    return shared > 0 && shared < union && union < Double.POSITIVE_INFINITY
        ? shared / union
        : unusual(b, c, i, shared > 0 && shared == union && shared < Double.POSITIVE_INFINITY);
  }

  /// Not Math.min and Math.max, which look after what is not a number: here the union does.
  private static double smaller(double x, double y) {
    return x < y ? x : y;
  }

  private static double larger(double x, double y) {
    return x > y ? x : y;
  }

  /// A box whose edges have changed places is empty.
  private static double area(double width, double height) {
    return width <= 0 || height <= 0 ? 0 : width * height;
  }

  /// Boxes that are the same, have nothing in common, or are too large or not finite.
  private static double unusual(double[] b, double[] c, int i, boolean covered) {
    boolean same = true;
    boolean finite = true;
    for (int j = i; j < i + 4; j++) {
      same &= b[j] == c[j] || (Double.isNaN(b[j]) && Double.isNaN(c[j]));
      finite &= Double.isFinite(b[j]) && Double.isFinite(c[j]);
    }
    if (same) {
      return 1;
    }
    return !finite ? Double.NaN : covered ? 1 : 0;
  }
}
