package dev.sluice.runtime.testing;

import com.google.protobuf.ByteString;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Writes ONNX models for tests, node by node: `new OnnxGraph().input(...).node("Identity", ...).output(...).model()`.
///
/// A graph is also what an attribute of `If` or `Loop` holds. The field numbers are those of ONNX's `onnx.proto`.
public final class OnnxGraph {
  private static final int IR_VERSION = 10;
  private static final int OPSET = 21;

  private final ProtoMessage graph = new ProtoMessage().text(2, "graph");

  /// A tensor input; -1 is a free dimension.
  public OnnxGraph input(String name, Datatype datatype, long... dims) {
    graph.message(11, tensorValue(name, elementType(datatype), dims));
    return this;
  }

  /// A tensor input of any of ONNX's element types, by its number.
  public OnnxGraph input(String name, int elementType, long... dims) {
    graph.message(11, tensorValue(name, elementType, dims));
    return this;
  }

  /// A tensor input that takes every rank.
  public OnnxGraph inputOfAnyShape(String name, Datatype datatype) {
    graph.message(11, anyShape(name, datatype));
    return this;
  }

  /// A tensor output; -1 is a free dimension.
  public OnnxGraph output(String name, Datatype datatype, long... dims) {
    return output(name, elementType(datatype), dims);
  }

  /// A tensor output of any of ONNX's element types, by its number.
  public OnnxGraph output(String name, int elementType, long... dims) {
    graph.message(12, tensorValue(name, elementType, dims));
    return this;
  }

  /// A tensor output whose rank the file leaves open.
  public OnnxGraph outputOfAnyShape(String name, Datatype datatype) {
    graph.message(12, anyShape(name, datatype));
    return this;
  }

  /// An output that is a sequence of tensors, which the protocol cannot carry.
  public OnnxGraph sequenceOutput(String name, Datatype datatype) {
    ProtoMessage sequence = new ProtoMessage().message(1, tensorType(elementType(datatype)));
    graph.message(12, new ProtoMessage().text(1, name).message(2, new ProtoMessage().message(4, sequence)));
    return this;
  }

  /// An output that may be missing, which the protocol cannot carry.
  public OnnxGraph optionalOutput(String name, Datatype datatype, long... dims) {
    graph.message(12, optionalValue(name, datatype, dims));
    return this;
  }

  /// An input whose type says that it may be missing.
  public OnnxGraph optionalInput(String name, Datatype datatype, long... dims) {
    graph.message(11, optionalValue(name, datatype, dims));
    return this;
  }

  private static ProtoMessage optionalValue(String name, Datatype datatype, long... dims) {
    ProtoMessage optional = new ProtoMessage().message(1, tensorType(elementType(datatype), dims));
    return new ProtoMessage().text(1, name).message(2, new ProtoMessage().message(9, optional));
  }

  /// An operator of ONNX's own set; attributes come from the static methods below.
  public OnnxGraph node(String operator, List<String> inputs, List<String> outputs, Attribute... attributes) {
    ProtoMessage node = new ProtoMessage().texts(1, inputs).texts(2, outputs).text(4, operator);
    for (Attribute attribute : attributes) {
      node.message(5, attribute.message);
    }
    graph.message(1, node);
    return this;
  }

  /// A constant, kept in the file.
  public OnnxGraph constant(Tensor tensor) {
    graph.message(5, tensorProto(tensor));
    return this;
  }

  /// A constant of 32-bit floats, kept in a file beside the model, wherever `location` points.
  public OnnxGraph externalConstant(String name, String location, long... dims) {
    graph.message(5, externalTensor(name, location, dims));
    return this;
  }

  /// As [#externalConstant], in a file that other constants share: from the byte `offset` on.
  public OnnxGraph externalConstantWithin(String name, String location, long offset, Shape shape) {
    long length = shape.elements() * Float.BYTES;
    graph.message(
        5,
        externalTensor(name, location, shape.toArray())
            .message(13, entry("offset", Long.toString(offset)))
            .message(13, entry("length", Long.toString(length))));
    return this;
  }

  /// A sparse constant of 32-bit floats whose values are kept in a file beside the model.
  public OnnxGraph externalSparseConstant(String name, String location, long... dims) {
    ProtoMessage sparse = new ProtoMessage().message(1, externalTensor(name, location, dims));
    graph.message(15, sparse);
    return this;
  }

  /// The file's bytes.
  public byte[] model() {
    return model(List.of());
  }

  /// The file's bytes, stamped with these versions of the format and of ONNX's own operators, as another time would have
  /// written them.
  public byte[] model(int irVersion, int opset) {
    return model(irVersion, opset, List.of());
  }

  /// The file's bytes, with one function of its own (`test.function`) made of this node's attribute.
  public byte[] modelWithFunction(Attribute attribute) {
    ProtoMessage node = new ProtoMessage().text(2, "out").text(4, "Constant").message(5, attribute.message);
    ProtoMessage function =
        new ProtoMessage()
            .text(1, "function")
            .text(5, "out")
            .message(7, node)
            .message(9, opset("", OPSET))
            .text(10, "test");
    return model(List.of(function));
  }

  /// Writes the file into a version's folder of a repository, `<root>/<model>/<version>/model.onnx`.
  public Path writeTo(Path root, String model, long version) throws IOException {
    return write(root, model, version, model());
  }

  /// Writes any bytes as a version's `model.onnx` and returns the version's folder.
  public static Path write(Path root, String model, long version, byte[] bytes) throws IOException {
    Path folder = Files.createDirectories(root.resolve(model).resolve(Long.toString(version)));
    Files.write(folder.resolve("model.onnx"), bytes);
    return folder;
  }

  /// ONNX's number of an element type.
  public static int elementType(Datatype datatype) {
    return switch (datatype) {
      case FP32 -> 1;
      case UINT8 -> 2;
      case INT8 -> 3;
      case UINT16 -> 4;
      case INT16 -> 5;
      case INT32 -> 6;
      case INT64 -> 7;
      case BYTES -> 8;
      case BOOL -> 9;
      case FP16 -> 10;
      case FP64 -> 11;
      case UINT32 -> 12;
      case UINT64 -> 13;
      case BF16 -> 16;
    };
  }

  /// A named attribute of a node.
  public static final class Attribute {
    private final ProtoMessage message;

    private Attribute(String name, int type, ProtoMessage message) {
      this.message = message.text(1, name).number(20, type);
    }
  }

  public static Attribute number(String name, long value) {
    return new Attribute(name, 2, new ProtoMessage().number(3, value));
  }

  public static Attribute numbers(String name, long... values) {
    ProtoMessage message = new ProtoMessage();
    for (long value : values) {
      message.number(8, value);
    }
    return new Attribute(name, 7, message);
  }

  public static Attribute tensor(String name, Tensor value) {
    return new Attribute(name, 4, new ProtoMessage().message(5, tensorProto(value)));
  }

  public static Attribute externalTensor(String attribute, String tensor, String location, long... dims) {
    return new Attribute(attribute, 4, new ProtoMessage().message(5, externalTensor(tensor, location, dims)));
  }

  public static Attribute externalTensors(String attribute, String tensor, String location, long... dims) {
    return new Attribute(attribute, 9, new ProtoMessage().message(10, externalTensor(tensor, location, dims)));
  }

  public static Attribute graph(String name, OnnxGraph value) {
    return new Attribute(name, 5, new ProtoMessage().message(6, value.graph));
  }

  public static Attribute graphs(String name, OnnxGraph value) {
    return new Attribute(name, 10, new ProtoMessage().message(11, value.graph));
  }

  private byte[] model(List<ProtoMessage> functions) {
    return model(IR_VERSION, OPSET, functions);
  }

  private byte[] model(int irVersion, int opset, List<ProtoMessage> functions) {
    ProtoMessage model = new ProtoMessage().number(1, irVersion).message(7, graph).message(8, opset("", opset));
    if (!functions.isEmpty()) {
      model.message(8, opset("test", 1)).messages(25, functions);
    }
    return model.toByteString().toByteArray();
  }

  private static ProtoMessage opset(String domain, int version) {
    return new ProtoMessage().text(1, domain).number(2, version);
  }

  private static ProtoMessage tensorValue(String name, int elementType, long... dims) {
    return new ProtoMessage().text(1, name).message(2, tensorType(elementType, dims));
  }

  private static ProtoMessage anyShape(String name, Datatype datatype) {
    ProtoMessage tensor = new ProtoMessage().number(1, elementType(datatype));
    return new ProtoMessage().text(1, name).message(2, new ProtoMessage().message(1, tensor));
  }

  private static ProtoMessage tensorType(int elementType, long... dims) {
    ProtoMessage shape = new ProtoMessage();
    for (long dim : dims) {
      shape.message(1, dim < 0 ? new ProtoMessage() : new ProtoMessage().number(1, dim));
    }
    return new ProtoMessage().message(1, new ProtoMessage().number(1, elementType).message(2, shape));
  }

  private static ProtoMessage tensorProto(Tensor tensor) {
    ProtoMessage proto =
        dims(tensor.shape().toArray()).number(2, elementType(tensor.datatype())).text(8, tensor.name());
    if (tensor.datatype() == Datatype.BYTES) {
      for (byte[] element : Tensors.byteStrings(tensor)) {
        proto.bytes(6, ByteString.copyFrom(element));
      }
      return proto;
    }
    ByteBuffer bytes = tensor.bytes().duplicate();
    return proto.bytes(9, ByteString.copyFrom(bytes));
  }

  private static ProtoMessage externalTensor(String name, String location, long... dims) {
    return dims(dims)
        .number(2, elementType(Datatype.FP32))
        .text(8, name)
        .message(13, entry("location", location))
        .number(14, 1);
  }

  private static ProtoMessage entry(String key, String value) {
    return new ProtoMessage().text(1, key).text(2, value);
  }

  private static ProtoMessage dims(long... dims) {
    ProtoMessage proto = new ProtoMessage();
    for (long dim : dims) {
      proto.number(1, dim);
    }
    return proto;
  }
}
