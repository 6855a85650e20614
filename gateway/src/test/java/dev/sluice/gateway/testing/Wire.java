package dev.sluice.gateway.testing;

import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;

/// Each way in which tensors reach a gateway and come back. A test of tensors runs over all of them.
public enum Wire {
  GRPC_RAW {
    @Override
    public List<Tensor> infer(RunningGateway gateway, String model, List<Tensor> inputs, List<String> outputs) {
      return overGrpc(gateway, InferMessages.raw(model, inputs), outputs);
    }
  },

  GRPC_TYPED {
    @Override
    public boolean carries(Datatype datatype) {
      return datatype != Datatype.FP16 && datatype != Datatype.BF16;
    }

    @Override
    public List<Tensor> infer(RunningGateway gateway, String model, List<Tensor> inputs, List<String> outputs) {
      return overGrpc(gateway, InferMessages.typed(model, inputs), outputs);
    }
  },

  HTTP_BINARY {
    @Override
    public List<Tensor> infer(RunningGateway gateway, String model, List<Tensor> inputs, List<String> outputs) {
      return RestTensors.outputs(RestTensors.inferBinary(gateway.rest(), model, inputs, outputs));
    }
  },

  HTTP_JSON {
    @Override
    public boolean carries(Datatype datatype) {
      return datatype != Datatype.FP16 && datatype != Datatype.BF16;
    }

    @Override
    public boolean carriesEveryFloat() {
      return false;
    }

    @Override
    public List<Tensor> infer(RunningGateway gateway, String model, List<Tensor> inputs, List<String> outputs) {
      return RestTensors.outputs(RestTensors.inferJson(gateway.rest(), model, inputs, outputs));
    }
  };

  /// Whether there is a form for elements of this type.
  public boolean carries(Datatype datatype) {
    return true;
  }

  /// Whether infinities, and each of the many values that are no number, have a form.
  public boolean carriesEveryFloat() {
    return true;
  }

  /// The named outputs in that order, of the model's default version; all of the model's when none is named.
  public abstract List<Tensor> infer(RunningGateway gateway, String model, List<Tensor> inputs, List<String> outputs);

  private static List<Tensor> overGrpc(RunningGateway gateway, ModelInferRequest.Builder request, List<String> outputs) {
    outputs.forEach(name -> request.addOutputs(InferMessages.output(name)));
    return InferMessages.outputs(gateway.inference().modelInfer(request.build()));
  }
}
