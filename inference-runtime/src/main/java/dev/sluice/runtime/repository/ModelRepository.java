package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.repository.VersionStatus.State;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The models of one directory, `<repository>/<model>/[config.pbtxt]/<version>/model.onnx`, as Triton lays them out.
///
/// Readers take one volatile read of an immutable map and never wait. Changes are made one at a time under a lock
/// and published by replacing the map: a version appears when it is loaded and warm, a replacement takes its
/// predecessor's place in that same write, and only then is the predecessor retired. What still runs on it holds a
/// lease and runs to its end.
public final class ModelRepository implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(ModelRepository.class);
  private static final Pattern MODEL_NAME = Pattern.compile("^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$");
  /// Plain positive integers that fit a long; Triton, too, ignores folders whose name starts with 0.
  private static final Pattern VERSION_NAME = Pattern.compile("^[1-9][0-9]{0,17}$");
  /// The version under which the index tells of a model as a whole.
  private static final long WHOLE_MODEL = 0;

  private final Path root;
  private final ConfigOptions configOptions;
  private final VersionLoader loader;
  private final ReentrantLock changes = new ReentrantLock();
  private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
  private volatile Map<String, Entry> entries = Map.of();
  // Both only under the lock.
  private final Set<String> ignored = new HashSet<>();
  private boolean closed;

  /// All that is known of one model, replaced as a whole.
  private record Entry(Model model, SortedMap<Long, VersionStatus> statuses) {
    static Entry empty(String name) {
      return new Entry(new Model(name, List.of()), new TreeMap<>());
    }

    Entry with(VersionStatus status) {
      SortedMap<Long, VersionStatus> changed = new TreeMap<>(statuses);
      changed.remove(WHOLE_MODEL);
      changed.put(status.version(), status);
      return new Entry(model, changed);
    }

    Entry without(long version) {
      List<ModelVersion> left = model.versions().stream().filter(ready -> ready.version() != version).toList();
      return new Entry(new Model(model.name(), left), statuses);
    }

    Entry with(ModelVersion version) {
      List<ModelVersion> ready = new ArrayList<>(without(version.version()).model.versions());
      ready.add(version);
      ready.sort(Comparator.comparingLong(ModelVersion::version));
      return new Entry(new Model(model.name(), ready), statuses);
    }
  }

  private ModelRepository(Path root, ModelRuntime runtime, ConfigOptions configOptions) {
    this.root = root;
    this.configOptions = configOptions;
    this.loader = new VersionLoader(runtime);
  }

  /// As below, with configurations read as Triton reads them.
  public static ModelRepository open(Path root, ModelRuntime runtime) throws IOException {
    return open(root, runtime, ConfigOptions.defaults());
  }

  /// Opens the directory and notes which models it has; nothing is loaded yet.
  public static ModelRepository open(Path root, ModelRuntime runtime, ConfigOptions configOptions)
      throws IOException {
    if (Files.notExists(root)) {
      throw new NotDirectoryException("model repository '%s' does not exist".formatted(root));
    }
    if (!Files.isDirectory(root)) {
      throw new NotDirectoryException("model repository '%s' is not a directory".formatted(root));
    }
    ModelRepository repository = new ModelRepository(root.toRealPath(), runtime, configOptions);
    repository.noteModels();
    return repository;
  }

  /// Loads what the models' version policies name and is not loaded yet; a failure stays with its version.
  public void loadAll() {
    for (String model : noteModels()) {
      changes.lock();
      try {
        if (!closed) {
          loadByPolicy(model);
        }
      } finally {
        changes.unlock();
      }
    }
  }

  /// Loads and warms a version, then publishes it; an already loaded one of the same number is replaced, then retired.
  public ModelVersion load(String model, long version) throws ModelLoadException {
    changes.lock();
    try {
      if (closed) {
        throw new ModelLoadException("the model repository is closed");
      }
      requireOnDisk(model, version);
      return load(model, version, ModelConfiguration.read(modelFolder(model), model, configOptions));
    } finally {
      changes.unlock();
    }
  }

  /// Stops giving out a version; it is closed when its last lease is back.
  public void unload(String model, long version) throws ModelLoadException {
    changes.lock();
    try {
      ModelVersion ready = ready(model, version);
      if (ready == null) {
        throw new ModelLoadException("model '%s' version %d is not loaded".formatted(model, version));
      }
      VersionStatus draining = new VersionStatus(model, version, State.UNLOADING, "waits for the calls in flight");
      publish(model, entry(model).without(version).with(draining));
      ready.retire();
      var _ = ready.closed().whenComplete((done, failure) -> noteUnloaded(draining, failure));
    } finally {
      changes.unlock();
    }
  }

  /// The model, or null when the repository has none of this name; one volatile read.
  public @Nullable Model find(String name) {
    Entry entry = entries.get(name);
    return entry == null ? null : entry.model;
  }

  /// Every model that was seen; a snapshot.
  public List<Model> models() {
    return entries.values().stream().map(Entry::model).toList();
  }

  /// Whether the model was seen, even if nothing of it is ready.
  public boolean known(String model) {
    return entries.containsKey(model);
  }

  /// Where a version stands, or null when nobody asked for it yet.
  public @Nullable VersionStatus status(String model, long version) {
    Entry entry = entries.get(model);
    return entry == null ? null : entry.statuses.get(version);
  }

  /// Where every version that somebody asked for stands, by model and version; a model that is unavailable as a
  /// whole has one entry of version 0.
  public List<VersionStatus> index() {
    return new TreeMap<>(entries).values().stream().flatMap(entry -> entry.statuses.values().stream()).toList();
  }

  /// The version folders of a model, lowest first; reads the directory.
  public long[] versionsOnDisk(String model) {
    if (!MODEL_NAME.matcher(model).matches()) {
      return new long[0];
    }
    try (Stream<Path> folders = Files.list(root.resolve(model))) {
      return folders
          .filter(Files::isDirectory)
          .map(folder -> folder.getFileName().toString())
          .filter(VERSION_NAME.asMatchPredicate())
          .mapToLong(Long::parseLong)
          .sorted()
          .toArray();
    } catch (IOException e) {
      return new long[0];
    }
  }

  /// Calls back after every change of what [#find] or [#index] answer, on the thread that made it, before the next
  /// change: a listener has to be quick and must not throw.
  public void onChange(Runnable listener) {
    listeners.add(listener);
  }

  /// Retires every version and loads none from now on.
  @Override
  public void close() {
    changes.lock();
    try {
      closed = true;
      Map<String, Entry> last = entries;
      entries = Map.of();
      last.values().forEach(entry -> entry.model.versions().forEach(ModelVersion::retire));
      listeners.forEach(Runnable::run);
    } finally {
      changes.unlock();
    }
  }

  // Notes the models that came since the last look; returns those on disk, by name.
  private List<String> noteModels() {
    changes.lock();
    try (Stream<Path> files = Files.list(root)) {
      List<String> names = new ArrayList<>();
      for (Path folder : files.filter(Files::isDirectory).sorted().toList()) {
        String name = folder.getFileName().toString();
        if (MODEL_NAME.matcher(name).matches()) {
          names.add(name);
          if (!closed && !known(name)) {
            publish(name, Entry.empty(name));
          }
        } else if (!name.startsWith(".") && ignored.add(name)) {
          log.warn("ignored the folder '{}': a model's name is made of letters, digits, '.', '_' and '-'", name);
        }
      }
      return names;
    } catch (IOException e) {
      log.error("the model repository cannot be read, its models stay as they are", e);
      return List.of();
    } finally {
      changes.unlock();
    }
  }

  private void loadByPolicy(String model) {
    long[] onDisk = versionsOnDisk(model);
    try {
      ModelConfiguration configuration = ModelConfiguration.read(modelFolder(model), model, configOptions);
      long[] wanted = configuration.wanted(onDisk);
      if (wanted.length == 0) {
        throw new ModelLoadException(
            onDisk.length == 0
                ? "%s has no version folder (a positive integer without leading zeros)".formatted(model)
                : "%s: its version_policy names none of the versions %s".formatted(model, Arrays.toString(onDisk)));
      }
      for (long version : wanted) {
        loadUnlessReady(model, version, configuration);
      }
    } catch (ModelLoadException e) {
      log.warn("model '{}' is not available: {}", model, e.getMessage());
      publish(model, entry(model).with(new VersionStatus(model, WHOLE_MODEL, State.UNAVAILABLE, e.getMessage())));
    }
  }

  private void loadUnlessReady(String model, long version, ModelConfiguration configuration) {
    if (ready(model, version) == null) {
      try {
        load(model, version, configuration);
      } catch (ModelLoadException e) {
        log.warn("model '{}' version {} is not available: {}", model, version, e.getMessage());
      }
    }
  }

  private ModelVersion load(String model, long version, ModelConfiguration configuration) throws ModelLoadException {
    ModelVersion previous = ready(model, version);
    if (previous == null) {
      publish(model, entry(model).with(new VersionStatus(model, version, State.LOADING, "")));
    }
    try {
      ModelVersion loaded = loader.load(versionFolder(model, version), model, version, configuration);
      publish(model, entry(model).with(loaded).with(new VersionStatus(model, version, State.READY, "")));
      if (previous != null) {
        previous.retire();
      }
      return loaded;
    } catch (ModelLoadException e) {
      // What was ready stays so: a replacement that fails takes nothing away.
      State state = previous == null ? State.UNAVAILABLE : State.READY;
      String reason = (previous == null ? "" : "not replaced: ") + e.getMessage();
      publish(model, entry(model).with(new VersionStatus(model, version, state, reason)));
      throw e;
    }
  }

  private void requireOnDisk(String model, long version) throws ModelLoadException {
    if (!MODEL_NAME.matcher(model).matches() || !Files.isDirectory(root.resolve(model))) {
      throw new ModelLoadException("model '%s' is not in the repository".formatted(model));
    }
    if (version < 1 || !Files.isDirectory(root.resolve(model).resolve(Long.toString(version)))) {
      throw new ModelLoadException("model '%s' has no version %d in the repository".formatted(model, version));
    }
  }

  // By the name that was checked, never by a caller's path, and never through a link to somewhere else.
  private Path modelFolder(String model) throws ModelLoadException {
    return contained(root.resolve(model), model);
  }

  private Path versionFolder(String model, long version) throws ModelLoadException {
    return contained(modelFolder(model).resolve(Long.toString(version)), model + "/" + version);
  }

  private Path contained(Path folder, String label) throws ModelLoadException {
    try {
      if (!folder.toRealPath().startsWith(root)) {
        throw new ModelLoadException("%s is a link that leaves the repository".formatted(label));
      }
      return folder;
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
    }
  }

  @SuppressWarnings("ReferenceEquality") // This very status: an equal one may be that of a later unload.
  private void noteUnloaded(VersionStatus draining, @Nullable Throwable failure) {
    if (failure != null) {
      log.error("model '{}' version {} could not be freed", draining.model(), draining.version(), failure);
    }
    changes.lock();
    try {
      Entry entry = entry(draining.model());
      // Unless it was loaded again in the meantime.
      if (entry.statuses.get(draining.version()) == draining) {
        VersionStatus unloaded =
            new VersionStatus(draining.model(), draining.version(), State.UNAVAILABLE, "unloaded");
        publish(draining.model(), entry.with(unloaded));
      }
    } finally {
      changes.unlock();
    }
  }

  private @Nullable ModelVersion ready(String name, long version) {
    return entry(name).model.version(version);
  }

  private Entry entry(String name) {
    return entries.getOrDefault(name, Entry.empty(name));
  }

  private void publish(String name, Entry entry) {
    Map<String, Entry> changed = new HashMap<>(entries);
    changed.put(name, entry);
    entries = Map.copyOf(changed);
    listeners.forEach(Runnable::run);
  }
}
