package dev.sluice.gateway.http;

import dev.sluice.proto.inference.ModelInferRequest;
import java.util.Map;

/// A request as the shared core takes it, and what only this face has to remember: which outputs go back as binary data.
///
/// @param binaryByDefault for outputs that do not say
/// @param binaryByOutput for those that do
record InferCall(ModelInferRequest request, boolean binaryByDefault, Map<String, Boolean> binaryByOutput) {

  InferCall {
    binaryByOutput = Map.copyOf(binaryByOutput);
  }

  boolean binary(String output) {
    return binaryByOutput.getOrDefault(output, binaryByDefault);
  }
}
