package dev.sluice.gateway.http;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferRequest.InferRequestedOutputTensor;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.ObjectReadContext;

/// An inference request's body, JSON and the binary data behind it, made into the message that gRPC would have brought.
///
/// Every tensor ends in raw contents: binary data is wrapped where it lies, JSON data is written out once. What is checked here
/// is the document: its shape, types, sizes and that nothing is left over. Names, datatypes, shapes and batches are checked by
/// the shared core, with its sentences. A member may be null or missing alike; members that the protocol does not know are
/// passed over, as Triton does.
final class InferRequestReader {

  private static final String BINARY_SIZE = "binary_data_size";
  private static final String BINARY_OUTPUT = "binary_data";
  private static final String BINARY_OUTPUTS = "binary_data_output";
  private static final String TYPED_OUTPUT = "sluice_typed_output";
  private static final String SHARED_MEMORY = "shared_memory_region";

  private final String model;
  private final byte[] body;
  private final int bodyLength;
  private final int jsonLength;
  private final int bytesMax;
  private final ModelInferRequest.Builder request;
  private final Map<String, Boolean> binaryByOutput = new HashMap<>();
  private boolean binaryByDefault;

  /// Where the binary data of the next tensor begins.
  private int binaryPosition;

  private InferRequestReader(
      String model, String version, byte[] body, int bodyLength, int jsonLength, int bytesMax) {
    this.model = model;
    this.body = body;
    this.bodyLength = bodyLength;
    this.jsonLength = jsonLength;
    this.bytesMax = bytesMax;
    this.binaryPosition = jsonLength;
    this.request = ModelInferRequest.newBuilder().setModelName(model).setModelVersion(version);
  }

  /// Reads a body.
  ///
  /// @param body not changed afterwards by anybody: the message refers to it
  /// @param jsonLength how much of the body is JSON; the rest is binary data
  /// @param bytesMax the most that a tensor may have
  static InferCall read(String model, String version, byte[] body, int bodyLength, int jsonLength, int bytesMax)
      throws InferenceFailure {
    InferRequestReader reader = new InferRequestReader(model, version, body, bodyLength, jsonLength, bytesMax);
    try (JsonParser parser = Json.FACTORY.createParser(ObjectReadContext.empty(), body, 0, jsonLength)) {
      reader.readRequest(parser);
      if (parser.nextToken() != null) {
        throw InferenceFailure.invalid(
            "failed to parse the request JSON buffer: something follows the request at %d%s"
                .formatted(
                    parser.currentTokenLocation().getByteOffset(),
                    jsonLength == bodyLength ? " (is the header Inference-Header-Content-Length missing?)" : ""));
      }
    } catch (JacksonException e) {
      throw Json.unreadable(e);
    }
    return new InferCall(reader.request.build(), reader.binaryByDefault, reader.binaryByOutput);
  }

  // --- the request ----------------------------------------------------------------------------------------------------

  private void readRequest(JsonParser parser) throws InferenceFailure {
    if (parser.nextToken() == null) {
      throw InferenceFailure.invalid("failed to parse the request JSON buffer: the body is empty; an object is expected");
    }
    Set<String> seen =
        JsonWalk.members(
            parser,
            name -> {
              switch (name) {
                case "id" -> request.setId(JsonWalk.text(parser));
                case "parameters" -> JsonWalk.members(parser, parameter -> readRequestParameter(parser, parameter));
                case "inputs" -> JsonWalk.items(parser, () -> readInput(parser));
                case "outputs" -> JsonWalk.items(parser, () -> readOutput(parser));
                default -> parser.skipChildren();
              }
            });
    if (!seen.contains("inputs")) {
      throw InferenceFailure.invalid("Unable to parse 'inputs': the request has none");
    }
    if (binaryPosition != bodyLength) {
      throw InferenceFailure.invalid(
          "unexpected additional input data for model '%s': %d bytes that belong to no input"
              .formatted(model, bodyLength - binaryPosition));
    }
  }

  private void readRequestParameter(JsonParser parser, String name) throws InferenceFailure {
    if (name.equals(BINARY_OUTPUTS)) {
      binaryByDefault = JsonWalk.truth(parser);
      return;
    }
    if (name.equals(TYPED_OUTPUT)) {
      throw InferenceFailure.invalid(
          "%s: is for gRPC; here an output's 'binary_data' says in which form it comes".formatted(Json.path(parser, "")));
    }
    request.putParameters(name, Parameters.read(parser));
  }

  private void readOutput(JsonParser parser) throws InferenceFailure {
    InferRequestedOutputTensor.Builder output = InferRequestedOutputTensor.newBuilder();
    boolean[] binary = new boolean[2]; // said, and what
    Set<String> seen =
        JsonWalk.members(
            parser,
            name -> {
              switch (name) {
                case "name" -> output.setName(JsonWalk.text(parser));
                case "parameters" ->
                    JsonWalk.members(
                        parser,
                        parameter -> {
                          if (parameter.equals(BINARY_OUTPUT)) {
                            binary[0] = true;
                            binary[1] = JsonWalk.truth(parser);
                          } else {
                            output.putParameters(parameter, Parameters.read(parser));
                          }
                        });
                default -> parser.skipChildren();
              }
            });
    JsonWalk.require(seen, "name", parser);
    if (binary[0]) {
      binaryByOutput.put(output.getName(), binary[1]);
    }
    request.addOutputs(output);
  }

  // --- one input ------------------------------------------------------------------------------------------------------

  private void readInput(JsonParser parser) throws InferenceFailure {
    Input input = new Input(Json.path(parser, ""));
    Set<String> seen =
        JsonWalk.members(
            parser,
            name -> {
              switch (name) {
                case "name" -> input.header.setName(JsonWalk.text(parser));
                case "datatype" -> input.header.setDatatype(JsonWalk.text(parser));
                case "shape" -> JsonWalk.items(parser, () -> input.header.addShape(JsonWalk.dimension(parser)));
                case "parameters" -> JsonWalk.members(parser, parameter -> input.readParameter(parser, parameter));
                case "data" -> input.meetData(parser);
                default -> parser.skipChildren();
              }
            });
    JsonWalk.require(seen, "name", parser);
    JsonWalk.require(seen, "datatype", parser);
    JsonWalk.require(seen, "shape", parser);
    request.addRawInputContents(input.contents());
    request.addInputs(input.header);
  }

  /// What is known of an input while its members come, in any order.
  private final class Input {
    private final String path;
    private final InferInputTensor.Builder header = InferInputTensor.newBuilder();
    private long binarySize = -1;
    private long dataStart = -1;
    private long dataEnd = -1;
    private boolean shared;
    private ElementReader.@Nullable Elements elements;

    Input(String path) {
      this.path = path;
    }

    void readParameter(JsonParser parser, String name) throws InferenceFailure {
      InferParameter value = Parameters.read(parser);
      if (name.equals(BINARY_SIZE)) {
        if (value.getParameterChoiceCase() != InferParameter.ParameterChoiceCase.INT64_PARAM
            || value.getInt64Param() < 0) {
          throw Json.wrong(parser, "", "a number of bytes");
        }
        binarySize = value.getInt64Param();
        return;
      }
      shared |= name.equals(SHARED_MEMORY);
      header.putParameters(name, value);
    }

    /// Read at once if the datatype is known, else when everything is.
    void meetData(JsonParser parser) throws InferenceFailure {
      dataStart = parser.currentTokenLocation().getByteOffset();
      if (!header.getDatatype().isEmpty()) {
        elements = readData(parser, "");
        return;
      }
      parser.skipChildren();
      dataEnd = parser.currentLocation().getByteOffset();
    }

    private ElementReader.@Nullable Elements readData(JsonParser parser, String where)
        throws InferenceFailure {
      Datatype datatype = Datatype.of(header.getDatatype());
      if (datatype == null) {
        parser.skipChildren(); // the core knows what to say to that
        return null;
      }
      if (datatype == Datatype.FP16 || datatype == Datatype.BF16) {
        throw InferenceFailure.invalid(
            "receiving %s data via JSON is not supported. Please use the binary data format for input %s"
                .formatted(datatype, header.getName().isEmpty() ? path : header.getName()));
      }
      long expected = elementsOfShape() * datatype.byteSize();
      return ElementReader.read(
          parser, where, datatype, Math.clamp(expected, 0, Integer.MAX_VALUE), bytesMax);
    }

    ByteString contents() throws InferenceFailure {
      checkOneSource();
      if (shared) {
        return ByteString.EMPTY; // the core knows what to say to that
      }
      if (binarySize >= 0) {
        return binaryContents();
      }
      if (elements == null && dataEnd >= 0) {
        try (JsonParser again =
            Json.FACTORY.createParser(
                ObjectReadContext.empty(), body, (int) dataStart, (int) (dataEnd - dataStart))) {
          again.nextToken();
          elements = readData(again, path + ".data");
        }
      }
      if (elements == null) {
        return ByteString.EMPTY;
      }
      long expected = elementsOfShape();
      if (expected >= 0 && expected != elements.count()) {
        throw InferenceFailure.invalid(
            "%s.data: has %d elements, but shape %s of input '%s' stands for %d"
                .formatted(path, elements.count(), header.getShapeList(), header.getName(), expected));
      }
      return UnsafeByteOperations.unsafeWrap(elements.bytes());
    }

    private ByteString binaryContents() throws InferenceFailure {
      int left = bodyLength - binaryPosition;
      if (binarySize > left) {
        throw InferenceFailure.invalid(
            "unexpected size for input '%s', expecting %d additional bytes for model '%s'%s"
                .formatted(
                    header.getName(),
                    binarySize - left,
                    model,
                    jsonLength == bodyLength ? " (is the header Inference-Header-Content-Length missing?)" : ""));
      }
      // Sliced: whoever reads the tensor counts from its own first byte.
      ByteBuffer slice = ByteBuffer.wrap(body, binaryPosition, (int) binarySize).slice();
      binaryPosition += (int) binarySize;
      return UnsafeByteOperations.unsafeWrap(slice);
    }

    private void checkOneSource() throws InferenceFailure {
      boolean data = dataStart >= 0;
      boolean binary = binarySize >= 0;
      int sources = (data ? 1 : 0) + (binary ? 1 : 0) + (shared ? 1 : 0);
      if (sources == 1) {
        return;
      }
      String set =
          sources == 0
              ? "no field is set"
              : "set"
                  + (data ? " 'data'" : "")
                  + (binary ? " 'binary_data_size'" : "")
                  + (shared ? " 'shared_memory_region'" : "");
      throw InferenceFailure.invalid(
          "%s: Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', "
              .formatted(path)
              + "'shared_memory_region' in 'parameters'. But "
              + set);
    }

    /// -1 where the shape is not known or stands for nothing that can be counted.
    private long elementsOfShape() {
      long[] dims = new long[header.getShapeCount()];
      for (int i = 0; i < dims.length; i++) {
        dims[i] = header.getShape(i);
        if (dims[i] < 0) {
          return -1;
        }
      }
      try {
        return Shape.of(dims).elements();
      } catch (ArithmeticException e) {
        return -1;
      }
    }
  }
}
