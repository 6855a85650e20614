package dev.sluice.runtime.model;

import java.nio.file.Path;
import java.util.Optional;

/// Something that can load models: a library in this process, or a server elsewhere.
public interface ModelRuntime {
  /// Loads the model in a version's folder, `<model>/<version>`; messages name it by those two parts only.
  Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException;

  /// Why this process is not fit to serve any more and only a restart helps; empty while all is well.
  default Optional<String> fault() {
    return Optional.empty();
  }

  /// Calls back, on whichever thread, whenever [#fault] may have changed.
  default void onFaultChange(Runnable listener) {}
}
