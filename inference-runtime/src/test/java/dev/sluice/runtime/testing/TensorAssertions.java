package dev.sluice.runtime.testing;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Compares tensors: floats with a relative tolerance of 1e-3 and an absolute one of 1e-5, all else exactly.
public final class TensorAssertions {
  private static final double RELATIVE = 1e-3;
  private static final double ABSOLUTE = 1e-5;

  private TensorAssertions() {}

  public static void assertClose(Tensor actual, Tensor expected) {
    String name = expected.name();
    assertThat(actual.name()).isEqualTo(name);
    assertThat(actual.datatype()).as("datatype of %s", name).isEqualTo(expected.datatype());
    assertThat(actual.shape()).as("shape of %s", name).isEqualTo(expected.shape());
    switch (expected.datatype()) {
      case FP16, BF16, FP32, FP64 -> assertFloatsClose(actual, expected);
      case BYTES ->
          assertThat(Tensors.byteStrings(actual)).as(name).containsExactlyElementsOf(Tensors.byteStrings(expected));
      default -> assertThat(actual.bytes()).as("bytes of %s", name).isEqualTo(expected.bytes());
    }
  }

  private static void assertFloatsClose(Tensor actual, Tensor expected) {
    long elements = expected.shape().elements();
    for (int i = 0; i < elements; i++) {
      double wanted = value(expected, i);
      double seen = value(actual, i);
      boolean close = Math.abs(seen - wanted) <= ABSOLUTE + RELATIVE * Math.abs(wanted);
      assertThat(close || Double.compare(seen, wanted) == 0)
          .as("%s[%d]: expected %s, got %s", expected.name(), i, wanted, seen)
          .isTrue();
    }
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
