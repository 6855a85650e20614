package dev.sluice.runtime.onnx;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.WireFormat;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.tensor.Shape;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// A look into an ONNX file before native code may parse it: is it whole, and does it stay inside its folder?
///
/// A model may keep weights in other files, and a crafted one may name any file of the machine. This walks the
/// protobuf at the level of its wire format, down every path on which a tensor can hide (initialisers, attributes,
/// subgraphs, functions, training graphs), and checks each location it finds. Weights are skipped, not read, so a
/// file of any size costs a few kilobytes. The field numbers are those of `onnx.proto`.
final class OnnxFile {
  /// What protobuf itself allows; a well-formed model nests a few levels per subgraph.
  private static final int DEPTH_MAX = 100;
  private static final int TEXT_BYTES_MAX = 1 << 16;
  private static final int VALUE_BYTES_MAX = 1 << 20;
  // Fields of a tensor: number and wire type.
  private static final int TENSOR_NAME = 8 << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED;
  private static final int TENSOR_EXTERNAL_DATA = 13 << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED;
  private static final int TENSOR_DATA_LOCATION = 14 << 3 | WireFormat.WIRETYPE_VARINT;
  private static final long EXTERNAL = 1;
  private static final int MODEL_IR_VERSION = 1 << 3 | WireFormat.WIRETYPE_VARINT;
  private static final int REPLACEABLE_SINCE_IR_VERSION = 4;

  /// An input or output as the file declares it; `elementType` is 0 when it is no tensor.
  record Value(String name, int elementType, Shape shape) {}

  /// What the file declares, in its order.
  ///
  /// @param inputs without those that have a default in the file
  /// @param defaulted inputs that have one which a run may replace
  record Declared(List<Value> inputs, List<Value> defaulted, List<Value> outputs) {
    /// Whether the file leaves open how many dimensions the tensor has.
    boolean isOfAnyRank(String name) {
      return Stream.concat(inputs.stream(), outputs.stream())
          .anyMatch(value -> value.name().equals(name) && value.shape().isAnyRank());
    }
  }

  /// The messages on the way to a tensor, and which of their fields lead on.
  private enum Message {
    MODEL,
    GRAPH,
    NODE,
    ATTRIBUTE,
    FUNCTION,
    TRAINING,
    SPARSE_TENSOR,
    TENSOR;

    @Nullable Message at(int field) {
      return switch (this) {
        case MODEL ->
            switch (field) {
              case 7 -> GRAPH;
              case 20 -> TRAINING;
              case 25 -> FUNCTION;
              default -> null;
            };
        case GRAPH ->
            switch (field) {
              case 1 -> NODE;
              case 5 -> TENSOR;
              case 15 -> SPARSE_TENSOR;
              default -> null;
            };
        case NODE -> field == 5 ? ATTRIBUTE : null;
        case ATTRIBUTE ->
            switch (field) {
              case 5, 10 -> TENSOR;
              case 6, 11 -> GRAPH;
              case 22, 23 -> SPARSE_TENSOR;
              default -> null;
            };
        case FUNCTION ->
            switch (field) {
              case 7 -> NODE;
              case 11 -> ATTRIBUTE;
              default -> null;
            };
        case TRAINING -> field == 1 || field == 2 ? GRAPH : null;
        case SPARSE_TENSOR -> field == 1 || field == 2 ? TENSOR : null;
        case TENSOR -> null;
      };
    }
  }

  private final Path folder;
  private final String label;
  private final CodedInputStream in;
  private final List<Value> inputs = new ArrayList<>();
  private final List<Value> outputs = new ArrayList<>();
  private final Set<String> defaults = new HashSet<>();
  private boolean graphSeen;
  private long irVersion;

  private OnnxFile(Path folder, String label, CodedInputStream in) {
    this.folder = folder;
    this.label = label;
    this.in = in;
  }

  /// Reads the file through and returns what it declares; `label` names it in messages.
  static Declared check(Path file, String label) throws ModelLoadException {
    try (InputStream stream = new BufferedInputStream(Files.newInputStream(file))) {
      long size = Files.size(file);
      if (size > Integer.MAX_VALUE) {
        throw new ModelLoadException(
            "%s has %d bytes, more than the 2 GiB of a protobuf file; keep its weights in external data"
                .formatted(label, size));
      }
      CodedInputStream in = CodedInputStream.newInstance(stream);
      // Without a limit, skipping weights that the file no longer has would pass for skipping them.
      in.pushLimit((int) size);
      OnnxFile scan = new OnnxFile(folderOf(file), label, in);
      scan.walk(Message.MODEL, 0);
      if (!scan.graphSeen) {
        throw new ModelLoadException("%s is not an ONNX model: it holds no graph".formatted(label));
      }
      return scan.declared();
    } catch (InvalidProtocolBufferException e) {
      throw new ModelLoadException("%s is corrupt or not an ONNX model: %s".formatted(label, firstLine(e)), e);
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
    }
  }

  private Declared declared() {
    // Before that version every initialiser was listed among the inputs, and none could be replaced.
    boolean replaceable = irVersion >= REPLACEABLE_SINCE_IR_VERSION;
    return new Declared(
        inputs.stream().filter(input -> !defaults.contains(input.name())).toList(),
        inputs.stream().filter(input -> replaceable && defaults.contains(input.name())).toList(),
        outputs);
  }

  private static Path folderOf(Path file) throws IOException {
    Path folder = file.toRealPath().getParent();
    if (folder == null) {
      throw new NoSuchFileException(file.toString());
    }
    return folder;
  }

  private void walk(Message message, int depth) throws IOException, ModelLoadException {
    if (depth > DEPTH_MAX) {
      throw new ModelLoadException("%s nests its graphs deeper than %d messages".formatted(label, DEPTH_MAX));
    }
    if (message == Message.TENSOR) {
      String name = checkTensor();
      if (depth == 2) {
        defaults.add(name);
      }
      return;
    }
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      int field = WireFormat.getTagFieldNumber(tag);
      boolean nested = WireFormat.getTagWireType(tag) == WireFormat.WIRETYPE_LENGTH_DELIMITED;
      Message next = nested ? message.at(field) : null;
      if (next != null) {
        graphSeen |= message == Message.MODEL && next == Message.GRAPH;
        int outer = in.pushLimit(in.readRawVarint32());
        walk(next, depth + 1);
        in.popLimit(outer);
      } else if (nested && message == Message.GRAPH && depth == 1 && field == 12) {
        outputs.add(value(readBytes(VALUE_BYTES_MAX)));
      } else if (nested && message == Message.GRAPH && depth == 1 && field == 11) {
        inputs.add(value(readBytes(VALUE_BYTES_MAX)));
      } else if (message == Message.MODEL && tag == MODEL_IR_VERSION) {
        irVersion = in.readInt64();
      } else {
        skip(tag);
      }
    }
  }

  /// Returns the tensor's name.
  private String checkTensor() throws IOException, ModelLoadException {
    String name = "";
    List<String> locations = new ArrayList<>(0);
    boolean external = false;
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      switch (tag) {
        case TENSOR_NAME -> name = readBytes(TEXT_BYTES_MAX).toStringUtf8();
        case TENSOR_EXTERNAL_DATA -> {
          UnknownFieldSet entry = UnknownFieldSet.parseFrom(readBytes(TEXT_BYTES_MAX));
          if (text(entry, 1).equals("location")) {
            locations.add(text(entry, 2));
          }
        }
        case TENSOR_DATA_LOCATION -> external |= in.readInt64() == EXTERNAL;
        default -> skip(tag);
      }
    }
    if (external && locations.isEmpty()) {
      throw new ModelLoadException("%s: tensor '%s' is external data without a location".formatted(label, name));
    }
    for (String location : locations) {
      String fault = faultOf(location);
      if (fault != null) {
        throw new ModelLoadException(
            "%s: tensor '%s' has its data at '%s', which %s".formatted(label, name, location, fault));
      }
    }
    return name;
  }

  /// What forbids reading this location, or null. It must be a plain file that nobody else can reach another way.
  private @Nullable String faultOf(String location) throws IOException {
    Path relative;
    try {
      relative = Path.of(location);
    } catch (InvalidPathException e) {
      return "is not a path";
    }
    // Other systems' absolute paths too: the same model must not be safe here and unsafe there.
    if (location.isEmpty() || relative.isAbsolute() || location.contains("\\") || location.matches("[A-Za-z]:.*")) {
      return "is not a relative path";
    }
    for (Path part : relative) {
      if (part.toString().equals("..")) {
        return "leaves the model's folder";
      }
    }
    Path file;
    try {
      file = folder.resolve(relative).toRealPath();
    } catch (NoSuchFileException e) {
      return "does not exist";
    }
    if (!file.startsWith(folder)) {
      return "is a link that leaves the model's folder";
    }
    if (!Files.isRegularFile(file)) {
      return "is not a regular file";
    }
    if (file.getFileSystem().supportedFileAttributeViews().contains("unix")
        && (int) Files.getAttribute(file, "unix:nlink") != 1) {
      return "has more than one hard link";
    }
    return null;
  }

  private void skip(int tag) throws IOException {
    if (!in.skipField(tag)) {
      throw new InvalidProtocolBufferException("a group ends that never began");
    }
  }

  private ByteString readBytes(int bytesMax) throws IOException, ModelLoadException {
    int size = in.readRawVarint32();
    if (size < 0 || size > bytesMax) {
      throw new ModelLoadException(
          "%s holds a name or a type of %d bytes; at most %d are allowed"
              .formatted(label, Integer.toUnsignedLong(size), bytesMax));
    }
    return ByteString.copyFrom(in.readRawBytes(size));
  }

  private static Value value(ByteString bytes) throws InvalidProtocolBufferException {
    UnknownFieldSet value = UnknownFieldSet.parseFrom(bytes);
    UnknownFieldSet tensor = message(message(value, 2), 1);
    List<ByteString> dims = message(tensor, 2).getField(1).getLengthDelimitedList();
    long[] shape = new long[dims.size()];
    for (int i = 0; i < shape.length; i++) {
      List<Long> dim = UnknownFieldSet.parseFrom(dims.get(i)).getField(1).getVarintList();
      shape[i] = dim.isEmpty() ? -1 : Math.max(-1, dim.getLast());
    }
    List<Long> elementType = tensor.getField(1).getVarintList();
    return new Value(
        text(value, 1),
        elementType.isEmpty() ? 0 : elementType.getLast().intValue(),
        tensor.hasField(2) ? Shape.of(shape) : Shape.ofAnyRank());
  }

  private static UnknownFieldSet message(UnknownFieldSet outer, int field) throws InvalidProtocolBufferException {
    List<ByteString> values = outer.getField(field).getLengthDelimitedList();
    return values.isEmpty() ? UnknownFieldSet.getDefaultInstance() : UnknownFieldSet.parseFrom(values.getLast());
  }

  private static String text(UnknownFieldSet message, int field) {
    List<ByteString> values = message.getField(field).getLengthDelimitedList();
    return values.isEmpty() ? "" : values.getLast().toStringUtf8();
  }

  private static String firstLine(InvalidProtocolBufferException e) {
    String message = e.getMessage();
    if (message == null || message.isEmpty()) {
      return "broken protobuf";
    }
    String line = message.lines().findFirst().orElse("");
    return line.substring(0, 1).toLowerCase(Locale.ROOT) + line.substring(1);
  }
}
