package dev.sluice.gateway.cli;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.cli.Failures.InvalidInput;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelInferResponse.InferOutputTensor;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// An input as a person wrote it: text that becomes numbers only when the model has said of which datatype.
record TensorText(String name, Optional<String> datatype, Optional<List<Long>> shape, List<String> values) {

  TensorText {
    shape = shape.map(List::copyOf);
    values = List.copyOf(values);
  }

  /// From `--input x=1,2,3` and `--shape x=1,3`.
  static List<TensorText> of(List<NameAndText> inputs, List<NameAndText> shapes) {
    Map<String, List<Long>> shapeOf = new LinkedHashMap<>();
    for (NameAndText shape : shapes) {
      NameAndText.putOnce(shapeOf, shape.name(), dimensions(shape));
    }
    List<TensorText> tensors = new ArrayList<>();
    for (NameAndText input : inputs) {
      List<String> values = input.text().isEmpty() ? List.of() : List.of(input.text().split(",", -1));
      Optional<List<Long>> shape = Optional.ofNullable(shapeOf.remove(input.name()));
      tensors.add(new TensorText(input.name(), Optional.empty(), shape, values));
    }
    if (!shapeOf.isEmpty()) {
      throw new InvalidInput("--shape names %s, for which there is no --input".formatted(shapeOf.keySet()));
    }
    return tensors;
  }

  /// From a file in the protocol's JSON form. Nested arrays are read row by row.
  static List<TensorText> of(Path file) throws IOException {
    try {
      JsonNode inputs = JsonMapper.shared().readTree(Files.readString(file)).path("inputs");
      if (!inputs.isArray()) {
        throw new InvalidInput("%s: expected an object with an array 'inputs'".formatted(file));
      }
      List<TensorText> tensors = new ArrayList<>();
      for (JsonNode input : inputs) {
        tensors.add(of(file, input));
      }
      return tensors;
    } catch (NoSuchFileException _) {
      throw new InvalidInput("%s: there is no such file".formatted(file));
    } catch (JacksonException e) {
      throw new InvalidInput("%s: not JSON: %s".formatted(file, e.getOriginalMessage()));
    }
  }

  /// The request for all inputs, checked against what the model expects.
  static ModelInferRequest.Builder encode(List<TensorText> tensors, ModelMetadataResponse metadata) {
    Map<String, TensorMetadata> expected = new LinkedHashMap<>();
    metadata.getInputsList().forEach(input -> expected.put(input.getName(), input));
    ModelInferRequest.Builder request = ModelInferRequest.newBuilder();
    Set<String> seen = new HashSet<>();
    for (TensorText tensor : tensors) {
      TensorMetadata input = expected.get(tensor.name);
      if (input == null) {
        throw new InvalidInput("input '%s': model '%s' has no such input, only %s"
            .formatted(tensor.name, metadata.getName(), expected.keySet()));
      }
      if (!seen.add(tensor.name)) {
        throw new InvalidInput("input '%s' is given twice".formatted(tensor.name));
      }
      tensor.addTo(request, input);
    }
    // Inputs may be optional, so the server judges an absent one; none at all is a forgotten --input.
    if (tensors.isEmpty() && !expected.isEmpty()) {
      throw new InvalidInput("no input given: model '%s' expects %s".formatted(
          metadata.getName(),
          expected.values().stream()
              .map(input -> "'%s' (%s %s)".formatted(input.getName(), input.getDatatype(), input.getShapeList()))
              .collect(Collectors.joining(", "))));
    }
    return request;
  }

  /// The same answer with its raw bytes turned into typed contents, which people and scripts can read.
  static ModelInferResponse readable(ModelInferResponse answer) {
    ModelInferResponse.Builder readable = answer.toBuilder().clearRawOutputContents();
    for (int i = 0; i < answer.getRawOutputContentsCount() && i < answer.getOutputsCount(); i++) {
      InferOutputTensor output = answer.getOutputs(i);
      try {
        Datatype datatype = Datatype.valueOf(output.getDatatype());
        readable.getOutputsBuilder(i).setContents(datatype.read(answer.getRawOutputContents(i)));
      } catch (IllegalArgumentException _) {
        throw new IllegalStateException(
            "output '%s': datatype %s is not known here".formatted(output.getName(), output.getDatatype()));
      } catch (BufferUnderflowException _) {
        throw new IllegalStateException("output '%s': %d bytes are not a whole number of %s values".formatted(
            output.getName(), answer.getRawOutputContents(i).size(), output.getDatatype()));
      }
    }
    return readable.build();
  }

  private static TensorText of(Path file, JsonNode input) {
    JsonNode name = input.path("name");
    JsonNode data = input.path("data");
    if (!name.isString() || !data.isArray()) {
      throw new InvalidInput("%s: every input needs a 'name' and an array 'data'; seen %s"
          .formatted(file, shortened(input.toString())));
    }
    List<String> values = new ArrayList<>();
    flatten(file, name.stringValue(), data, values);
    Optional<List<Long>> shape = Optional.of(input.path("shape"))
        .filter(node -> !node.isMissingNode())
        .map(node -> node.valueStream().map(JsonNode::asString).collect(Collectors.joining(",")))
        .map(text -> dimensions(new NameAndText(name.stringValue(), text)));
    Optional<String> datatype = Optional.of(input.path("datatype").asString("")).filter(text -> !text.isEmpty());
    return new TensorText(name.stringValue(), datatype, shape, values);
  }

  private static void flatten(Path file, String name, JsonNode data, List<String> values) {
    for (JsonNode element : data) {
      if (element.isArray()) {
        flatten(file, name, element, values);
      } else if (element.isValueNode() && !element.isNull()) {
        values.add(element.asString());
      } else {
        throw new InvalidInput(
            "%s: input '%s': %s is not a value".formatted(file, name, shortened(element.toString())));
      }
    }
  }

  private static List<Long> dimensions(NameAndText shape) {
    List<Long> dimensions = new ArrayList<>();
    for (String dimension : shape.text().isEmpty() ? new String[0] : shape.text().split(",", -1)) {
      try {
        dimensions.add(Long.parseUnsignedLong(dimension.strip()));
      } catch (NumberFormatException _) {
        throw new InvalidInput("shape of '%s': '%s' is not a dimension, which is a whole number such as 3"
            .formatted(shape.name(), shortened(dimension)));
      }
    }
    return dimensions;
  }

  private void addTo(ModelInferRequest.Builder request, TensorMetadata input) {
    if (datatype.isPresent() && !datatype.get().equals(input.getDatatype())) {
      throw new InvalidInput(
          "input '%s': datatype %s; the model expects %s".formatted(name, datatype.get(), input.getDatatype()));
    }
    request.addInputs(InferInputTensor.newBuilder()
        .setName(name)
        .setDatatype(input.getDatatype())
        .addAllShape(shape.isPresent() ? checked(shape.get()) : inferred(input.getShapeList())));
    request.addRawInputContents(raw(datatypeOf(input)));
  }

  private Datatype datatypeOf(TensorMetadata input) {
    try {
      return Datatype.valueOf(input.getDatatype());
    } catch (IllegalArgumentException _) {
      throw new InvalidInput(
          "input '%s': the model expects datatype %s, which is not known here".formatted(name, input.getDatatype()));
    }
  }

  private ByteString raw(Datatype datatype) {
    ByteString.Output raw = ByteString.newOutput();
    for (int i = 0; i < values.size(); i++) {
      // Spaces belong to a string, but not to a number.
      String text = datatype == Datatype.BYTES ? values.get(i) : values.get(i).strip();
      try {
        datatype.write(text).writeTo(raw);
      } catch (NumberFormatException _) {
        throw new InvalidInput("input '%s': value %d of %d, '%s', is not a value of %s"
            .formatted(name, i + 1, values.size(), shortened(text), datatype));
      } catch (IOException e) {
        throw new IllegalStateException("writing to memory failed", e);
      }
    }
    return raw.toByteString();
  }

  private List<Long> checked(List<Long> shape) {
    if (elements(shape) != values.size()) {
      throw new InvalidInput("input '%s': shape %s has %d elements, but there are %d values"
          .formatted(name, shape, elements(shape), values.size()));
    }
    return shape;
  }

  /// The model's shape with its one free dimension, if any, filled in from the number of values.
  private List<Long> inferred(List<Long> expected) {
    long free = expected.stream().filter(dimension -> dimension < 0).count();
    if (free > 1) {
      throw new InvalidInput("input '%s': shape %s leaves %d dimensions free; say which with --shape %s=..."
          .formatted(name, expected, free, name));
    }
    long fixed = elements(expected.stream().filter(dimension -> dimension >= 0).toList());
    boolean fits = free == 0 ? fixed == values.size() : fixed > 0 && values.size() % fixed == 0;
    if (!fits) {
      throw new InvalidInput(
          "input '%s': %d values do not fill the shape %s".formatted(name, values.size(), expected));
    }
    return expected.stream().map(dimension -> dimension < 0 ? values.size() / fixed : dimension).toList();
  }

  private long elements(List<Long> shape) {
    try {
      return shape.stream().reduce(1L, Math::multiplyExact);
    } catch (ArithmeticException _) {
      throw new InvalidInput("input '%s': shape %s has more elements than can be counted".formatted(name, shape));
    }
  }

  private static String shortened(String text) {
    return text.length() <= 40 ? text : text.substring(0, 40) + "…";
  }
}
