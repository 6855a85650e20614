package dev.sluice.loadtest.traffic;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.Collectors;

/// The datatypes of the Open Inference Protocol: how wide an element is and how a value becomes raw bytes.
enum Datatype {
  BOOL(Kind.BOOL, 1),
  UINT8(Kind.UNSIGNED, 1),
  UINT16(Kind.UNSIGNED, 2),
  UINT32(Kind.UNSIGNED, 4),
  UINT64(Kind.UNSIGNED, 8),
  INT8(Kind.SIGNED, 1),
  INT16(Kind.SIGNED, 2),
  INT32(Kind.SIGNED, 4),
  INT64(Kind.SIGNED, 8),
  FP16(Kind.FLOAT, 2),
  BF16(Kind.FLOAT, 2),
  FP32(Kind.FLOAT, 4),
  FP64(Kind.FLOAT, 8),
  BYTES(Kind.TEXT, 0);

  enum Kind { BOOL, SIGNED, UNSIGNED, FLOAT, TEXT }

  /// Drawn integers stay this small so that indices into small tables (embeddings, one-hot) remain valid.
  private static final int DRAWN_INTEGER_BOUND = 10;

  private static final int DRAWN_TEXT_LENGTH = 16;

  final Kind kind;

  /// Bytes of one element; 0 when every element has a length of its own.
  final int width;

  Datatype(Kind kind, int width) {
    this.kind = kind;
    this.width = width;
  }

  static Datatype of(String input, String name) {
    for (Datatype datatype : values()) {
      if (datatype.name().equals(name)) {
        return datatype;
      }
    }
    throw new InvalidTrafficException("input '%s': the model asks for datatype '%s'; expected one of %s".formatted(
        input, name, Arrays.stream(values()).map(Enum::name).collect(Collectors.joining(", "))));
  }

  /// About how many bytes that many drawn elements take.
  long bytesOf(long elements) {
    return Math.multiplyExact(elements, width == 0 ? 4L + DRAWN_TEXT_LENGTH : width);
  }

  void putDrawn(RawBytes raw, SplittableRandom random) {
    switch (kind) {
      case BOOL -> raw.put(random.nextInt(2), 1);
      case SIGNED, UNSIGNED -> raw.put(random.nextInt(DRAWN_INTEGER_BOUND), width);
      case FLOAT -> putFloat(raw, random.nextGaussian());
      case TEXT -> raw.put(random.ints(DRAWN_TEXT_LENGTH, 'a', 'z' + 1)
          .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
          .toString());
    }
  }

  void putFloat(RawBytes raw, double value) {
    raw.put(
        switch (this) {
          case FP16 -> Float.floatToFloat16((float) value);
          case BF16 -> bfloat16Bits((float) value);
          case FP32 -> Float.floatToRawIntBits((float) value);
          case FP64 -> Double.doubleToRawLongBits(value);
          default -> throw new IllegalStateException(name() + " holds no floating-point numbers");
        },
        width);
  }

  BigInteger smallest() {
    return kind == Kind.SIGNED ? BigInteger.ONE.shiftLeft(8 * width - 1).negate() : BigInteger.ZERO;
  }

  BigInteger largest() {
    return BigInteger.ONE.shiftLeft(kind == Kind.SIGNED ? 8 * width - 1 : 8 * width).subtract(BigInteger.ONE);
  }

  /// The upper half of a float, rounded to nearest with ties to even. NaN is cut instead: rounding could turn it into
  /// infinity.
  private static int bfloat16Bits(float value) {
    int bits = Float.floatToIntBits(value);
    return (Float.isNaN(value) ? bits : bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
}
