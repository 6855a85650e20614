package dev.sluice.gateway.testing;

import com.google.protobuf.ByteString;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferRequest.InferRequestedOutputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelInferResponse.InferOutputTensor;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.Tensors;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/// Inference messages made of tensors, and tensors read back from them: what any client library does.
public final class InferMessages {
  private InferMessages() {}

  /// A request with raw contents, for the model's default version and all of its outputs.
  public static ModelInferRequest.Builder raw(String model, List<Tensor> inputs) {
    ModelInferRequest.Builder request = ModelInferRequest.newBuilder().setModelName(model);
    for (Tensor input : inputs) {
      request.addInputs(header(input)).addRawInputContents(ByteString.copyFrom(input.bytes().duplicate()));
    }
    return request;
  }

  public static ModelInferRequest.Builder raw(String model, Tensor... inputs) {
    return raw(model, List.of(inputs));
  }

  /// As [#raw], with the elements in the field of their datatype.
  public static ModelInferRequest.Builder typed(String model, List<Tensor> inputs) {
    ModelInferRequest.Builder request = ModelInferRequest.newBuilder().setModelName(model);
    for (Tensor input : inputs) {
      request.addInputs(header(input).setContents(contents(input)));
    }
    return request;
  }

  /// Whether every element has a field to travel in.
  public static boolean canBeTyped(List<Tensor> inputs) {
    return inputs.stream().noneMatch(t -> t.datatype() == Datatype.FP16 || t.datatype() == Datatype.BF16);
  }

  public static InferRequestedOutputTensor output(String name) {
    return InferRequestedOutputTensor.newBuilder().setName(name).build();
  }

  /// The answer's tensors; they are in raw contents, one entry each.
  public static List<Tensor> outputs(ModelInferResponse response) {
    if (response.getOutputsCount() != response.getRawOutputContentsCount()) {
      throw new AssertionError(
          "%d outputs but %d raw contents".formatted(response.getOutputsCount(), response.getRawOutputContentsCount()));
    }
    List<Tensor> outputs = new ArrayList<>();
    for (int i = 0; i < response.getOutputsCount(); i++) {
      InferOutputTensor output = response.getOutputs(i);
      Datatype datatype = Objects.requireNonNull(Datatype.of(output.getDatatype()), output.getDatatype());
      Shape shape = Shape.of(output.getShapeList().stream().mapToLong(Long::longValue).toArray());
      ByteBuffer bytes = response.getRawOutputContents(i).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
      outputs.add(new Tensor(output.getName(), datatype, shape, bytes));
    }
    return outputs;
  }

  private static InferInputTensor.Builder header(Tensor tensor) {
    InferInputTensor.Builder header =
        InferInputTensor.newBuilder().setName(tensor.name()).setDatatype(tensor.datatype().name());
    for (long dim : tensor.shape().toArray()) {
      header.addShape(dim);
    }
    return header;
  }

  private static InferTensorContents contents(Tensor tensor) {
    InferTensorContents.Builder contents = InferTensorContents.newBuilder();
    ByteBuffer bytes = tensor.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    if (tensor.datatype() == Datatype.BYTES) {
      Tensors.byteStrings(tensor).forEach(element -> contents.addBytesContents(ByteString.copyFrom(element)));
      return contents.build();
    }
    while (bytes.hasRemaining()) {
      switch (tensor.datatype()) {
        case BOOL -> contents.addBoolContents(bytes.get() != 0);
        case INT8 -> contents.addIntContents(bytes.get());
        case INT16 -> contents.addIntContents(bytes.getShort());
        case INT32 -> contents.addIntContents(bytes.getInt());
        case INT64 -> contents.addInt64Contents(bytes.getLong());
        case UINT8 -> contents.addUintContents(Byte.toUnsignedInt(bytes.get()));
        case UINT16 -> contents.addUintContents(Short.toUnsignedInt(bytes.getShort()));
        case UINT32 -> contents.addUintContents(bytes.getInt());
        case UINT64 -> contents.addUint64Contents(bytes.getLong());
        case FP32 -> contents.addFp32Contents(bytes.getFloat());
        case FP64 -> contents.addFp64Contents(bytes.getDouble());
        case FP16, BF16, BYTES -> throw new IllegalArgumentException(tensor.datatype() + " has no typed contents");
      }
    }
    return contents.build();
  }
}
