package dev.sluice.gateway.http;

import com.google.protobuf.ByteString;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.MapEntry;
import com.google.protobuf.Message;
import java.util.List;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;

/// A message of the protocol as Triton writes it in JSON: names as in the `.proto`, enums by name, every scalar, list and map
/// even when it is empty, and integers of 64 bits as numbers, which the JSON mapping of protobuf itself writes as strings.
final class MessageJson {

  /// What becomes of a message that is not set.
  enum Absent {
    LEFT_OUT,
    WRITTEN_AS_EMPTY
  }

  private MessageJson() {}

  static Blocks write(Message message, Absent absent, int bytesMax) {
    Blocks blocks = new Blocks(bytesMax);
    try (JsonGenerator json = Json.FACTORY.createGenerator(ObjectWriteContext.empty(), blocks)) {
      writeMessage(message, absent, json);
    }
    return blocks;
  }

  private static void writeMessage(Message message, Absent absent, JsonGenerator json) {
    json.writeStartObject();
    for (FieldDescriptor field : message.getDescriptorForType().getFields()) {
      if (written(message, field, absent)) {
        json.writeName(field.getName());
        writeField(message, field, absent, json);
      }
    }
    json.writeEndObject();
  }

  private static boolean written(Message message, FieldDescriptor field, Absent absent) {
    boolean choice = field.getContainingOneof() != null; // only what is chosen
    boolean unset = field.hasPresence() && !message.hasField(field);
    return !unset || (!choice && absent == Absent.WRITTEN_AS_EMPTY);
  }

  private static void writeField(Message message, FieldDescriptor field, Absent absent, JsonGenerator json) {
    Object value = message.getField(field);
    if (field.isMapField()) {
      json.writeStartObject();
      for (Object entry : (List<?>) value) {
        writeEntry((MapEntry<?, ?>) entry, field, absent, json);
      }
      json.writeEndObject();
    } else if (field.isRepeated()) {
      json.writeStartArray();
      for (Object element : (List<?>) value) {
        writeValue(element, field, absent, json);
      }
      json.writeEndArray();
    } else {
      writeValue(value, field, absent, json);
    }
  }

  private static void writeEntry(MapEntry<?, ?> entry, FieldDescriptor map, Absent absent, JsonGenerator json) {
    FieldDescriptor key = map.getMessageType().findFieldByName("key");
    boolean unsigned = key.getType() == FieldDescriptor.Type.UINT64;
    Object name = entry.getKey();
    json.writeName(unsigned ? Long.toUnsignedString((Long) name) : name.toString());
    writeValue(entry.getValue(), map.getMessageType().findFieldByName("value"), absent, json);
  }

  private static void writeValue(Object value, FieldDescriptor field, Absent absent, JsonGenerator json) {
    switch (field.getType()) {
      case BOOL -> json.writeBoolean((Boolean) value);
      case STRING -> json.writeString((String) value);
      case FLOAT -> json.writeNumber((Float) value);
      case DOUBLE -> json.writeNumber((Double) value);
      case INT32, SINT32, SFIXED32 -> json.writeNumber((Integer) value);
      case UINT32, FIXED32 -> json.writeNumber(Integer.toUnsignedLong((Integer) value));
      case INT64, SINT64, SFIXED64 -> json.writeNumber((Long) value);
      case UINT64, FIXED64 -> ElementWriter.writeUnsigned((Long) value, json);
      case ENUM -> json.writeString(((EnumValueDescriptor) value).getName());
      case BYTES -> json.writeBinary(((ByteString) value).toByteArray());
      case MESSAGE, GROUP -> writeMessage((Message) value, absent, json);
    }
  }
}
