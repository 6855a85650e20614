package dev.sluice.gateway.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.ByteString;
import dev.sluice.proto.inference.InferTensorContents;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.stream.Stream;

/// The protocol's datatypes as text on one side and little-endian bytes on the other.
///
/// Reading text is strict: what does not fit the datatype exactly is an error, because a value that silently became
/// another one would be blamed on the model.
@SuppressWarnings("ImmutableEnumChecker") // The functions capture nothing.
enum Datatype {
  BOOL(text -> bytes(1).put((byte) (bool(text) ? 1 : 0)), (from, to) -> to.addBoolContents(from.get() != 0)),
  UINT8(text -> bytes(1).put((byte) whole(text, 0, 0xFF)), (from, to) -> to.addUintContents(from.get() & 0xFF)),
  UINT16(
      text -> bytes(2).putShort((short) whole(text, 0, 0xFFFF)),
      (from, to) -> to.addUintContents(from.getShort() & 0xFFFF)),
  UINT32(text -> bytes(4).putInt((int) whole(text, 0, 0xFFFF_FFFFL)), (from, to) -> to.addUintContents(from.getInt())),
  UINT64(
      text -> bytes(8).putLong(Long.parseUnsignedLong(text)), (from, to) -> to.addUint64Contents(from.getLong())),
  INT8(
      text -> bytes(1).put((byte) whole(text, Byte.MIN_VALUE, Byte.MAX_VALUE)),
      (from, to) -> to.addIntContents(from.get())),
  INT16(
      text -> bytes(2).putShort((short) whole(text, Short.MIN_VALUE, Short.MAX_VALUE)),
      (from, to) -> to.addIntContents(from.getShort())),
  INT32(
      text -> bytes(4).putInt((int) whole(text, Integer.MIN_VALUE, Integer.MAX_VALUE)),
      (from, to) -> to.addIntContents(from.getInt())),
  INT64(text -> bytes(8).putLong(Long.parseLong(text)), (from, to) -> to.addInt64Contents(from.getLong())),
  FP16(
      text -> bytes(2).putShort(Float.floatToFloat16(finite(text, Float.parseFloat(text), 65_504))),
      (from, to) -> to.addFp32Contents(Float.float16ToFloat(from.getShort()))),
  BF16(
      text -> bytes(2).putShort(bfloat16(finite(text, Float.parseFloat(text), 0x1.FEp127))),
      (from, to) -> to.addFp32Contents(Float.intBitsToFloat(from.getShort() << 16))),
  FP32(
      text -> bytes(4).putFloat(finite(text, Float.parseFloat(text), Float.MAX_VALUE)),
      (from, to) -> to.addFp32Contents(from.getFloat())),
  FP64(
      text -> bytes(8).putDouble(finite(text, Double.parseDouble(text), Double.MAX_VALUE)),
      (from, to) -> to.addFp64Contents(from.getDouble())),
  /// Each element carries its length in front.
  BYTES(Datatype::withLength, (from, to) -> to.addBytesContents(element(from)));

  private final Function<String, ByteBuffer> writer;
  private final BiConsumer<ByteBuffer, InferTensorContents.Builder> reader;

  Datatype(Function<String, ByteBuffer> writer, BiConsumer<ByteBuffer, InferTensorContents.Builder> reader) {
    this.writer = writer;
    this.reader = reader;
  }

  /// One value's bytes.
  ///
  /// @throws NumberFormatException when the text is not a value of this datatype
  ByteString write(String text) {
    return ByteString.copyFrom(writer.apply(text).flip());
  }

  /// All values of a raw tensor, in the protocol's typed fields. Half-width floats, which have no field, become FP32.
  ///
  /// @throws BufferUnderflowException when the bytes end within a value
  InferTensorContents read(ByteString raw) {
    ByteBuffer from = raw.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    InferTensorContents.Builder contents = InferTensorContents.newBuilder();
    while (from.hasRemaining()) {
      reader.accept(from, contents);
    }
    return contents.build();
  }

  /// The values of whichever typed field is filled.
  static List<String> texts(InferTensorContents contents) {
    return Stream.of(
            contents.getBoolContentsList().stream().map(Object::toString),
            contents.getIntContentsList().stream().map(Object::toString),
            contents.getInt64ContentsList().stream().map(Object::toString),
            contents.getUintContentsList().stream().map(Integer::toUnsignedString),
            contents.getUint64ContentsList().stream().map(Long::toUnsignedString),
            contents.getFp32ContentsList().stream().map(Object::toString),
            contents.getFp64ContentsList().stream().map(Object::toString),
            contents.getBytesContentsList().stream().map(ByteString::toStringUtf8))
        .flatMap(values -> values)
        .toList();
  }

  private static ByteBuffer bytes(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static boolean bool(String text) {
    return switch (text) {
      case "true", "1" -> true;
      case "false", "0" -> false;
      default -> throw new NumberFormatException("neither true nor false");
    };
  }

  private static long whole(String text, long min, long max) {
    long value = Long.parseLong(text);
    if (value < min || value > max) {
      throw new NumberFormatException("not between %d and %d".formatted(min, max));
    }
    return value;
  }

  private static float finite(String text, float value, double max) {
    return (float) finite(text, (double) value, max);
  }

  /// Infinity may be asked for, but must not happen.
  private static double finite(String text, double value, double max) {
    if (Math.abs(value) > max && !text.endsWith("Infinity")) {
      throw new NumberFormatException("too large");
    }
    return value;
  }

  /// The upper half of the float's bits, rounded to the nearest, ties to even.
  private static short bfloat16(float value) {
    int bits = Float.floatToIntBits(value);
    return Float.isNaN(value) ? (short) 0x7FC0 : (short) ((bits + 0x7FFF + (bits >>> 16 & 1)) >>> 16);
  }

  private static ByteBuffer withLength(String text) {
    byte[] utf8 = text.getBytes(UTF_8);
    return bytes(4 + utf8.length).putInt(utf8.length).put(utf8);
  }

  private static ByteString element(ByteBuffer from) {
    int length = from.getInt();
    if (length < 0 || length > from.remaining()) {
      throw new BufferUnderflowException();
    }
    return ByteString.copyFrom(from, length);
  }
}
