package dev.sluice.runtime.mlflow;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// Nested arrays of JSON as a tensor of the datatype that the model wants.
///
/// Whole numbers may be written with a fraction of zero, as tables of mixed columns are; null is a number that is
/// missing, NaN. Nothing else is bent: a value that the datatype does not have is an error.
final class JsonTensor {
  private static final BigInteger TWO_TO_64 = BigInteger.ONE.shiftLeft(64);

  private final TensorSpec spec;
  private final String label;
  private final List<JsonNode> elements = new ArrayList<>();

  private JsonTensor(TensorSpec spec, String label) {
    this.spec = spec;
    this.label = label;
  }

  static Tensor of(TensorSpec spec, JsonNode value, String label) throws ModelLoadException {
    JsonTensor tensor = new JsonTensor(spec, label);
    long[] dims = dims(value);
    tensor.flatten(value, dims, 0);
    return new Tensor(spec.name(), spec.datatype(), tensor.shape(dims), tensor.bytes());
  }

  private static long[] dims(JsonNode value) {
    List<Long> dims = new ArrayList<>();
    for (JsonNode inner = value; inner.isArray(); inner = inner.path(0)) {
      dims.add((long) inner.size());
    }
    return dims.stream().mapToLong(Long::longValue).toArray();
  }

  private void flatten(JsonNode value, long[] dims, int depth) throws ModelLoadException {
    if (depth == dims.length) {
      if (value.isArray()) {
        throw fault("its arrays are not nested evenly");
      }
      elements.add(value);
      return;
    }
    if (!value.isArray() || value.size() != dims[depth]) {
      throw fault("its arrays are not nested evenly");
    }
    for (JsonNode inner : value) {
      flatten(inner, dims, depth + 1);
    }
  }

  /// A column has one dimension, and many models want one more of 1.
  private Shape shape(long[] dims) throws ModelLoadException {
    Shape shape = Shape.of(dims);
    if (spec.shape().accepts(shape)) {
      return shape;
    }
    if (dims.length == 1 && spec.shape().accepts(Shape.of(dims[0], 1))) {
      return Shape.of(dims[0], 1);
    }
    throw fault("it has shape %s; the model has %s".formatted(shape, spec.shape()));
  }

  private ByteBuffer bytes() throws ModelLoadException {
    if (spec.datatype() == Datatype.BYTES) {
      return strings();
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(elements.size(), spec.datatype().byteSize()))
            .order(ByteOrder.LITTLE_ENDIAN);
    for (JsonNode element : elements) {
      put(bytes, element);
    }
    return bytes.flip();
  }

  private void put(ByteBuffer bytes, JsonNode element) throws ModelLoadException {
    switch (spec.datatype()) {
      case BOOL -> bytes.put((byte) (bool(element) ? 1 : 0));
      case UINT8 -> bytes.put((byte) whole(element, 0, 0xff));
      case UINT16 -> bytes.putShort((short) whole(element, 0, 0xffff));
      case UINT32 -> bytes.putInt((int) whole(element, 0, 0xffff_ffffL));
      case UINT64 -> bytes.putLong(unsigned(element));
      case INT8 -> bytes.put((byte) whole(element, Byte.MIN_VALUE, Byte.MAX_VALUE));
      case INT16 -> bytes.putShort((short) whole(element, Short.MIN_VALUE, Short.MAX_VALUE));
      case INT32 -> bytes.putInt((int) whole(element, Integer.MIN_VALUE, Integer.MAX_VALUE));
      case INT64 -> bytes.putLong(whole(element, Long.MIN_VALUE, Long.MAX_VALUE));
      case FP16 -> bytes.putShort(Float.floatToFloat16((float) real(element)));
      case BF16 -> bytes.putShort(bfloat16((float) real(element)));
      case FP32 -> bytes.putFloat((float) real(element));
      case FP64 -> bytes.putDouble(real(element));
      case BYTES -> throw new IllegalStateException("strings have no fixed size");
    }
  }

  private boolean bool(JsonNode element) throws ModelLoadException {
    if (element.isBoolean()) {
      return element.booleanValue();
    }
    return whole(element, 0, 1) == 1;
  }

  private long whole(JsonNode element, long min, long max) throws ModelLoadException {
    BigInteger value = integer(element);
    if (value.compareTo(BigInteger.valueOf(min)) < 0 || value.compareTo(BigInteger.valueOf(max)) > 0) {
      throw unfit(element);
    }
    return value.longValueExact();
  }

  private long unsigned(JsonNode element) throws ModelLoadException {
    BigInteger value = integer(element);
    if (value.signum() < 0 || value.compareTo(TWO_TO_64) >= 0) {
      throw unfit(element);
    }
    return value.longValue();
  }

  private BigInteger integer(JsonNode element) throws ModelLoadException {
    if (element.isIntegralNumber()) {
      return element.bigIntegerValue();
    }
    if (element.isNumber()) {
      double value = element.doubleValue();
      // Above 2^53 a double is no whole number that anybody wrote.
      if (value == Math.rint(value) && Math.abs(value) <= 1L << 53) {
        return BigInteger.valueOf((long) value);
      }
    }
    throw unfit(element);
  }

  private double real(JsonNode element) throws ModelLoadException {
    if (element.isNull()) {
      return Double.NaN;
    }
    if (element.isBoolean()) {
      return element.booleanValue() ? 1 : 0;
    }
    if (!element.isNumber()) {
      throw unfit(element);
    }
    return element.doubleValue();
  }

  /// To the nearest, ties to even, as everybody rounds.
  private static short bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return Float.isNaN(value) ? (short) 0x7fc0 : (short) ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }

  private ByteBuffer strings() throws ModelLoadException {
    List<byte[]> texts = new ArrayList<>();
    int size = 0;
    for (JsonNode element : elements) {
      if (!element.isString()) {
        throw unfit(element);
      }
      byte[] text = element.stringValue().getBytes(StandardCharsets.UTF_8);
      texts.add(text);
      size = Math.addExact(size, Integer.BYTES + text.length);
    }
    ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    texts.forEach(text -> bytes.putInt(text.length).put(text));
    return bytes.flip();
  }

  private ModelLoadException unfit(JsonNode element) {
    return fault("%s is no %s".formatted(element, spec.datatype()));
  }

  private ModelLoadException fault(String message) {
    return new ModelLoadException("%s: input '%s': %s".formatted(label, spec.name(), message));
  }
}
