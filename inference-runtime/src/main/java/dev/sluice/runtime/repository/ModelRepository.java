package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelLoadException.Kind;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.repository.ManagedModel.Outcome;
import dev.sluice.runtime.repository.PublishedModels.Entry;
import dev.sluice.runtime.repository.VersionStatus.State;
import dev.sluice.runtime.source.ModelSources;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The models of one directory, `<repository>/<model>/[config.pbtxt]/<version>/model.onnx`, as Triton lays them out.
///
/// Readers take one volatile read of an immutable map and never wait. A version appears when it is loaded and warm; a
/// replacement takes its predecessor's place in one write, and only then is the predecessor retired. What still runs on
/// it holds a lease and runs to its end. Changes of one model follow one another; another model's do not wait for them,
/// except that no more than a fixed number of loads run at the same time, on threads of the lowest priority.
public final class ModelRepository implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(ModelRepository.class);

  private final ControlMode mode;
  private final int loadThreads;
  private final RepositoryFolders folders;
  private final PublishedModels published = new PublishedModels();
  private final LoaderThreads threads;
  private final ManagedModel.House house;
  /// One for every model that has ever had a folder here and was asked for.
  private final Map<String, ManagedModel> managed = new ConcurrentHashMap<>();
  private volatile Pins pins = Pins.NONE;
  private volatile boolean closed;

  private ModelRepository(Path root, ModelRuntime runtime, RepositoryOptions options, ModelSources sources) {
    this.mode = options.mode();
    this.loadThreads = options.loadThreads();
    this.folders = new RepositoryFolders(root);
    this.threads = new LoaderThreads(loadThreads);
    this.house =
        new ManagedModel.House(
            folders,
            options.configuration(),
            new VersionLoader(runtime, sources),
            threads,
            model -> pins.of(model),
            published);
  }

  /// As below, with the defaults.
  public static ModelRepository open(Path root, ModelRuntime runtime) throws IOException {
    return open(root, runtime, RepositoryOptions.defaults());
  }

  /// As below, with every model in its folder.
  public static ModelRepository open(Path root, ModelRuntime runtime, RepositoryOptions options) throws IOException {
    return open(root, runtime, options, ModelSources.none());
  }

  /// Opens the directory and notes which models it has; nothing is loaded yet.
  ///
  /// @param sources of versions whose files are elsewhere; they stay the caller's to close, after the repository
  public static ModelRepository open(Path root, ModelRuntime runtime, RepositoryOptions options, ModelSources sources)
      throws IOException {
    if (Files.notExists(root)) {
      throw new NotDirectoryException("model repository '%s' does not exist".formatted(root));
    }
    if (!Files.isDirectory(root)) {
      throw new NotDirectoryException("model repository '%s' is not a directory".formatted(root));
    }
    ModelRepository repository = new ModelRepository(root.toRealPath(), runtime, options, sources);
    var _ = repository.noteModels();
    return repository;
  }

  /// From now on, asks this which versions may not be taken away or replaced.
  public void heed(Pins pins) {
    this.pins = pins;
  }

  public ControlMode controlMode() {
    return mode;
  }

  // --- changing what is loaded ----------------------------------------------------------------------------------------

  /// Loads what the models' version policies name, in every mode; a failure stays with its version.
  public void loadAll() {
    apply(noteModels());
  }

  /// The same for these models only; one that is not in the repository is noted as unavailable.
  public void loadAll(Collection<String> models) {
    Set<String> there = new TreeSet<>(models);
    for (String model : models) {
      if (!folders.has(model)) {
        there.remove(model);
        log.warn("model '{}' is not in the repository", model);
        publishMissing(model);
      }
    }
    apply(there);
  }

  private void publishMissing(String model) {
    VersionStatus missing =
        new VersionStatus(
            model, PublishedModels.WHOLE_MODEL, State.UNAVAILABLE, "model '%s' is not in the repository".formatted(model));
    published.change(model, entry -> (entry == null ? Entry.unasked(model) : entry).with(missing));
  }

  private void apply(Collection<String> models) {
    forEach(
        models,
        model -> {
          var _ = managed(model).apply(null);
        });
  }

  /// Looks for what has changed in the directory since the last look, and loads, replaces and unloads accordingly. Files
  /// are loaded when two looks have found them the same; those that failed to load are left alone until they change. Not
  /// for two threads at the same time.
  ///
  /// @return false if files were found changing, so that another look soon is worth it
  public boolean poll() {
    AtomicBoolean settled = new AtomicBoolean(true);
    Set<String> models = new TreeSet<>(published.entries().keySet());
    models.addAll(noteModels());
    forEach(
        models,
        model -> {
          if (!managed(model).poll().settled()) {
            settled.setPlain(false);
          }
        });
    forgetModels();
    return settled.get();
  }

  private void forEach(Collection<String> models, Consumer<String> work) {
    if (loadThreads == 1) {
      for (String model : models) {
        if (!closed) {
          work.accept(model);
        }
      }
      return;
    }
    try (ExecutorService callers =
        Executors.newFixedThreadPool(
            loadThreads, task -> Thread.ofPlatform().daemon().name("sluice-models").unstarted(task))) {
      models.forEach(
          model ->
              callers.execute(
                  () -> {
                    if (!closed) {
                      work.accept(model);
                    }
                  }));
    }
  }

  /// Loads the versions that the model's policy names, and takes the others out of service when all of these are ready:
  /// Triton's load. What is loaded and whose files have not changed stays as it is; a replacement that fails takes
  /// nothing away.
  ///
  /// @throws ModelLoadException UNAVAILABLE outside explicit mode; NOT_FOUND when the repository has no such model;
  ///     REFUSED when a version would be replaced that is in a rollout; INVALID or FAILED when a version did not load
  public void load(String model) throws ModelLoadException {
    loadExplicitly(model, null);
  }

  /// The same with this configuration, a `ModelConfig` as JSON, in place of the model's file, until the model is loaded
  /// or unloaded the next time.
  public void load(String model, String configurationJson) throws ModelLoadException {
    loadExplicitly(model, configurationJson);
  }

  private void loadExplicitly(String model, @Nullable String configurationJson) throws ModelLoadException {
    requireExplicit();
    requireOpen();
    var _ = folders.model(model);
    List<ModelLoadException> failures = managed(model).apply(configurationJson).failures();
    if (failures.size() == 1) {
      throw failures.getFirst();
    }
    if (!failures.isEmpty()) {
      throw new ModelLoadException(
          failures.getFirst().kind(),
          failures.stream().map(ModelLoadException::getMessage).collect(Collectors.joining("; ")),
          failures.getFirst());
    }
  }

  /// Takes all versions of a model out of service; one that is not loaded stays so.
  ///
  /// @throws ModelLoadException UNAVAILABLE outside explicit mode; NOT_FOUND when the model is unknown; REFUSED when a
  ///     version is pinned against it, and then all stay
  public void unload(String model) throws ModelLoadException {
    requireExplicit();
    requireKnown(model);
    managed(model).unload();
  }

  /// Loads and warms a version, then publishes it; an already loaded one of the same number is replaced, then retired.
  /// The version stays until it is unloaded or its folder is gone, whatever the policy names. In every mode.
  public ModelVersion load(String model, long version) throws ModelLoadException {
    requireOpen();
    var _ = folders.version(model, version);
    return managed(model).load(version);
  }

  /// The version if it is loaded; otherwise loads it. For whoever pins it: unpinned, it goes when the policy does not
  /// name it.
  public ModelVersion ensureLoaded(String model, long version) throws ModelLoadException {
    requireOpen();
    if (!known(model)) {
      var _ = folders.version(model, version);
    }
    return managed(model).ensureLoaded(version);
  }

  /// Stops giving out a version; it is closed when its last lease is back. In every mode.
  public void unload(String model, long version) throws ModelLoadException {
    requireKnown(model);
    managed(model).unload(version);
  }

  private void requireExplicit() throws ModelLoadException {
    if (mode != ControlMode.EXPLICIT) {
      throw new ModelLoadException(
          Kind.UNAVAILABLE, "explicit model load / unload is not allowed if polling is enabled");
    }
  }

  private void requireOpen() throws ModelLoadException {
    if (closed) {
      throw LoaderThreads.closed();
    }
  }

  private void requireKnown(String model) throws ModelLoadException {
    requireOpen();
    if (!known(model)) {
      var _ = folders.model(model);
    }
  }

  /// Only for a model that has a folder, or had one: names that callers make up are not remembered.
  private ManagedModel managed(String model) {
    return managed.computeIfAbsent(model, name -> new ManagedModel(name, house));
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  /// The model, or null when the repository has none of this name; one volatile read.
  public @Nullable Model find(String name) {
    Entry entry = published.find(name);
    return entry == null ? null : entry.model();
  }

  /// Every model that was seen; a snapshot.
  public List<Model> models() {
    return published.entries().values().stream().map(Entry::model).toList();
  }

  /// Whether the model was seen, even if nothing of it is ready.
  public boolean known(String model) {
    return published.find(model) != null;
  }

  /// Where a version stands, or null when nobody asked for it yet.
  public @Nullable VersionStatus status(String model, long version) {
    Entry entry = published.find(model);
    return entry == null ? null : entry.statuses().get(version);
  }

  /// Where every version that somebody asked for stands, by model and version, as far as the repository knows without
  /// reading the directory. A model of which nothing was asked for, or that is unavailable as a whole, has an entry of
  /// version 0.
  public List<VersionStatus> statuses() {
    return new TreeMap<>(published.entries())
        .values().stream().flatMap(entry -> entry.statuses().values().stream()).toList();
  }

  /// [#statuses] after a look at the directory: models that have come since the last one are in it, and those that have
  /// gone and are not loaded are not.
  public List<VersionStatus> index() {
    var _ = noteModels();
    forgetModels();
    return statuses();
  }

  /// The version folders of a model, lowest first; reads the directory.
  public long[] versionsOnDisk(String model) {
    return folders.versions(model);
  }

  /// Calls back after every change of what [#find] or [#statuses] answer, on the thread that made it, before the next
  /// change: a listener has to be quick and must not throw.
  public void onChange(Runnable listener) {
    published.onChange(listener);
  }

  /// Notes the models that came since the last look; returns those on disk, by name.
  private List<String> noteModels() {
    try {
      List<String> names = folders.models();
      for (String name : names) {
        if (!known(name)) {
          published.change(name, entry -> entry == null ? Entry.unasked(name) : entry);
        }
      }
      return names;
    } catch (IOException e) {
      log.error("the model repository cannot be read, its models stay as they are", e);
      return List.copyOf(new ArrayList<>(published.entries().keySet()));
    }
  }

  /// Forgets the models whose folder is gone, once nothing of them is loaded; but not the fault of one that was asked for
  /// at the start and never there.
  private void forgetModels() {
    for (String name : published.entries().keySet()) {
      if (managed.containsKey(name) && !folders.has(name)) {
        published.change(name, entry -> entry != null && entry.isAtRest() ? null : entry);
      }
    }
  }

  // --- the end --------------------------------------------------------------------------------------------------------

  /// Retires every version and loads none from now on; what is being loaded is closed as soon as it is there.
  @Override
  public void close() {
    closed = true;
    published.close().forEach(ManagedModel::retire);
    threads.close();
  }
}
