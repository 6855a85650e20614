package dev.sluice.runtime.repository;

import dev.sluice.runtime.mlflow.MlflowModel;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelProfile;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.source.HeldFolder;
import dev.sluice.runtime.source.ModelSources;
import java.nio.file.Path;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Makes a version's folder into a version that can be served: loaded, held against its configuration, warmed.
final class VersionLoader {
  private static final Logger log = LoggerFactory.getLogger(VersionLoader.class);

  private final ModelRuntime runtime;
  private final ModelSources sources;

  VersionLoader(ModelRuntime runtime, ModelSources sources) {
    this.runtime = runtime;
    this.sources = sources;
  }

  /// Whether a session of this configuration has threads of its own, which are started when it is loaded.
  boolean startsThreads(VersionFiles files) {
    return runtime.startsThreads(files.settings());
  }

  /// Where the version's files really lie, which may take a download, and how they are to be loaded.
  VersionFiles files(Path versionFolder, String model, long version, ModelConfiguration configuration)
      throws ModelLoadException {
    HeldFolder held = sources.resolve(versionFolder, model, version);
    try {
      MlflowModel mlflow = MlflowModel.read(held.folder(), "%s/%d".formatted(model, version));
      ModelSettings settings = configuration.settings();
      return new VersionFiles(held, mlflow, mlflow == null ? settings : mlflow.settings(settings));
    } catch (ModelLoadException e) {
      held.close();
      throw e;
    } catch (RuntimeException e) {
      held.close();
      throw new ModelLoadException("%s/%d cannot be loaded: %s".formatted(model, version, e), e);
    }
  }

  /// Loads them; they are held until the version is closed, or given back when this fails.
  ModelVersion load(VersionFiles files, String model, long version, ModelConfiguration configuration)
      throws ModelLoadException {
    long start = System.nanoTime();
    try {
      Session loaded = open(files);
      Session session = loaded;
      try {
        files.check(loaded);
        ResolvedModel resolved =
            Completion.of(
                configuration,
                loaded.signature(),
                loaded.devices(),
                () -> RowIndependence.doubt(loaded, RowIndependence.NANOS_MAX));
        session = resolved.seenByCallers(session);
        ModelProfile profile =
            new ModelProfile(
                resolved.config(),
                resolved.scheduling(),
                resolved.config().getResponseCache().getEnable(),
                Labels.read(configuration),
                resolved.config().getMetricTagsMap());
        List<WarmUpSample> samples = WarmUpSample.of(configuration, resolved);
        long runNanos = WarmUp.run(session, resolved, samples, "model '%s' version %d".formatted(model, version));
        long loadNanos = System.nanoTime() - start;
        log.info(
            "model '{}' version {} is ready after {} ms; a run takes {} us",
            model,
            version,
            loadNanos / 1_000_000,
            runNanos / 1_000);
        return new ModelVersion(model, version, session, profile, runNanos, loadNanos);
      } catch (ModelLoadException | RuntimeException e) {
        session.close();
        throw e;
      }
    } catch (RuntimeException e) {
      throw new ModelLoadException("%s/%d cannot be loaded: %s".formatted(model, version, e), e);
    }
  }

  private Session open(VersionFiles files) throws ModelLoadException {
    try {
      return FetchedSession.of(runtime.load(files.held().folder(), files.settings()), files.held());
    } catch (ModelLoadException | RuntimeException e) {
      files.close();
      throw e;
    }
  }
}
