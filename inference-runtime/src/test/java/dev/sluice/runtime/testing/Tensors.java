package dev.sluice.runtime.testing;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// Tensors written as Java values, and read back as such.
public final class Tensors {
  private Tensors() {}

  public static Tensor floats(String name, Shape shape, float... values) {
    ByteBuffer bytes = littleEndian(values.length * Float.BYTES);
    bytes.asFloatBuffer().put(values);
    return new Tensor(name, Datatype.FP32, shape, bytes);
  }

  public static Tensor ints(String name, Shape shape, int... values) {
    ByteBuffer bytes = littleEndian(values.length * Integer.BYTES);
    bytes.asIntBuffer().put(values);
    return new Tensor(name, Datatype.INT32, shape, bytes);
  }

  public static Tensor longs(String name, Shape shape, long... values) {
    ByteBuffer bytes = littleEndian(values.length * Long.BYTES);
    bytes.asLongBuffer().put(values);
    return new Tensor(name, Datatype.INT64, shape, bytes);
  }

  public static Tensor bools(String name, Shape shape, boolean... values) {
    ByteBuffer bytes = littleEndian(values.length);
    for (int i = 0; i < values.length; i++) {
      bytes.put(i, (byte) (values[i] ? 1 : 0));
    }
    return new Tensor(name, Datatype.BOOL, shape, bytes);
  }

  public static Tensor strings(String name, Shape shape, String... values) {
    List<byte[]> elements = new ArrayList<>();
    for (String value : values) {
      elements.add(value.getBytes(StandardCharsets.UTF_8));
    }
    return byteStrings(name, shape, elements);
  }

  public static Tensor byteStrings(String name, Shape shape, List<byte[]> elements) {
    int size = elements.stream().mapToInt(element -> Integer.BYTES + element.length).sum();
    ByteBuffer bytes = littleEndian(size);
    elements.forEach(element -> bytes.putInt(element.length).put(element));
    return new Tensor(name, Datatype.BYTES, shape, bytes.flip());
  }

  /// A tensor of any fixed-size datatype filled with random bits; booleans are 0 or 1.
  public static Tensor random(String name, Datatype datatype, Shape shape, Random random) {
    byte[] bytes = new byte[Math.toIntExact(shape.elements() * datatype.byteSize())];
    random.nextBytes(bytes);
    if (datatype == Datatype.BOOL) {
      for (int i = 0; i < bytes.length; i++) {
        bytes[i] &= 1;
      }
    }
    return new Tensor(name, datatype, shape, ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
  }

  public static float[] floats(Tensor tensor) {
    float[] values = new float[tensor.bytes().remaining() / Float.BYTES];
    tensor.bytes().asFloatBuffer().get(values);
    return values;
  }

  public static List<byte[]> byteStrings(Tensor tensor) {
    ByteBuffer bytes = tensor.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    List<byte[]> elements = new ArrayList<>();
    while (bytes.hasRemaining()) {
      byte[] element = new byte[bytes.getInt()];
      bytes.get(element);
      elements.add(element);
    }
    return elements;
  }

  public static List<String> strings(Tensor tensor) {
    return byteStrings(tensor).stream().map(element -> new String(element, StandardCharsets.UTF_8)).toList();
  }

  private static ByteBuffer littleEndian(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}
