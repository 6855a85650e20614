package dev.sluice.runtime.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;

class ShapeTest {
  @Test
  void aShapeAcceptsWhatAgreesWithItsFixedDimensions() {
    Shape shape = Shape.of(-1, 3);
    assertThat(shape.accepts(Shape.of(7, 3))).isTrue();
    assertThat(shape.accepts(Shape.of(0, 3))).isTrue();
    assertThat(shape.accepts(Shape.of(7, 4))).isFalse();
    assertThat(shape.accepts(Shape.of(3))).isFalse();
    assertThat(Shape.of().accepts(Shape.of())).isTrue();
    assertThat(Shape.of(3).accepts(Shape.of(-1))).isFalse();
  }

  @Test
  void elementsAreCountedWithoutOverflow() {
    assertThat(Shape.of().elements()).isEqualTo(1);
    assertThat(Shape.of(2, 3, 4).elements()).isEqualTo(24);
    assertThat(Shape.of(2, 0, 4).elements()).isZero();
    long big = 1L << 31;
    assertThatExceptionOfType(ArithmeticException.class).isThrownBy(() -> Shape.of(big, big, 4).elements());
    assertThatExceptionOfType(ArithmeticException.class).isThrownBy(() -> Shape.of(0, big, big, 4).elements());
    assertThatIllegalStateException().isThrownBy(() -> Shape.of(-1, 2).elements());
  }

  @Test
  void onlyMinusOneIsFree() {
    assertThat(Shape.of(1, 2).isStatic()).isTrue();
    assertThat(Shape.of(1, -1).isStatic()).isFalse();
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Shape.of(1, -2))
        .withMessage("shape [1, -2]: dimension -2 is neither -1 (free) nor at least 0");
  }

  @Test
  void aShapeIsAValue() {
    long[] dims = {1, 3};
    Shape shape = Shape.of(dims);
    dims[0] = 9;
    shape.toArray()[1] = 9;
    assertThat(shape).isEqualTo(Shape.of(1, 3)).hasSameHashCodeAs(Shape.of(1, 3)).hasToString("[1, 3]");
    assertThat(shape.rank()).isEqualTo(2);
    assertThat(shape.dim(1)).isEqualTo(3);
  }

  @Test
  void everyDatatypeIsFoundByItsWireNameAndNothingElseIs() {
    for (Datatype datatype : Datatype.values()) {
      assertThat(Datatype.of(datatype.name())).isSameAs(datatype);
    }
    assertThat(Datatype.of("fp32")).isNull();
    assertThat(Datatype.of("STRING")).isNull();
    assertThat(Datatype.of("")).isNull();
  }

  @Test
  void aTensorsBytesBeginAtZeroAndAreLittleEndian() {
    ByteBuffer message = ByteBuffer.wrap(new byte[] {9, 1, 0, 0, 0, 9}).position(1).limit(5);
    Tensor tensor = new Tensor("x", Datatype.INT32, Shape.of(1), message);
    assertThat(tensor.bytes().order()).isEqualTo(ByteOrder.LITTLE_ENDIAN);
    assertThat(tensor.bytes().position()).isZero();
    assertThat(tensor.bytes().limit()).isEqualTo(4);
    assertThat(tensor.bytes().getInt(0)).isEqualTo(1);
  }
}
