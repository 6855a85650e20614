package dev.sluice.runtime.testing;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.UnknownFieldSet;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// ONNX's test data: `test_data_set_N/{input,output}_K.pb`, each a serialized `TensorProto` that names its tensor.
public final class OnnxTestData {
  /// Where real models lie; else a folder `shared/models` is looked for from the working directory upwards.
  public static final String MODELS_VARIABLE = "SLUICE_SHARED_MODELS";

  private OnnxTestData() {}

  /// What one set feeds a model and what it expects back.
  public record TestSet(String name, List<Tensor> inputs, List<Tensor> outputs) {}

  /// The folder of real models, laid out as a repository, when this machine has one.
  public static Optional<Path> sharedModels() {
    String named = System.getProperty(MODELS_VARIABLE, System.getenv(MODELS_VARIABLE));
    if (named != null) {
      return Optional.of(Path.of(named));
    }
    for (Path folder = Path.of("").toAbsolutePath(); folder != null; folder = folder.getParent()) {
      Path models = folder.resolve("shared").resolve("models");
      if (Files.isDirectory(models)) {
        return Optional.of(models);
      }
    }
    return Optional.empty();
  }

  /// The test sets beside a version's `model.onnx`, in the order of their names.
  public static List<TestSet> sets(Path versionFolder) {
    try (Stream<Path> files = Files.list(versionFolder)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith("test_data_set_"))
          .sorted()
          .map(set -> new TestSet(set.getFileName().toString(), tensors(set, "input_"), tensors(set, "output_")))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /// Reads one tensor; some files leave its name empty.
  public static Tensor read(Path file) {
    try {
      return tensor(UnknownFieldSet.parseFrom(Files.readAllBytes(file)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<Tensor> tensors(Path set, String prefix) {
    List<Tensor> tensors = new ArrayList<>();
    for (int i = 0; Files.exists(set.resolve(prefix + i + ".pb")); i++) {
      tensors.add(read(set.resolve(prefix + i + ".pb")));
    }
    return tensors;
  }

  private static Tensor tensor(UnknownFieldSet proto) throws IOException {
    List<ByteString> names = proto.getField(8).getLengthDelimitedList();
    String name = names.isEmpty() ? "" : names.getLast().toStringUtf8();
    Shape shape = Shape.of(varints(proto.getField(1)).stream().mapToLong(Long::longValue).toArray());
    long number = varints(proto.getField(2)).getLast();
    Datatype datatype = datatype((int) number);
    if (datatype == Datatype.BYTES) {
      List<byte[]> elements =
          proto.getField(6).getLengthDelimitedList().stream().map(ByteString::toByteArray).toList();
      return Tensors.byteStrings(name, shape, elements);
    }
    List<ByteString> raw = proto.getField(9).getLengthDelimitedList();
    ByteBuffer bytes =
        raw.isEmpty()
            ? typedData(proto, datatype, Math.toIntExact(shape.elements()))
            : ByteBuffer.wrap(raw.getLast().toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
    return new Tensor(name, datatype, shape, bytes);
  }

  // Without raw data the elements lie in the field of a wider type: half floats as the 16 bits of an integer.
  private static ByteBuffer typedData(UnknownFieldSet proto, Datatype datatype, int elements) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(elements * datatype.byteSize()).order(ByteOrder.LITTLE_ENDIAN);
    switch (datatype) {
      case FP32 -> {
        for (int bits : fixed32s(proto.getField(4))) {
          bytes.putInt(bits);
        }
      }
      case FP64 -> {
        for (long bits : fixed64s(proto.getField(10))) {
          bytes.putLong(bits);
        }
      }
      default -> {
        int field =
            switch (datatype) {
              case INT64 -> 7;
              case UINT32, UINT64 -> 11;
              default -> 5;
            };
        for (long value : varints(proto.getField(field))) {
          switch (datatype.byteSize()) {
            case 1 -> bytes.put((byte) value);
            case 2 -> bytes.putShort((short) value);
            case 4 -> bytes.putInt((int) value);
            default -> bytes.putLong(value);
          }
        }
      }
    }
    if (bytes.hasRemaining()) {
      throw new IllegalArgumentException(
          "a tensor of %d elements lacks %d bytes".formatted(elements, bytes.remaining()));
    }
    return bytes.flip();
  }

  private static Datatype datatype(int elementType) {
    for (Datatype datatype : Datatype.values()) {
      if (OnnxGraph.elementType(datatype) == elementType) {
        return datatype;
      }
    }
    throw new IllegalArgumentException("element type %d is not one of the protocol's".formatted(elementType));
  }

  // A repeated number is written one by one or packed; readers take both.
  private static List<Long> varints(UnknownFieldSet.Field field) throws IOException {
    List<Long> values = new ArrayList<>(field.getVarintList());
    for (ByteString packed : field.getLengthDelimitedList()) {
      CodedInputStream in = packed.newCodedInput();
      while (!in.isAtEnd()) {
        values.add(in.readRawVarint64());
      }
    }
    return values;
  }

  private static List<Integer> fixed32s(UnknownFieldSet.Field field) throws IOException {
    List<Integer> values = new ArrayList<>(field.getFixed32List());
    for (ByteString packed : field.getLengthDelimitedList()) {
      CodedInputStream in = packed.newCodedInput();
      while (!in.isAtEnd()) {
        values.add(in.readRawLittleEndian32());
      }
    }
    return values;
  }

  private static List<Long> fixed64s(UnknownFieldSet.Field field) throws IOException {
    List<Long> values = new ArrayList<>(field.getFixed64List());
    for (ByteString packed : field.getLengthDelimitedList()) {
      CodedInputStream in = packed.newCodedInput();
      while (!in.isAtEnd()) {
        values.add(in.readRawLittleEndian64());
      }
    }
    return values;
  }
}
