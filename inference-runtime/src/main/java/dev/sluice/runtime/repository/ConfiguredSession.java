package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// A model under the names and shapes that its configuration shows to callers; the elements pass untouched.
final class ConfiguredSession implements Session {
  private final Session session;
  private final Signature signature;
  private final Map<String, Reshape> inputReshapes;
  private final Map<String, Reshape> outputReshapes;

  ConfiguredSession(Session session, ResolvedModel model) {
    this.session = session;
    this.signature = model.signature();
    this.inputReshapes = model.inputReshapes();
    this.outputReshapes = model.outputReshapes();
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
      throws ModelExecutionException {
    List<Tensor> answer = session.run(reshaped(inputs, inputReshapes, Kind.INVALID_INPUT), outputs, control);
    return reshaped(answer, outputReshapes, Kind.FAILED);
  }

  private static List<Tensor> reshaped(List<Tensor> tensors, Map<String, Reshape> reshapes, Kind blame)
      throws ModelExecutionException {
    if (reshapes.isEmpty()) {
      return tensors;
    }
    List<Tensor> reshaped = new ArrayList<>(tensors.size());
    for (int i = 0; i < tensors.size(); i++) {
      Tensor tensor = tensors.get(i);
      Reshape reshape = reshapes.get(tensor.name());
      reshaped.add(reshape == null ? tensor : reshaped(tensor, reshape, blame));
    }
    return reshaped;
  }

  private static Tensor reshaped(Tensor tensor, Reshape reshape, Kind blame) throws ModelExecutionException {
    Shape shape = reshape.apply(tensor.shape());
    if (shape == null) {
      throw new ModelExecutionException(
          blame,
          "'%s' has shape %s; expected %s, to be reshaped to %s"
              .formatted(tensor.name(), tensor.shape(), reshape.from(), reshape.to()));
    }
    return new Tensor(tensor.name(), tensor.datatype(), shape, tensor.bytes());
  }

  @Override
  public DeviceUse devices() {
    return session.devices();
  }

  @Override
  public void close() {
    session.close();
  }
}
