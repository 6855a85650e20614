package dev.sluice.runtime.testing;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/// Compares tensors: floats with a relative tolerance of 1e-3 and an absolute one of 1e-5, all else exactly.
public final class TensorAssertions {
  private static final double RELATIVE = 1e-3;
  private static final double ABSOLUTE = 1e-5;

  private TensorAssertions() {}

  public static void assertClose(Tensor actual, Tensor expected) {
    assertThat(difference(actual, expected, RELATIVE, ABSOLUTE)).as(expected.name()).isNull();
  }

  /// How the two differ, in words, or null: floats by more than the tolerances (a NaN is close to a NaN only), all
  /// else in any bit.
  public static @Nullable String difference(Tensor actual, Tensor expected, double relative, double absolute) {
    String header = headerDifference(actual, expected);
    if (header != null) {
      return header;
    }
    return switch (expected.datatype()) {
      case FP16, BF16, FP32, FP64 -> floatDifference(actual, expected, relative, absolute);
      default -> bitDifference(actual, expected);
    };
  }

  /// As [#difference], for floats too in any bit.
  public static @Nullable String bitDifference(Tensor actual, Tensor expected) {
    String header = headerDifference(actual, expected);
    if (header != null || actual.bytes().equals(expected.bytes())) {
      return header;
    }
    String name = expected.name();
    if (expected.datatype() == Datatype.BYTES) {
      return "%s: expected %s, got %s".formatted(name, Tensors.strings(expected), Tensors.strings(actual));
    }
    int at = actual.bytes().mismatch(expected.bytes());
    int size = expected.datatype().byteSize();
    return "%s: %d bytes expected, %d got, which differ from element %d: %s expected, %s got"
        .formatted(
            name, expected.bytes().limit(), actual.bytes().limit(), at / size, hex(expected, at / size), hex(actual, at / size));
  }

  /// Whether every element is a number that is not infinite; true for all that holds no floats.
  public static boolean isFinite(Tensor tensor) {
    return switch (tensor.datatype()) {
      case FP16, BF16, FP32, FP64 -> {
        for (int i = 0; i < tensor.shape().elements(); i++) {
          if (!Double.isFinite(value(tensor, i))) {
            yield false;
          }
        }
        yield true;
      }
      default -> true;
    };
  }

  private static @Nullable String headerDifference(Tensor actual, Tensor expected) {
    if (actual.name().equals(expected.name())
        && actual.datatype() == expected.datatype()
        && actual.shape().equals(expected.shape())) {
      return null;
    }
    return "expected %s %s%s, got %s %s%s"
        .formatted(
            expected.name(), expected.datatype(), expected.shape(), actual.name(), actual.datatype(), actual.shape());
  }

  private static @Nullable String floatDifference(
      Tensor actual, Tensor expected, double relative, double absolute) {
    long elements = expected.shape().elements();
    for (int i = 0; i < elements; i++) {
      double wanted = value(expected, i);
      double seen = value(actual, i);
      boolean close = Math.abs(seen - wanted) <= absolute + relative * Math.abs(wanted);
      if (wanted != seen && (!close || Double.isInfinite(wanted)) && !(Double.isNaN(wanted) && Double.isNaN(seen))) {
        return "%s[%d]: expected %s, got %s".formatted(expected.name(), i, wanted, seen);
      }
    }
    return null;
  }

  private static String hex(Tensor tensor, int element) {
    int size = tensor.datatype().byteSize();
    StringBuilder digits = new StringBuilder("0x");
    for (int i = element * size + size - 1; i >= element * size; i--) {
      digits.append(i < tensor.bytes().limit() ? "%02x".formatted(tensor.bytes().get(i)) : "--");
    }
    return digits.toString();
  }

  private static double value(Tensor tensor, int index) {
    ByteBuffer bytes = tensor.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    Datatype datatype = tensor.datatype();
    int at = index * datatype.byteSize();
    return switch (datatype) {
      case FP16 -> Float.float16ToFloat(bytes.getShort(at));
      case BF16 -> Float.intBitsToFloat(bytes.getShort(at) << 16);
      case FP32 -> bytes.getFloat(at);
      case FP64 -> bytes.getDouble(at);
      default -> throw new IllegalArgumentException(datatype + " holds no floats");
    };
  }
}
