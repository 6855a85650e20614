package dev.sluice.gateway.http;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelInferResponse.InferOutputTensor;
import dev.sluice.runtime.tensor.Datatype;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;

/// The shared core's answer made into a body: JSON, then the binary data of the outputs that go so, unchanged and not copied.
final class InferResponseWriter {

  private InferResponseWriter() {}

  /// @param jsonLength how much of it is JSON, -1 when all of it is
  record Body(List<ByteBuffer> buffers, long size, long jsonLength) {}

  /// @param bytesMax the largest body
  static Body write(ModelInferResponse response, InferCall call, int bytesMax) throws InferenceFailure {
    Blocks blocks = new Blocks(bytesMax);
    List<ByteBuffer> binary = new ArrayList<>();
    try (JsonGenerator json = Json.FACTORY.createGenerator(ObjectWriteContext.empty(), blocks)) {
      json.writeStartObject();
      if (!response.getId().isEmpty()) {
        json.writeStringProperty("id", response.getId());
      }
      json.writeStringProperty("model_name", response.getModelName());
      json.writeStringProperty("model_version", response.getModelVersion());
      if (response.getParametersCount() > 0) {
        json.writeObjectPropertyStart("parameters");
        Parameters.write(response.getParametersMap(), json);
        json.writeEndObject();
      }
      json.writeArrayPropertyStart("outputs");
      for (int i = 0; i < response.getOutputsCount(); i++) {
        boolean goesBinary = call.binary(response.getOutputs(i).getName());
        ByteBuffer contents = response.getRawOutputContents(i).asReadOnlyByteBuffer();
        writeOutput(response.getOutputs(i), contents, goesBinary, json);
        if (goesBinary && contents.hasRemaining()) {
          binary.add(contents);
        }
      }
      json.writeEndArray();
      json.writeEndObject();
    } catch (Blocks.FullException e) {
      throw new InferenceFailure(
          Kind.EXECUTION_FAILED,
          "the answer as JSON has more than %d bytes, the largest message. Please use the binary data format"
              .formatted(bytesMax));
    }
    long size = blocks.size();
    List<ByteBuffer> buffers = blocks.buffers();
    for (ByteBuffer contents : binary) {
      size += contents.remaining();
      buffers.add(contents);
    }
    return new Body(buffers, size, binary.isEmpty() ? -1 : blocks.size());
  }

  private static void writeOutput(
      InferOutputTensor output, ByteBuffer contents, boolean binary, JsonGenerator json) throws InferenceFailure {
    json.writeStartObject();
    json.writeStringProperty("name", output.getName());
    json.writeStringProperty("datatype", output.getDatatype());
    json.writeArrayPropertyStart("shape");
    for (int d = 0; d < output.getShapeCount(); d++) {
      json.writeNumber(output.getShape(d));
    }
    json.writeEndArray();
    if (binary || output.getParametersCount() > 0) {
      json.writeObjectPropertyStart("parameters");
      Parameters.write(output.getParametersMap(), json);
      if (binary) {
        json.writeNumberProperty("binary_data_size", contents.remaining());
      }
      json.writeEndObject();
    }
    if (!binary) {
      json.writeName("data");
      Datatype datatype = Objects.requireNonNull(Datatype.of(output.getDatatype()), output.getDatatype());
      ElementWriter.write(output.getName(), datatype, contents.duplicate(), json);
    }
    json.writeEndObject();
  }
}
