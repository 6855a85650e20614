package dev.sluice.runtime.model;

import dev.sluice.runtime.model.ExecutionSettings.Device;
import java.nio.file.Path;

/// Something that can load models: a library in this process, or a server elsewhere.
public interface ModelRuntime {
  /// Loads the model in a version's folder, `<model>/<version>`; messages name it by those two parts only.
  Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException;

  /// Whether loading with these settings starts threads that the session computes with. They would inherit the priority
  /// of the thread that loads, which is a low one otherwise.
  default boolean startsThreads(ModelSettings settings) {
    ExecutionSettings execution = settings.execution();
    return execution.threads().intraOp().orElse(1) != 1
        || execution.threads().parallel()
        || execution.placement().device() == Device.GPU
        || execution.placement().device() == Device.AUTO;
  }
}
