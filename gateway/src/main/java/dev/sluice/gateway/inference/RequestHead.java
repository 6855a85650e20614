package dev.sluice.gateway.inference;

import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a request says before its tensors' bytes: the model, the version, each tensor's name, datatype, shape and length, the outputs wanted.
///
/// A caller says the same with every request, so it is read and checked once, by the generated classes and by [TensorCodec], and
/// recognised by its bytes from then on. What differs from request to request (id, parameters, the tensors' bytes) is no part of it.
final class RequestHead {

  /// The fields of the message as they came, less id and parameters; of raw contents only the tag and the length.
  private final byte[] bytes;

  private final long hash;
  private final String modelName;
  private final String modelVersion;
  private final boolean wantsClasses;
  private final Plan plan;

  private RequestHead(
      byte[] bytes, long hash, String modelName, String modelVersion, boolean wantsClasses, Plan plan) {
    this.bytes = bytes;
    this.hash = hash;
    this.modelName = modelName;
    this.modelVersion = modelVersion;
    this.wantsClasses = wantsClasses;
    this.plan = plan;
  }

  byte[] bytes() {
    return bytes;
  }

  long hash() {
    return hash;
  }

  String modelName() {
    return modelName;
  }

  String modelVersion() {
    return modelVersion;
  }

  boolean wantsClasses() {
    return wantsClasses;
  }

  /// What the head comes to under the signature that it was checked against.
  Plan plan() {
    return plan;
  }

  /// @param outputs the names of those wanted, in order
  record Plan(Signature signature, List<Input> inputs, List<String> outputs) {

    record Input(String name, Datatype datatype, Shape shape) {}

    List<Tensor> inputs(ByteBuffer[] raws) {
      List<Tensor> tensors = new ArrayList<>(inputs.size());
      for (int i = 0; i < inputs.size(); i++) {
        Input input = inputs.get(i);
        tensors.add(new Tensor(input.name, input.datatype, input.shape, raws[i]));
      }
      return tensors;
    }
  }

  /// The head of a request that was checked, or null where its tensors' bytes have to be looked at each time: typed contents, and
  /// elements that carry their own lengths.
  static @Nullable RequestHead of(
      byte[] bytes, long hash, ModelInferRequest request, Signature signature, List<Tensor> inputs, List<String> outputs) {
    for (InferInputTensor input : request.getInputsList()) {
      if (input.hasContents() || input.getDatatype().equals(Datatype.BYTES.name())) {
        return null;
      }
    }
    Plan plan =
        new Plan(
            signature,
            inputs.stream().map(input -> new Plan.Input(input.name(), input.datatype(), input.shape())).toList(),
            List.copyOf(outputs));
    return new RequestHead(
        bytes, hash, request.getModelName(), request.getModelVersion(), TensorCodec.wantsClasses(request), plan);
  }

  boolean is(byte[] other, int length) {
    return bytes.length == length && Arrays.equals(bytes, 0, length, other, 0, length);
  }
}
