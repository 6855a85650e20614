package dev.sluice.router.comparison;

import dev.sluice.router.comparison.Comparison.Boxes.Format;

/// Intersection over union of boxes, four numbers each.
final class Overlaps {

  private Overlaps() {}

  /// The smallest intersection over union of two boxes at the same place; 1 if there is none, not a number if some box holds
  /// something else than finite numbers and is not the same in both.
  static double least(Format format, double[] b, double[] c, int length) {
    double least = 1;
    for (int i = 0; i + 3 < length; i += 4) {
      double overlap = overlap(format, b, c, i);
      if (overlap < least) {
        least = overlap;
      } else if (!(overlap <= 1)) {
        return Double.NaN;
      }
    }
    return least;
  }

  private static double overlap(Format format, double[] b, double[] c, int i) {
    double baselineLeft = left(format, b, i);
    double baselineTop = left(format, b, i + 1);
    double baselineRight = right(format, b, i);
    double baselineBottom = right(format, b, i + 1);
    double candidateLeft = left(format, c, i);
    double candidateTop = left(format, c, i + 1);
    double candidateRight = right(format, c, i);
    double candidateBottom = right(format, c, i + 1);
    double shared =
        area(
            Math.min(baselineRight, candidateRight) - Math.max(baselineLeft, candidateLeft),
            Math.min(baselineBottom, candidateBottom) - Math.max(baselineTop, candidateTop));
    double union =
        area(baselineRight - baselineLeft, baselineBottom - baselineTop)
            + area(candidateRight - candidateLeft, candidateBottom - candidateTop)
            - shared;
    return shared > 0 && shared < union && union < Double.POSITIVE_INFINITY
        ? shared / union
        : unusual(b, c, i, shared > 0 && shared == union && shared < Double.POSITIVE_INFINITY);
  }

  private static double left(Format format, double[] box, int i) {
    return format == Format.CXCYWH ? box[i] - box[i + 2] / 2 : box[i];
  }

  private static double right(Format format, double[] box, int i) {
    return switch (format) {
      case XYXY -> box[i + 2];
      case XYWH -> box[i] + box[i + 2];
      case CXCYWH -> box[i] + box[i + 2] / 2;
    };
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
