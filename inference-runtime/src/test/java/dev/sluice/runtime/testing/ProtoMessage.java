package dev.sluice.runtime.testing;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.util.List;

/// A protobuf message written by field numbers, for formats whose generated code we do not want to carry.
final class ProtoMessage {
  private final UnknownFieldSet.Builder fields = UnknownFieldSet.newBuilder();

  ProtoMessage number(int field, long value) {
    return add(field, UnknownFieldSet.Field.newBuilder().addVarint(value));
  }

  ProtoMessage fixed32(int field, int bits) {
    return add(field, UnknownFieldSet.Field.newBuilder().addFixed32(bits));
  }

  ProtoMessage text(int field, String value) {
    return bytes(field, ByteString.copyFromUtf8(value));
  }

  ProtoMessage texts(int field, List<String> values) {
    values.forEach(value -> text(field, value));
    return this;
  }

  ProtoMessage bytes(int field, ByteString value) {
    return add(field, UnknownFieldSet.Field.newBuilder().addLengthDelimited(value));
  }

  ProtoMessage message(int field, ProtoMessage value) {
    return bytes(field, value.toByteString());
  }

  ProtoMessage messages(int field, List<ProtoMessage> values) {
    values.forEach(value -> message(field, value));
    return this;
  }

  ByteString toByteString() {
    return fields.build().toByteString();
  }

  private ProtoMessage add(int number, UnknownFieldSet.Field.Builder field) {
    fields.mergeField(number, field.build());
    return this;
  }
}
