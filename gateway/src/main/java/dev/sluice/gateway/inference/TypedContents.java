package dev.sluice.gateway.inference;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Elements in the field of their datatype, as KServe's clients and people with a JSON tool send and read them.
final class TypedContents {

  private TypedContents() {}

  /// Whether elements of this type have a field to travel in.
  static boolean canHold(Datatype datatype) {
    return datatype != Datatype.FP16 && datatype != Datatype.BF16;
  }

  // --- to bytes -------------------------------------------------------------------------------------------------------

  /// The bytes that an input's elements take in the raw layout, if all of them are in the one field for its datatype.
  static long byteSize(InferInputTensor input, int i, Datatype datatype, String model) throws InferenceFailure {
    InferTensorContents contents = input.getContents();
    int given = canHold(datatype) ? count(contents, datatype) : 0;
    if (total(contents) != given) {
      throw InferenceFailure.invalid(
          "inputs[%d].contents".formatted(i),
          given > 0
              ? "unexpected explicit tensor data for input tensor '%s' for model '%s', binary data was already supplied."
                  .formatted(input.getName(), model)
              : "unexpected explicit tensor data for input tensor '%s' for model '%s' of type '%s', expected datatype '%s'%s"
                  .formatted(
                      input.getName(),
                      model,
                      fieldType(contents),
                      datatype,
                      canHold(datatype) ? "" : ", which travels in raw_input_contents only"));
    }
    return datatype == Datatype.BYTES ? lengthPrefixed(contents) : (long) given * datatype.byteSize();
  }

  /// The elements in the raw layout, which takes `size` bytes.
  static ByteBuffer bytes(InferTensorContents contents, Datatype datatype, long size) {
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(size)).order(ByteOrder.LITTLE_ENDIAN);
    int given = canHold(datatype) ? count(contents, datatype) : 0;
    for (int i = 0; i < given; i++) {
      put(bytes, contents, datatype, i);
    }
    return bytes.flip();
  }

  private static int count(InferTensorContents contents, Datatype datatype) {
    return switch (datatype) {
      case BOOL -> contents.getBoolContentsCount();
      case INT8, INT16, INT32 -> contents.getIntContentsCount();
      case INT64 -> contents.getInt64ContentsCount();
      case UINT8, UINT16, UINT32 -> contents.getUintContentsCount();
      case UINT64 -> contents.getUint64ContentsCount();
      case FP32 -> contents.getFp32ContentsCount();
      case FP64 -> contents.getFp64ContentsCount();
      case BYTES -> contents.getBytesContentsCount();
      case FP16, BF16 -> throw new IllegalArgumentException(datatype + " has no typed contents");
    };
  }

  private static int total(InferTensorContents contents) {
    return contents.getBoolContentsCount()
        + contents.getIntContentsCount()
        + contents.getInt64ContentsCount()
        + contents.getUintContentsCount()
        + contents.getUint64ContentsCount()
        + contents.getFp32ContentsCount()
        + contents.getFp64ContentsCount()
        + contents.getBytesContentsCount();
  }

  /// The datatype that the first field in use is for.
  private static Datatype fieldType(InferTensorContents contents) {
    if (contents.getBoolContentsCount() > 0) {
      return Datatype.BOOL;
    }
    if (contents.getIntContentsCount() > 0) {
      return Datatype.INT32;
    }
    if (contents.getInt64ContentsCount() > 0) {
      return Datatype.INT64;
    }
    if (contents.getUintContentsCount() > 0) {
      return Datatype.UINT32;
    }
    if (contents.getUint64ContentsCount() > 0) {
      return Datatype.UINT64;
    }
    if (contents.getFp32ContentsCount() > 0) {
      return Datatype.FP32;
    }
    return contents.getFp64ContentsCount() > 0 ? Datatype.FP64 : Datatype.BYTES;
  }

  private static long lengthPrefixed(InferTensorContents contents) {
    long size = 0;
    for (ByteString element : contents.getBytesContentsList()) {
      size += Integer.BYTES + element.size();
    }
    return size;
  }

  /// Narrow integers keep their low bytes, as Triton does.
  private static void put(ByteBuffer bytes, InferTensorContents contents, Datatype datatype, int i) {
    switch (datatype) {
      case BOOL -> bytes.put((byte) (contents.getBoolContents(i) ? 1 : 0));
      case INT8 -> bytes.put((byte) contents.getIntContents(i));
      case INT16 -> bytes.putShort((short) contents.getIntContents(i));
      case INT32 -> bytes.putInt(contents.getIntContents(i));
      case INT64 -> bytes.putLong(contents.getInt64Contents(i));
      case UINT8 -> bytes.put((byte) contents.getUintContents(i));
      case UINT16 -> bytes.putShort((short) contents.getUintContents(i));
      case UINT32 -> bytes.putInt(contents.getUintContents(i));
      case UINT64 -> bytes.putLong(contents.getUint64Contents(i));
      case FP32 -> bytes.putFloat(contents.getFp32Contents(i));
      case FP64 -> bytes.putDouble(contents.getFp64Contents(i));
      case BYTES -> {
        ByteString element = contents.getBytesContents(i);
        bytes.putInt(element.size());
        element.copyTo(bytes);
      }
      case FP16, BF16 -> throw new IllegalArgumentException(datatype + " has no typed contents");
    }
  }

  // --- from bytes -----------------------------------------------------------------------------------------------------

  /// A tensor's elements, of a type that has a field.
  static InferTensorContents of(Tensor tensor) {
    InferTensorContents.Builder contents = InferTensorContents.newBuilder();
    ByteBuffer bytes = tensor.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      switch (tensor.datatype()) {
        case BOOL -> contents.addBoolContents(bytes.get() != 0);
        case INT8 -> contents.addIntContents(bytes.get());
        case INT16 -> contents.addIntContents(bytes.getShort());
        case INT32 -> contents.addIntContents(bytes.getInt());
        case INT64 -> contents.addInt64Contents(bytes.getLong());
        case UINT8 -> contents.addUintContents(Byte.toUnsignedInt(bytes.get()));
        case UINT16 -> contents.addUintContents(Short.toUnsignedInt(bytes.getShort()));
        case UINT32 -> contents.addUintContents(bytes.getInt());
        case UINT64 -> contents.addUint64Contents(bytes.getLong());
        case FP32 -> contents.addFp32Contents(bytes.getFloat());
        case FP64 -> contents.addFp64Contents(bytes.getDouble());
        case BYTES -> {
          byte[] element = new byte[bytes.getInt()];
          bytes.get(element);
          contents.addBytesContents(ByteString.copyFrom(element));
        }
        case FP16, BF16 -> throw new IllegalArgumentException(tensor.datatype() + " has no typed contents");
      }
    }
    return contents.build();
  }
}
