package dev.sluice.gateway.testing;

import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import java.nio.ByteOrder;

/// Calls of the model `m` of the tests: one FP32 in, one out; and what their answers say.
public final class Calls {

  /// The model that every test of a rollout serves: `y = a * x + b` over one column.
  public static final String MODEL = "m";

  private Calls() {}

  public static ModelInferRequest.Builder of(float x) {
    return ModelInferRequest.newBuilder()
        .setModelName(MODEL)
        .addInputs(
            InferInputTensor.newBuilder()
                .setName("x")
                .setDatatype("FP32")
                .addShape(1)
                .addShape(1)
                .setContents(InferTensorContents.newBuilder().addFp32Contents(x)));
  }

  /// A call by a caller who sticks to a variant.
  public static ModelInferRequest.Builder of(float x, String key) {
    return of(x).putParameters("sluice-key", text(key));
  }

  public static InferParameter text(String value) {
    return InferParameter.newBuilder().setStringParam(value).build();
  }

  public static float x(ModelInferRequest request) {
    return request.getInputs(0).getContents().getFp32Contents(0);
  }

  public static float y(ModelInferResponse response) {
    return response.getRawOutputContents(0).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).getFloat();
  }

  /// Which variant answered; empty outside a rollout.
  public static String variant(ModelInferResponse response) {
    return response.getParametersOrDefault("sluice_variant", text("")).getStringParam();
  }

  /// Why the baseline answered in the candidate's place; empty when it did not.
  public static String fallback(ModelInferResponse response) {
    return response.getParametersOrDefault("sluice_fallback", text("")).getStringParam();
  }
}
