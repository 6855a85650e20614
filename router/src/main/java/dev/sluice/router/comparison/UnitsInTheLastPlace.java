package dev.sluice.router.comparison;

import dev.sluice.router.comparison.Numbers.Element;

/// Distances between numbers counted in numbers of their own datatype.
///
/// The bits of a floating-point number, read as an integer of sign and magnitude, count the numbers from zero: neighbours
/// are one apart, across powers of two as well, and the two zeros are none apart.
final class UnitsInTheLastPlace {

  private UnitsInTheLastPlace() {}

  /// The largest distance of two elements. Where one is not finite, both have the same bits.
  static double largest(Element element, double[] b, double[] c, int length) {
    return switch (element) {
      case FP32 -> floats(b, c, length);
      case FP64 -> doubles(b, c, length);
      case FP16, BF16 -> halves(element == Element.FP16, b, c, length);
      case BOOL, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64 -> integers(b, c, length);
    };
  }

  private static double floats(double[] b, double[] c, int length) {
    long largest = 0;
    for (int i = 0; i < length; i++) {
      int baseline = Float.floatToRawIntBits((float) b[i]);
      int candidate = Float.floatToRawIntBits((float) c[i]);
      long apart = Math.abs((long) place(baseline) - place(candidate));
      largest = Math.max(largest, apart);
    }
    return largest;
  }

  private static double doubles(double[] b, double[] c, int length) {
    double largest = 0;
    for (int i = 0; i < length; i++) {
      long baseline = place(Double.doubleToRawLongBits(b[i]));
      long candidate = place(Double.doubleToRawLongBits(c[i]));
      long apart = baseline - candidate;
      boolean overflows = ((baseline ^ candidate) & (baseline ^ apart)) < 0;
      largest = Math.max(largest, overflows ? Math.abs((double) baseline - candidate) : Math.abs((double) apart));
    }
    return largest;
  }

  private static double halves(boolean fp16, double[] b, double[] c, int length) {
    long largest = 0;
    for (int i = 0; i < length; i++) {
      int baseline = fp16 ? Float.floatToFloat16((float) b[i]) << 16 : Float.floatToRawIntBits((float) b[i]);
      int candidate = fp16 ? Float.floatToFloat16((float) c[i]) << 16 : Float.floatToRawIntBits((float) c[i]);
      largest = Math.max(largest, Math.abs((long) place(baseline) - place(candidate)) >> 16);
    }
    return largest;
  }

  private static double integers(double[] b, double[] c, int length) {
    double largest = 0;
    for (int i = 0; i < length; i++) {
      largest = Math.max(largest, Math.abs(b[i] - c[i]));
    }
    return largest;
  }

  private static int place(int bits) {
    return bits >= 0 ? bits : Integer.MIN_VALUE - bits;
  }

  private static long place(long bits) {
    return bits >= 0 ? bits : Long.MIN_VALUE - bits;
  }
}
