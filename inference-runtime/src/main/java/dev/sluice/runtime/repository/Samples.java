package dev.sluice.runtime.repository;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Invented inputs, for the runs that are made while a model is loaded.
final class Samples {
  /// Of one invented tensor.
  static final long BYTES_MAX = 1L << 28;

  private static final int TEXT_BYTES = 2;

  private Samples() {}

  /// The shape with every free dimension set to the same size.
  static Shape sized(Shape shape, long free) {
    return Shape.of(Arrays.stream(shape.toArray()).map(dim -> dim < 0 ? free : dim).toArray());
  }

  /// Whether so many tensors of this static shape are small enough to be invented.
  static boolean fits(Datatype datatype, Shape shape, int tensors) {
    double bytes = (double) tensors * (datatype == Datatype.BYTES ? Integer.BYTES + TEXT_BYTES : datatype.byteSize());
    for (int i = 0; i < shape.rank(); i++) {
      bytes *= shape.dim(i);
    }
    return bytes <= BYTES_MAX;
  }

  /// Zeros; strings are empty.
  static Tensor zeros(TensorSpec spec, Shape shape) {
    // An empty string is four zero bytes: the length that follows nothing.
    int elementBytes = spec.datatype() == Datatype.BYTES ? Integer.BYTES : spec.datatype().byteSize();
    return new Tensor(spec.name(), spec.datatype(), shape, buffer(Math.toIntExact(shape.elements() * elementBytes)));
  }

  /// Numbers between -1 and 1, integers from 0 to below `integers`, strings of two letters. The first element of an
  /// integer or boolean tensor is `first` of its possible values, so that two tensors can be made to differ.
  static Tensor random(TensorSpec spec, Shape shape, Random random, int integers, int first) {
    Datatype datatype = spec.datatype();
    int elements = Math.toIntExact(shape.elements());
    int elementBytes = datatype == Datatype.BYTES ? Integer.BYTES + TEXT_BYTES : datatype.byteSize();
    ByteBuffer bytes = buffer(Math.multiplyExact(elements, elementBytes));
    for (int i = 0; i < elements; i++) {
      int integer = i == 0 ? first % integers : random.nextInt(integers);
      switch (datatype) {
        case BOOL -> bytes.put((byte) (i == 0 ? first % 2 : random.nextInt(2)));
        case INT8, UINT8 -> bytes.put((byte) integer);
        case INT16, UINT16 -> bytes.putShort((short) integer);
        case INT32, UINT32 -> bytes.putInt(integer);
        case INT64, UINT64 -> bytes.putLong(integer);
        case FP16 -> bytes.putShort(Float.floatToFloat16(real(random)));
        case BF16 -> bytes.putShort((short) (Float.floatToIntBits(real(random)) >>> 16));
        case FP32 -> bytes.putFloat(real(random));
        case FP64 -> bytes.putDouble(real(random));
        case BYTES -> bytes.putInt(TEXT_BYTES).put(letter(random)).put(letter(random));
      }
    }
    return new Tensor(spec.name(), datatype, shape, bytes.flip());
  }

  /// Tensors of the same shape but for their rows, one below the other.
  static Tensor stacked(List<Tensor> rows) {
    Tensor first = rows.getFirst();
    ByteBuffer bytes = buffer(rows.stream().mapToInt(row -> row.bytes().limit()).reduce(0, Math::addExact));
    rows.forEach(row -> bytes.put(row.bytes().duplicate()));
    long[] shape = first.shape().toArray();
    shape[0] = rows.stream().mapToLong(row -> row.shape().dim(0)).sum();
    return new Tensor(first.name(), first.datatype(), Shape.of(shape), bytes.flip());
  }

  private static float real(Random random) {
    return 2 * random.nextFloat() - 1;
  }

  private static byte letter(Random random) {
    return (byte) ('a' + random.nextInt(26));
  }

  private static ByteBuffer buffer(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}
