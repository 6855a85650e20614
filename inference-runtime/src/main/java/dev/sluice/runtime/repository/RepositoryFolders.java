package dev.sluice.runtime.repository;

import dev.sluice.runtime.mlflow.MlflowModel;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelLoadException.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The directory itself: which models and versions lie in it, and what their files look like.
///
/// A folder that MLflow wrote may also be a model's folder itself: it is version 1 then, unless there are version folders.
///
/// Folders are reached by names that were checked, never by a caller's path, and never through a link to somewhere else.
final class RepositoryFolders {
  private static final Logger log = LoggerFactory.getLogger(RepositoryFolders.class);
  private static final Pattern MODEL_NAME = Pattern.compile("^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$");
  /// Plain positive integers that fit a long; Triton, too, ignores folders whose name starts with 0.
  private static final Pattern VERSION_NAME = Pattern.compile("^[1-9][0-9]{0,17}$");
  /// What a model is that lies where its versions should, as MLflow writes it.
  private static final long ONLY_VERSION = 1;
  /// How many folders that are no models are named in the log, each once.
  private static final int IGNORED_MAX = 1000;

  private final Path root;
  private final Set<String> ignored = ConcurrentHashMap.newKeySet();

  RepositoryFolders(Path root) {
    this.root = root;
  }

  /// By name, in order.
  List<String> models() throws IOException {
    List<String> names = new ArrayList<>();
    try (Stream<Path> files = Files.list(root)) {
      for (Path folder : files.filter(Files::isDirectory).sorted().toList()) {
        String name = folder.getFileName().toString();
        if (MODEL_NAME.matcher(name).matches()) {
          names.add(name);
        } else if (!name.startsWith(".") && ignored.size() < IGNORED_MAX && ignored.add(name)) {
          log.warn("ignored the folder '{}': a model's name is made of letters, digits, '.', '_' and '-'", name);
        }
      }
    }
    return names;
  }

  boolean has(String model) {
    return MODEL_NAME.matcher(model).matches() && Files.isDirectory(root.resolve(model));
  }

  /// The version folders of a model, lowest first; none when there is no such model.
  long[] versions(String model) {
    if (!has(model)) {
      return new long[0];
    }
    try (Stream<Path> folders = Files.list(root.resolve(model))) {
      long[] versions =
          folders
              .filter(RepositoryFolders::isVersion)
              .mapToLong(folder -> Long.parseLong(folder.getFileName().toString()))
              .sorted()
              .toArray();
      return versions.length == 0 && MlflowModel.isIn(root.resolve(model)) ? new long[] {ONLY_VERSION} : versions;
    } catch (IOException e) {
      return new long[0];
    }
  }

  private static boolean isVersion(Path folder) {
    return VERSION_NAME.matcher(folder.getFileName().toString()).matches() && Files.isDirectory(folder);
  }

  Path model(String model) throws ModelLoadException {
    if (!has(model)) {
      throw new ModelLoadException(Kind.NOT_FOUND, "model '%s' is not in the repository".formatted(model));
    }
    return contained(root.resolve(model), model);
  }

  Path version(String model, long version) throws ModelLoadException {
    Path folder = model(model).resolve(Long.toString(version));
    if (version == ONLY_VERSION && Arrays.equals(versions(model), new long[] {version}) && !Files.isDirectory(folder)) {
      return model(model);
    }
    if (version < 1 || !Files.isDirectory(folder)) {
      throw new ModelLoadException(
          Kind.NOT_FOUND, "model '%s' has no version %d in the repository".formatted(model, version));
    }
    return contained(folder, model + "/" + version);
  }

  /// At everything that belongs to a model and to none of its versions.
  Look lookAt(String model) throws ModelLoadException {
    return lookAt(model(model), model, RepositoryFolders::isVersion);
  }

  /// At what belongs to one version only.
  Look lookAt(String model, long version) throws ModelLoadException {
    return lookAt(version(model, version), model + "/" + version, folder -> false);
  }

  private static Look lookAt(Path folder, String label, Predicate<Path> leftAside) throws ModelLoadException {
    try {
      return Look.at(folder.toRealPath(), leftAside);
    } catch (IOException e) {
      throw unreadable(label, e);
    }
  }

  private Path contained(Path folder, String label) throws ModelLoadException {
    try {
      if (!folder.toRealPath().startsWith(root)) {
        throw new ModelLoadException("%s is a link that leaves the repository".formatted(label));
      }
      return folder;
    } catch (IOException e) {
      throw unreadable(label, e);
    }
  }

  private static ModelLoadException unreadable(String label, IOException e) {
    return new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
  }
}
