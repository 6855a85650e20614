package dev.sluice.runtime.repository;

import dev.sluice.runtime.mlflow.MlflowModel;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.source.HeldFolder;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// A version's files, held where they are, and how they are to be loaded.
///
/// @param mlflow what MLflow wrote of them, null when it was not MLflow
record VersionFiles(HeldFolder held, @Nullable MlflowModel mlflow, ModelSettings settings) implements AutoCloseable {
  /// For an example that somebody kept on purpose.
  private static final long EXAMPLE_NANOS_MAX = TimeUnit.MINUTES.toNanos(1);

  /// Holds what was loaded from them against what they say of it.
  void check(Session session) throws ModelLoadException {
    if (mlflow != null) {
      try (LoadingTime time = new LoadingTime(EXAMPLE_NANOS_MAX)) {
        mlflow.check(session, time.control());
      }
    }
  }

  /// Gives them back; giving them back twice changes nothing.
  @Override
  public void close() {
    held.close();
  }
}
