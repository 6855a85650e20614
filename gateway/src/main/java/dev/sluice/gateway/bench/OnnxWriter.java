package dev.sluice.gateway.bench;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.UnknownFieldSet.Field;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/// Writes an ONNX file, node by node, with the few things that the bench's models need. The field numbers are those of
/// ONNX's `onnx.proto`.
final class OnnxWriter {
  private static final int IR_VERSION = 10;
  private static final int OPSET = 21;
  private static final int FLOAT = 1;
  private static final int INT64 = 7;

  private final UnknownFieldSet.Builder graph = text(message(), 2, "bench");

  /// An FP32 input of rows: `[-1, columns]`.
  OnnxWriter input(String name, int columns) {
    return add(11, rows(name, columns));
  }

  /// An FP32 output of rows: `[-1, columns]`.
  OnnxWriter output(String name, int columns) {
    return add(12, rows(name, columns));
  }

  OnnxWriter node(String operator, List<String> inputs, String output, Attribute... attributes) {
    UnknownFieldSet.Builder node = message();
    inputs.forEach(input -> text(node, 1, input));
    text(node, 2, output);
    text(node, 4, operator);
    for (Attribute attribute : attributes) {
      bytes(node, 5, attribute.fields.toByteString());
    }
    return add(1, node);
  }

  OnnxWriter constant(String name, float[] values, long... dims) {
    var data = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(values);
    return add(5, tensor(name, FLOAT, data, dims));
  }

  OnnxWriter constant(String name, long... values) {
    var data = ByteBuffer.allocate(values.length * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.asLongBuffer().put(values);
    return add(5, tensor(name, INT64, data, values.length));
  }

  byte[] model() {
    UnknownFieldSet.Builder opset = number(text(message(), 1, ""), 2, OPSET);
    UnknownFieldSet.Builder model = number(message(), 1, IR_VERSION);
    bytes(model, 7, graph.build().toByteString());
    bytes(model, 8, opset.build().toByteString());
    return model.build().toByteArray();
  }

  /// A named attribute of a node.
  record Attribute(UnknownFieldSet fields) {
    static Attribute numbers(String name, long... values) {
      UnknownFieldSet.Builder attribute = number(text(message(), 1, name), 20, 7);
      for (long value : values) {
        number(attribute, 8, value);
      }
      return new Attribute(attribute.build());
    }
  }

  private OnnxWriter add(int field, UnknownFieldSet.Builder message) {
    bytes(graph, field, message.build().toByteString());
    return this;
  }

  private static UnknownFieldSet.Builder rows(String name, int columns) {
    UnknownFieldSet.Builder shape = message();
    bytes(shape, 1, ByteString.EMPTY); // a free dimension
    bytes(shape, 1, number(message(), 1, columns).build().toByteString());
    UnknownFieldSet.Builder tensor = bytes(number(message(), 1, FLOAT), 2, shape.build().toByteString());
    UnknownFieldSet.Builder type = bytes(message(), 1, tensor.build().toByteString());
    return bytes(text(message(), 1, name), 2, type.build().toByteString());
  }

  private static UnknownFieldSet.Builder tensor(String name, int type, ByteBuffer data, long... dims) {
    UnknownFieldSet.Builder tensor = message();
    for (long dim : dims) {
      number(tensor, 1, dim);
    }
    return bytes(text(number(tensor, 2, type), 8, name), 9, ByteString.copyFrom(data));
  }

  private static UnknownFieldSet.Builder message() {
    return UnknownFieldSet.newBuilder();
  }

  private static UnknownFieldSet.Builder number(UnknownFieldSet.Builder message, int field, long value) {
    return message.mergeField(field, Field.newBuilder().addVarint(value).build());
  }

  private static UnknownFieldSet.Builder text(UnknownFieldSet.Builder message, int field, String value) {
    return bytes(message, field, ByteString.copyFromUtf8(value));
  }

  private static UnknownFieldSet.Builder bytes(UnknownFieldSet.Builder message, int field, ByteString value) {
    return message.mergeField(field, Field.newBuilder().addLengthDelimited(value).build());
  }
}
