package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The inputs of one run as native tensors, and everything that has to be given back after it.
final class InputTensors implements AutoCloseable {
  // Where native code may read without a penalty; buffers made by a network library may start anywhere.
  private static final int ALIGNMENT = 8;

  private final OrtEnvironment environment;
  private final BufferPool pool;
  private final Map<Datatype, UnsignedCast> casts;
  private final Map<String, OnnxTensor> byName;
  private final List<OnnxTensor> tensors;
  private final List<OrtSession.Result> castTensors = new ArrayList<>(0);
  private final List<ByteBuffer> borrowed;

  InputTensors(
      OrtEnvironment environment, BufferPool pool, Map<Datatype, UnsignedCast> casts, List<Tensor> inputs)
      throws OrtException, ModelExecutionException {
    this.environment = environment;
    this.pool = pool;
    this.casts = casts;
    this.byName = HashMap.newHashMap(inputs.size());
    this.tensors = new ArrayList<>(inputs.size());
    this.borrowed = new ArrayList<>(inputs.size());
    try {
      for (Tensor input : inputs) {
        byName.put(input.name(), tensor(input));
      }
    } catch (OrtException | ModelExecutionException | RuntimeException e) {
      close();
      throw e;
    }
  }

  Map<String, OnnxTensor> byName() {
    return byName;
  }

  @Override
  public void close() {
    for (int i = 0; i < castTensors.size(); i++) {
      castTensors.get(i).close();
    }
    for (int i = 0; i < tensors.size(); i++) {
      tensors.get(i).close();
    }
    for (int i = 0; i < borrowed.size(); i++) {
      pool.give(borrowed.get(i));
    }
  }

  private OnnxTensor tensor(Tensor input) throws OrtException, ModelExecutionException {
    long[] shape = input.shape().toArray();
    if (input.datatype() == Datatype.BYTES) {
      requireElements(input);
      return stringTensor(input, shape);
    }
    ByteBuffer bytes = direct(input.bytes());
    OnnxTensor tensor =
        owned(OnnxTensor.createTensor(environment, bytes, shape, ElementTypes.javaType(input.datatype())));
    UnsignedCast cast = casts.get(input.datatype());
    if (cast == null) {
      return tensor;
    }
    OrtSession.Result unsigned = cast.run(tensor);
    castTensors.add(unsigned);
    return (OnnxTensor) unsigned.get(0);
  }

  // Made of empty strings, which the binding does carry unchanged, and filled past it.
  private OnnxTensor stringTensor(Tensor input, long[] shape) throws OrtException {
    String[] empty = new String[Math.toIntExact(input.shape().elements())];
    Arrays.fill(empty, "");
    OnnxTensor tensor = owned(OnnxTensor.createTensor(environment, empty, shape));
    NativeStrings.write(tensor, input.bytes());
    return tensor;
  }

  private OnnxTensor owned(OnnxTensor tensor) {
    tensors.add(tensor);
    return tensor;
  }

  static boolean canBeReadInPlace(ByteBuffer bytes) {
    return bytes.isDirect() && bytes.alignmentOffset(0, ALIGNMENT) == 0;
  }

  /// The bytes where native code can read them: as they are when possible, else copied once.
  private ByteBuffer direct(ByteBuffer bytes) {
    int size = bytes.limit();
    if (canBeReadInPlace(bytes)) {
      return bytes.slice(0, size).order(ByteOrder.LITTLE_ENDIAN);
    }
    ByteBuffer buffer = pool.take(size);
    borrowed.add(buffer);
    return buffer.put(0, bytes, 0, size).slice(0, size).order(ByteOrder.LITTLE_ENDIAN);
  }

  // Native code trusts the lengths, and a model's string operators expect UTF-8, so both are the caller's to get right.
  private static void requireElements(Tensor input) throws ModelExecutionException {
    ByteBuffer bytes = input.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    long elements = input.shape().elements();
    CharsetDecoder utf8 = StandardCharsets.UTF_8.newDecoder();
    for (long i = 0; i < elements; i++) {
      int length = bytes.remaining() < Integer.BYTES ? -1 : bytes.getInt();
      if (length < 0 || length > bytes.remaining()) {
        throw invalid(input, "element %d of %d reaches beyond its %d bytes".formatted(i, elements, bytes.limit()));
      }
      try {
        utf8.decode(bytes.slice(bytes.position(), length));
      } catch (CharacterCodingException e) {
        throw invalid(input, "element %d is not UTF-8".formatted(i));
      }
      bytes.position(bytes.position() + length);
    }
    if (bytes.hasRemaining()) {
      throw invalid(input, "%d bytes follow its %d elements".formatted(bytes.remaining(), elements));
    }
  }

  private static ModelExecutionException invalid(Tensor input, String fault) {
    return new ModelExecutionException(Kind.INVALID_INPUT, "input '%s': %s".formatted(input.name(), fault));
  }
}
