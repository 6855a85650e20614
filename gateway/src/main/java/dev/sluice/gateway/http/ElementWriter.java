package dev.sluice.gateway.http;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.runtime.tensor.Datatype;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import tools.jackson.core.JsonGenerator;

/// One tensor's elements on their way from the wire's bytes into JSON: a flat array, row-major.
final class ElementWriter {

  private ElementWriter() {}

  /// @throws InferenceFailure when JSON cannot carry the tensor: a datatype without a JSON form, a string that is not text
  static void write(String output, Datatype datatype, ByteBuffer contents, JsonGenerator json) throws InferenceFailure {
    ByteBuffer bytes = contents.order(ByteOrder.LITTLE_ENDIAN);
    if (datatype == Datatype.FP16 || datatype == Datatype.BF16) {
      throw InferenceFailure.invalid(
          "sending %s data via JSON is not supported. Please use the binary data format for output '%s'"
              .formatted(datatype, output));
    }
    json.writeStartArray();
    while (bytes.hasRemaining()) {
      switch (datatype) {
        case BOOL -> json.writeBoolean(bytes.get() != 0);
        case UINT8 -> json.writeNumber(Byte.toUnsignedInt(bytes.get()));
        case UINT16 -> json.writeNumber(Short.toUnsignedInt(bytes.getShort()));
        case UINT32 -> json.writeNumber(Integer.toUnsignedLong(bytes.getInt()));
        case UINT64 -> writeUnsigned(bytes.getLong(), json);
        case INT8 -> json.writeNumber(bytes.get());
        case INT16 -> json.writeNumber(bytes.getShort());
        case INT32 -> json.writeNumber(bytes.getInt());
        case INT64 -> json.writeNumber(bytes.getLong());
        case FP32 -> json.writeNumber(bytes.getFloat());
        case FP64 -> json.writeNumber(bytes.getDouble());
        case BYTES -> json.writeString(text(bytes, output));
        case FP16, BF16 -> throw new IllegalStateException(datatype + " was refused above");
      }
    }
    json.writeEndArray();
  }

  static void writeUnsigned(long value, JsonGenerator json) {
    if (value >= 0) {
      json.writeNumber(value);
    } else {
      json.writeNumber(new BigInteger(Long.toUnsignedString(value)));
    }
  }

  private static String text(ByteBuffer bytes, String output) throws InferenceFailure {
    int length = bytes.getInt();
    ByteBuffer element = bytes.slice(bytes.position(), length);
    bytes.position(bytes.position() + length);
    try {
      return UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .onUnmappableCharacter(CodingErrorAction.REPORT)
          .decode(element)
          .toString();
    } catch (CharacterCodingException e) {
      throw InferenceFailure.invalid(
          "output '%s' has an element of %d bytes that are not UTF-8, which JSON cannot carry. Please use the binary data format"
              .formatted(output, length));
    }
  }
}
