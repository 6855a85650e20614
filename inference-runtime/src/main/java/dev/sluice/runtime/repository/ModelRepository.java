package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelVersion;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The models of one directory, `<repository>/<model>/[config.pbtxt]/<version>/model.onnx`, as Triton lays them out.
public final class ModelRepository implements AutoCloseable {
  private ModelRepository() {}

  /// Opens the directory; nothing is loaded yet.
  public static ModelRepository open(Path root, ModelRuntime runtime) throws IOException {
    if (!Files.isDirectory(root)) {
      throw new NotDirectoryException(root.toString());
    }
    return new ModelRepository();
  }

  /// Loads what the models' version policies name and is not loaded yet; a failure stays with its version.
  public void loadAll() {}

  /// Loads and warms a version, then publishes it; an already loaded one of the same number is replaced, then retired.
  public ModelVersion load(String model, long version) throws ModelLoadException {
    ModelVersion loaded = loaded(model, version);
    if (loaded == null) {
      throw new ModelLoadException("model '%s' version %d cannot be loaded yet".formatted(model, version));
    }
    return loaded;
  }

  /// Stops giving out a version; it is closed when its last lease is back.
  public void unload(String model, long version) throws ModelLoadException {
    if (loaded(model, version) == null) {
      throw new ModelLoadException("model '%s' version %d is not loaded".formatted(model, version));
    }
  }

  private @Nullable ModelVersion loaded(String name, long version) {
    Model model = find(name);
    return model == null ? null : model.version(version);
  }

  /// The model, or null when the repository has none of this name; one volatile read.
  public @Nullable Model find(String name) {
    return null;
  }

  /// Whether the model was seen, even if nothing of it is ready.
  public boolean known(String model) {
    return find(model) != null;
  }

  /// Where a version stands, or null when it was never asked for.
  public @Nullable VersionStatus status(String model, long version) {
    return null;
  }

  /// Where every version that was ever asked for stands, by model and version.
  public List<VersionStatus> index() {
    return List.of();
  }

  /// The version folders of a model, lowest first.
  public long[] versionsOnDisk(String model) {
    return new long[0];
  }

  /// Calls back after every change of [#find] or [#index], on the thread that made it.
  public void onChange(Runnable listener) {}

  /// Retires every version.
  @Override
  public void close() {}
}
