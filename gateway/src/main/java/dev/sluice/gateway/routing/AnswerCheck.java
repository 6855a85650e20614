package dev.sluice.gateway.routing;

import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.List;

/// Whether an answer is what the signature promises, so that no caller is handed a candidate's garbage.
final class AnswerCheck {

  private AnswerCheck() {}

  static boolean fits(List<Tensor> outputs, List<String> wanted, Signature signature) {
    if (outputs.size() != wanted.size()) {
      return false;
    }
    for (int i = 0; i < outputs.size(); i++) {
      Tensor output = outputs.get(i);
      TensorSpec spec = signature.output(wanted.get(i));
      if (spec == null
          || !output.name().equals(spec.name())
          || output.datatype() != spec.datatype()
          || !spec.shape().accepts(output.shape())
          || !fills(output)) {
        return false;
      }
    }
    return true;
  }

  private static boolean fills(Tensor output) {
    return output.datatype() == Datatype.BYTES
        || output.shape().elements() * output.datatype().byteSize() == output.bytes().limit();
  }
}
