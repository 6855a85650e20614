package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelVersion;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A model and its versions that were ready when this was read, oldest first; it never changes.
public record Model(String name, List<ModelVersion> versions) {
  /// What every model here is run by, in Triton's words.
  public static final String PLATFORM = "onnxruntime_onnx";

  public Model {
    versions = List.copyOf(versions);
  }

  public String platform() {
    return PLATFORM;
  }

  /// The version of this number, or null when it is not ready.
  public @Nullable ModelVersion version(long number) {
    // By index and from the end: no iterator, and callers mostly ask for the newest of a few.
    for (int i = versions.size() - 1; i >= 0; i--) {
      if (versions.get(i).version() == number) {
        return versions.get(i);
      }
    }
    return null;
  }

  /// The version with the highest number, or null when none is ready.
  public @Nullable ModelVersion latest() {
    return versions.isEmpty() ? null : versions.getLast();
  }

  /// The batch limit of the latest version; 0 when nothing is ready or batches are not declared.
  public int maxBatchSize() {
    ModelVersion latest = latest();
    return latest == null ? 0 : latest.signature().maxBatchSize();
  }
}
