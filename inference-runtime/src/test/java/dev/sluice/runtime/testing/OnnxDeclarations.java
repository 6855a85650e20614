package dev.sluice.runtime.testing;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnknownFieldSet;
import dev.sluice.runtime.tensor.Datatype;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What an ONNX file says that its graph takes and returns, in its own order and whatever the types.
///
/// The inputs of an old file include its weights, which are defaults that nobody has to send.
public record OnnxDeclarations(List<Value> inputs, List<Value> outputs) {

  private static final Map<Integer, String> UNCARRIED_ELEMENTS =
      Map.ofEntries(
          Map.entry(14, "complex64"), Map.entry(15, "complex128"), Map.entry(17, "float8e4m3fn"),
          Map.entry(18, "float8e4m3fnuz"), Map.entry(19, "float8e5m2"), Map.entry(20, "float8e5m2fnuz"),
          Map.entry(21, "uint4"), Map.entry(22, "int4"), Map.entry(23, "float4e2m1"), Map.entry(24, "float8e8m0"),
          Map.entry(25, "uint2"), Map.entry(26, "int2"));

  /// One input or output.
  ///
  /// @param type in ONNX's words: `FP32` and the like for what the protocol carries, else `int4`, `sequence`, ...
  /// @param datatype null for what the protocol cannot carry
  public record Value(String name, String type, @Nullable Datatype datatype) {}

  public static OnnxDeclarations read(Path file) throws IOException {
    UnknownFieldSet graph = message(UnknownFieldSet.parseFrom(Files.readAllBytes(file)), 7);
    return new OnnxDeclarations(values(graph, 11), values(graph, 12));
  }

  private static List<Value> values(UnknownFieldSet graph, int field) throws InvalidProtocolBufferException {
    List<Value> values = new java.util.ArrayList<>();
    for (ByteString bytes : graph.getField(field).getLengthDelimitedList()) {
      UnknownFieldSet value = UnknownFieldSet.parseFrom(bytes);
      String name = value.getField(1).getLengthDelimitedList().getLast().toStringUtf8();
      UnknownFieldSet type = message(value, 2);
      if (!type.hasField(1)) {
        values.add(new Value(name, container(type), null));
        continue;
      }
      int elementType = message(type, 1).getField(1).getVarintList().getLast().intValue();
      Datatype datatype = datatype(elementType);
      String word = datatype == null
          ? UNCARRIED_ELEMENTS.getOrDefault(elementType, "element type " + elementType)
          : datatype.name();
      values.add(new Value(name, word, datatype));
    }
    return List.copyOf(values);
  }

  private static String container(UnknownFieldSet type) {
    return type.hasField(4) ? "sequence"
        : type.hasField(5) ? "map"
        : type.hasField(8) ? "sparse tensor"
        : type.hasField(9) ? "optional"
        : "no type";
  }

  private static @Nullable Datatype datatype(int elementType) {
    for (Datatype datatype : Datatype.values()) {
      if (OnnxGraph.elementType(datatype) == elementType) {
        return datatype;
      }
    }
    return null;
  }

  private static UnknownFieldSet message(UnknownFieldSet outer, int field) throws InvalidProtocolBufferException {
    List<ByteString> values = outer.getField(field).getLengthDelimitedList();
    return values.isEmpty() ? UnknownFieldSet.getDefaultInstance() : UnknownFieldSet.parseFrom(values.getLast());
  }
}
