package dev.sluice.gateway.http;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.runtime.tensor.Datatype;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/// One tensor's elements on their way from JSON, nested or flat, into the wire's bytes.
///
/// Element by element and without a tree, so a tensor takes the room of its bytes. A number that its datatype cannot hold is
/// refused, where Triton would keep the low bits.
final class ElementReader {

  private static final BigInteger UINT64_MAX = BigInteger.TWO.pow(64).subtract(BigInteger.ONE);
  private static final int BYTES_AT_FIRST_MAX = 1 << 16;

  private final JsonParser parser;
  private final String where;
  private final Datatype datatype;
  private final int bytesMax;
  private ByteBuffer bytes;
  private long elements;

  private ElementReader(JsonParser parser, String where, Datatype datatype, int expectedBytes, int bytesMax) {
    this.parser = parser;
    this.where = where;
    this.datatype = datatype;
    this.bytesMax = bytesMax;
    this.bytes = allocate(Math.clamp(expectedBytes, 16, BYTES_AT_FIRST_MAX));
  }

  /// A tensor's elements as bytes, ready to be read, and how many there are.
  record Elements(ByteBuffer bytes, long count) {}

  /// Reads the array that the parser stands on, to its end.
  ///
  /// @param where the parser's document in the whole one, for sentences
  /// @param expectedBytes what the shape stands for; a hint
  /// @param bytesMax the most that a tensor may have
  static Elements read(JsonParser parser, String where, Datatype datatype, int expectedBytes, int bytesMax)
      throws InferenceFailure {
    ElementReader reader = new ElementReader(parser, where, datatype, expectedBytes, bytesMax);
    reader.readAll();
    return new Elements(reader.bytes.flip(), reader.elements);
  }

  private void readAll() throws InferenceFailure {
    if (parser.currentToken() != JsonToken.START_ARRAY) {
      throw Json.wrong(parser, where, "an array");
    }
    int depth = 1;
    while (depth > 0) {
      JsonToken token = parser.nextToken();
      if (token == JsonToken.START_ARRAY) {
        depth++;
      } else if (token == JsonToken.END_ARRAY) {
        depth--;
      } else {
        put(token);
        elements++;
      }
    }
  }

  private void put(JsonToken token) throws InferenceFailure {
    switch (datatype) {
      case BOOL -> {
        if (token != JsonToken.VALUE_TRUE && token != JsonToken.VALUE_FALSE) {
          throw notOne();
        }
        room(1).put((byte) (token == JsonToken.VALUE_TRUE ? 1 : 0));
      }
      case UINT8 -> room(1).put((byte) integer(token, 0, 0xFF));
      case UINT16 -> room(2).putShort((short) integer(token, 0, 0xFFFF));
      case UINT32 -> room(4).putInt((int) integer(token, 0, 0xFFFF_FFFFL));
      case UINT64 -> room(8).putLong(unsignedLong(token));
      case INT8 -> room(1).put((byte) integer(token, Byte.MIN_VALUE, Byte.MAX_VALUE));
      case INT16 -> room(2).putShort((short) integer(token, Short.MIN_VALUE, Short.MAX_VALUE));
      case INT32 -> room(4).putInt((int) integer(token, Integer.MIN_VALUE, Integer.MAX_VALUE));
      case INT64 -> room(8).putLong(integer(token, Long.MIN_VALUE, Long.MAX_VALUE));
      case FP32 -> {
        requireNumber(token);
        float value = parser.getFloatValue();
        if (Float.isInfinite(value) && !parser.isNaN()) {
          throw outOfRange();
        }
        room(4).putFloat(value);
      }
      case FP64 -> {
        requireNumber(token);
        double value = parser.getDoubleValue();
        if (Double.isInfinite(value) && !parser.isNaN()) {
          throw outOfRange();
        }
        room(8).putDouble(value);
      }
      case BYTES -> {
        if (token != JsonToken.VALUE_STRING) {
          throw notOne();
        }
        byte[] text = parser.getString().getBytes(UTF_8);
        room(Integer.BYTES + text.length).putInt(text.length).put(text);
      }
      case FP16, BF16 -> throw new IllegalStateException(datatype + " has no JSON form");
    }
  }

  private long integer(JsonToken token, long min, long max) throws InferenceFailure {
    if (token != JsonToken.VALUE_NUMBER_INT) {
      throw notOne();
    }
    if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
      throw outOfRange();
    }
    long value = parser.getLongValue();
    if (value < min || value > max) {
      throw outOfRange();
    }
    return value;
  }

  private long unsignedLong(JsonToken token) throws InferenceFailure {
    if (token == JsonToken.VALUE_NUMBER_INT && parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
      BigInteger value = parser.getBigIntegerValue();
      if (value.signum() < 0 || value.compareTo(UINT64_MAX) > 0) {
        throw outOfRange();
      }
      return value.longValue();
    }
    return integer(token, 0, Long.MAX_VALUE);
  }

  private void requireNumber(JsonToken token) throws InferenceFailure {
    if (token != JsonToken.VALUE_NUMBER_INT && token != JsonToken.VALUE_NUMBER_FLOAT) {
      throw notOne();
    }
  }

  private InferenceFailure notOne() {
    return Json.wrong(
        parser,
        where,
        switch (datatype) {
          case BOOL -> "true or false, as BOOL needs";
          case BYTES -> "a string, as BYTES needs";
          case FP32, FP64 -> "a number, as " + datatype + " needs";
          default -> "an integer, as " + datatype + " needs";
        });
  }

  private InferenceFailure outOfRange() {
    return Json.wrong(parser, where, "in the range of " + datatype);
  }

  private ByteBuffer room(int needed) throws InferenceFailure {
    if (bytes.remaining() < needed) {
      long wanted = (long) bytes.position() + needed;
      if (wanted > bytesMax) {
        throw InferenceFailure.invalid(
            "%s: the tensor has more than %d bytes, the largest message".formatted(Json.path(parser, where), bytesMax));
      }
      bytes = allocate((int) Math.min(bytesMax, Math.max(wanted, 2L * bytes.capacity()))).put(bytes.flip());
    }
    return bytes;
  }

  private static ByteBuffer allocate(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}
