package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.source.HeldFolder;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;

/// A session of files that may leave the model cache once it is closed, and not before.
record FetchedSession(Session session, HeldFolder files) implements Session {

  /// A session of the repository's own files needs nobody to hold them.
  static Session of(Session session, HeldFolder files) {
    return files.isFetched() ? new FetchedSession(session, files) : session;
  }

  @Override
  public Signature signature() {
    return session.signature();
  }

  @Override
  public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
      throws ModelExecutionException {
    return session.run(inputs, outputs, control);
  }

  @Override
  public DeviceUse devices() {
    return session.devices();
  }

  @Override
  public void close() {
    try (files) {
      session.close();
    }
  }
}
