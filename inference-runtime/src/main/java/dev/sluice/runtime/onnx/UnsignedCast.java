package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.UnknownFieldSet.Field;
import dev.sluice.runtime.tensor.Datatype;
import java.util.Map;

/// Makes input tensors of the wide unsigned integers, which ONNX Runtime's Java binding has no way to create.
///
/// A model of one `Cast` node takes the signed integers of the same width and returns the unsigned ones; on two's
/// complement that changes the type and keeps every bit. It costs one more copy and about two microseconds, and
/// only models with such inputs have one.
final class UnsignedCast implements AutoCloseable {
  // An opset and an IR that every ONNX Runtime of the last years knows.
  private static final int OPSET = 13;
  private static final int IR_VERSION = 7;

  private final OrtSession session;

  UnsignedCast(OrtEnvironment environment, Datatype unsigned) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      this.session = environment.createSession(model(unsigned).toByteArray(), options);
    }
  }

  static boolean needs(Datatype datatype) {
    return datatype == Datatype.UINT16 || datatype == Datatype.UINT32 || datatype == Datatype.UINT64;
  }

  /// The unsigned twin of a signed tensor, owned by the result.
  OrtSession.Result run(OnnxTensor signed) throws OrtException {
    return session.run(Map.of("x", signed));
  }

  @Override
  public void close() throws OrtException {
    session.close();
  }

  // The file, by the field numbers of onnx.proto.
  private static ByteString model(Datatype unsigned) {
    Datatype signed =
        switch (unsigned) {
          case UINT16 -> Datatype.INT16;
          case UINT32 -> Datatype.INT32;
          case UINT64 -> Datatype.INT64;
          default -> throw new IllegalArgumentException(unsigned + " needs no cast");
        };
    ByteString to = message(Map.of(1, text("to"), 3, number(ElementTypes.onnxNumber(unsigned)), 20, number(2)));
    ByteString cast = message(Map.of(1, text("x"), 2, text("y"), 4, text("Cast"), 5, bytes(to)));
    ByteString graph =
        message(Map.of(1, bytes(cast), 2, text("cast"), 11, value("x", signed), 12, value("y", unsigned)));
    ByteString opset = message(Map.of(1, text(""), 2, number(OPSET)));
    return message(Map.of(1, number(IR_VERSION), 7, bytes(graph), 8, bytes(opset)));
  }

  // Without a shape a value takes any.
  private static Field value(String name, Datatype datatype) {
    ByteString tensor = message(Map.of(1, number(ElementTypes.onnxNumber(datatype))));
    return bytes(message(Map.of(1, text(name), 2, bytes(message(Map.of(1, bytes(tensor)))))));
  }

  private static ByteString message(Map<Integer, Field> fields) {
    UnknownFieldSet.Builder message = UnknownFieldSet.newBuilder();
    fields.forEach(message::addField);
    return message.build().toByteString();
  }

  private static Field number(long value) {
    return Field.newBuilder().addVarint(value).build();
  }

  private static Field text(String value) {
    return bytes(ByteString.copyFromUtf8(value));
  }

  private static Field bytes(ByteString value) {
    return Field.newBuilder().addLengthDelimited(value).build();
  }
}
