package dev.sluice.runtime.model;

import java.nio.file.Path;

/// Something that can load models: a library in this process, or a server elsewhere.
public interface ModelRuntime {
  /// Loads the model in a version's folder, `<model>/<version>`; messages name it by those two parts only.
  Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException;
}
