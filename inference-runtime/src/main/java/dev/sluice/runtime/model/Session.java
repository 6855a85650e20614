package dev.sluice.runtime.model;

import dev.sluice.runtime.tensor.Tensor;
import java.util.List;

/// One loaded model version, ready to compute; all calls share it, at the same time.
public interface Session extends AutoCloseable {
  Signature signature();

  /// Computes the named outputs, in the order asked for.
  ///
  /// The caller has checked the inputs against the signature (names, datatypes, shapes, byte counts) and names at
  /// least one output. The inputs' bytes are read until this returns and not after.
  List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control) throws ModelExecutionException;

  /// Where it runs, now.
  DeviceUse devices();

  /// Frees the model. No run may be in progress or start later: [ModelVersion] sees to that.
  @Override
  void close();
}
