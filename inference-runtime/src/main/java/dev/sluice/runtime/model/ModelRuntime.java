package dev.sluice.runtime.model;

import dev.sluice.runtime.model.ExecutionSettings.Device;
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
