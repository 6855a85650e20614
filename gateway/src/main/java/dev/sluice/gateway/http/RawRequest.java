package dev.sluice.gateway.http;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.DataType;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInput;
import dev.sluice.runtime.tensor.Datatype;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Objects;

/// A request whose whole body is the one input's binary data: its name, datatype and shape are the model's, and what is free
/// of the shape follows from the number of bytes. All outputs come back as binary data.
final class RawRequest {

  private RawRequest() {}

  /// @throws InferenceFailure if the model's configuration leaves more open than the bytes can tell
  static InferCall read(ModelConfig config, String model, String version, RequestBody.Bytes body)
      throws InferenceFailure {
    if (config.getInputCount() != 1) {
      throw InferenceFailure.invalid(
          "Raw request must only have 1 input (found 1) to be deduced but got %d inputs in '%s' model configuration"
              .formatted(config.getInputCount(), model));
    }
    ModelInput spec = config.getInput(0);
    Datatype datatype = datatype(spec.getDataType());
    ByteBuffer bytes = ByteBuffer.wrap(body.array(), 0, body.length()).slice();
    InferInputTensor.Builder input =
        InferInputTensor.newBuilder().setName(spec.getName()).setDatatype(datatype.name());
    if (config.getMaxBatchSize() != 0) {
      input.addShape(1);
    }
    long fixed = 1;
    int free = -1;
    for (long dim : spec.getDimsList()) {
      if (dim < 0 && free >= 0) {
        throw InferenceFailure.invalid(
            "The shape of the raw input '%s' can not be deduced because there are more than one variable-sized dimension"
                .formatted(spec.getName()));
      }
      if (dim < 0) {
        free = input.getShapeCount();
      } else {
        fixed *= dim;
      }
      input.addShape(dim);
    }
    ByteString contents = UnsafeByteOperations.unsafeWrap(bytes);
    if (datatype == Datatype.BYTES) {
      if (free >= 0 || fixed != 1) {
        throw InferenceFailure.invalid(
            "For BYTE datatype raw input '%s', the model must have input shape [1]".formatted(spec.getName()));
      }
      ByteBuffer length = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(0, body.length());
      contents = UnsafeByteOperations.unsafeWrap(length).concat(contents);
    } else if (free >= 0) {
      // What does not divide is refused by its number of bytes.
      input.setShape(free, fixed == 0 ? 0 : body.length() / (fixed * datatype.byteSize()));
    }
    ModelInferRequest request =
        ModelInferRequest.newBuilder()
            .setModelName(model)
            .setModelVersion(version)
            .addInputs(input)
            .addRawInputContents(contents)
            .build();
    return new InferCall(request, true, Map.of());
  }

  private static Datatype datatype(DataType type) {
    String name = type == DataType.TYPE_STRING ? "BYTES" : type.name().substring("TYPE_".length());
    return Objects.requireNonNull(Datatype.of(name), name);
  }
}
