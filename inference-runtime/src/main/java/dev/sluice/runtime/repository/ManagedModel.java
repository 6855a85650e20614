package dev.sluice.runtime.repository;

import dev.sluice.linux.LinuxCalls;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelLoadException.Kind;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.repository.Pins.Pin;
import dev.sluice.runtime.repository.Pins.Move;
import dev.sluice.runtime.repository.PublishedModels.Entry;
import dev.sluice.runtime.repository.VersionStatus.State;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The changes of one model, one after the other under its lock. Whoever reads, and whoever changes another model, does
/// not wait for it.
///
/// The rule for each version is all or nothing: a replacement is published when it is loaded and warm, in the place of
/// its predecessor, which is then retired; one that fails takes nothing away. The rule for the model: what its policy no
/// longer names goes only when all that it names is there.
final class ManagedModel {

  /// What the repository gives each of its models.
  record House(
      RepositoryFolders folders,
      ConfigOptions configOptions,
      VersionLoader loader,
      LoaderThreads threads,
      Pins pins,
      PublishedModels published) {}

  /// What a look at a model's files has led to.
  ///
  /// @param settled false if files were found changing, so that another look soon is worth it
  record Outcome(List<ModelLoadException> failures, boolean settled) {
    private static Outcome failure(ModelLoadException failure) {
      return new Outcome(List.of(failure), true);
    }
  }

  private static final Logger log = LoggerFactory.getLogger(ManagedModel.class);

  private final String name;
  private final House house;
  private final ReentrantLock changing = new ReentrantLock();

  // All of these only under the lock. What is kept by version is let go of with its folder.

  /// Configuration that came with a request, in place of the file; null for none.
  private @Nullable String configurationJson;

  /// Versions that somebody asked for by their number: they stay although the policy may not name them.
  private final Set<Long> asked = new HashSet<>();

  /// What the files looked like when a version was loaded from them, where that is certain.
  private final Map<Long, Look> loadedFrom = new HashMap<>();

  /// What they looked like when loading failed. Trying the same files again would fail again.
  private final Map<Long, Look> failedOn = new HashMap<>();

  /// What a poll last saw of files that are to be loaded. A file being written looks different every time.
  private final Map<Long, Look> lastSeen = new HashMap<>();

  /// What the folder looked like when nobody could say which versions are wanted.
  private @Nullable Undecided undecided;

  private record Undecided(Look own, List<Long> onDisk) {}

  ManagedModel(String name, House house) {
    this.name = name;
    this.house = house;
  }

  // --- single versions ------------------------------------------------------------------------------------------------

  /// Loads a version, or replaces it, whether its files have changed or not.
  ModelVersion load(long version) throws ModelLoadException {
    changing.lock();
    try {
      house.folders().version(name, version);
      if (ready(version) != null) {
        requireReplaceable(version);
      }
      ModelVersion loaded = load(version, configuration(), look(version));
      asked.add(version);
      return loaded;
    } finally {
      changing.unlock();
    }
  }

  /// The version if it is loaded; else loads it.
  ModelVersion ensureLoaded(long version) throws ModelLoadException {
    changing.lock();
    try {
      ModelVersion ready = ready(version);
      return ready != null ? ready : load(version, configuration(), look(version));
    } finally {
      changing.unlock();
    }
  }

  void unload(long version) throws ModelLoadException {
    changing.lock();
    try {
      if (ready(version) == null) {
        throw new ModelLoadException(
            isKnown(version) ? Kind.REFUSED : Kind.NOT_FOUND,
            "model '%s' version %d is not loaded".formatted(name, version));
      }
      Pin pin = house.pins().of(name).get(version);
      if (pin != null && pin.forbids(Move.UNLOAD)) {
        throw new ModelLoadException(
            Kind.REFUSED, "model '%s' version %d stays: it is %s".formatted(name, version, pin.by(Move.UNLOAD)));
      }
      asked.remove(version);
      retire(version);
    } finally {
      changing.unlock();
    }
  }

  // --- the whole model ------------------------------------------------------------------------------------------------

  /// Brings what is loaded in line with what lies on disk and what is configured.
  ///
  /// @param json configuration in place of the file's; null for the file's
  Outcome apply(@Nullable String json) {
    changing.lock();
    try {
      String before = configurationJson;
      configurationJson = json;
      Outcome outcome = apply(false);
      if (!outcome.failures().isEmpty()) {
        configurationJson = before;
      }
      return outcome;
    } finally {
      changing.unlock();
    }
  }

  /// The same for what has changed since the last time and has come to rest. A model that is being changed is passed by.
  Outcome poll() {
    if (!changing.tryLock()) {
      return new Outcome(List.of(), false);
    }
    try {
      return apply(true);
    } finally {
      changing.unlock();
    }
  }

  /// Takes every version out of service.
  void unload() throws ModelLoadException {
    changing.lock();
    try {
      List<String> held = new ArrayList<>();
      house.pins().of(name).forEach(
          (version, pin) -> {
            if (pin.forbids(Move.UNLOAD_OF_MODEL)) {
              held.add("version %d is %s".formatted(version, pin.by(Move.UNLOAD_OF_MODEL)));
            }
          });
      if (!held.isEmpty()) {
        throw new ModelLoadException(
            Kind.REFUSED, "failed to unload '%s': %s".formatted(name, String.join(", ", held)));
      }
      configurationJson = null;
      asked.clear();
      failedOn.clear();
      undecided = null;
      readyVersions().forEach(this::retire);
      noteUnasked();
    } finally {
      changing.unlock();
    }
  }

  /// What had failed is not asked for any more.
  private void noteUnasked() {
    publish(
        entry -> {
          Entry changed = entry;
          for (VersionStatus status : entry.statuses().values()) {
            if (status.isFault()) {
              changed =
                  status.version() == PublishedModels.WHOLE_MODEL
                      ? Entry.unasked(name)
                      : changed.with(
                          new VersionStatus(name, status.version(), State.UNAVAILABLE, VersionStatus.UNLOADED));
            }
          }
          return changed;
        });
  }

  private Outcome apply(boolean polled) {
    long[] onDisk = house.folders().versions(name);
    forgetAllBut(onDisk);
    Look own;
    ModelConfiguration configuration;
    long[] policy;
    try {
      own = house.folders().lookAt(name);
    } catch (ModelLoadException e) {
      return withoutFolder(e, polled);
    }
    try {
      configuration = configuration();
      policy = wanted(configuration, onDisk);
      undecided = null;
    } catch (ModelLoadException e) {
      return undecided(new Undecided(own, LongStream.of(onDisk).boxed().toList()), e, polled);
    }
    return apply(configuration, own, onDisk, policy, polled);
  }

  private Outcome apply(ModelConfiguration configuration, Look own, long[] onDisk, long[] policy, boolean polled) {
    Map<Long, Pin> pins = house.pins().of(name);
    Set<Long> wanted = new TreeSet<>();
    LongStream.of(onDisk).filter(version -> pins.containsKey(version) || asked.contains(version)).forEach(wanted::add);
    LongStream.of(policy).forEach(wanted::add);
    List<ModelLoadException> failures = new ArrayList<>();
    boolean settled = true;
    for (long version : wanted) {
      try {
        settled &= bring(version, configuration, own, pins.get(version), polled);
      } catch (ModelLoadException e) {
        log.warn("model '{}' version {} is not available: {}", name, version, e.getMessage());
        failures.add(e);
      }
    }
    if (wanted.stream().allMatch(version -> ready(version) != null)) {
      dropAllBut(wanted);
    }
    return new Outcome(failures, settled);
  }

  /// Loads a version that is not loaded, or not as its files are now.
  ///
  /// @return false if its files have to be looked at again
  private boolean bring(
      long version, ModelConfiguration configuration, Look own, @Nullable Pin pin, boolean polled)
      throws ModelLoadException {
    Look look = own.and(house.folders().lookAt(name, version), Long.toString(version));
    boolean ready = ready(version) != null;
    // A configuration that came with the load is new, whatever the files are.
    if (ready && configurationJson == null && look.equals(loadedFrom.get(version))) {
      lastSeen.remove(version);
      noteUnchanged(version);
      return true;
    }
    if (polled) {
      if (look.equals(failedOn.get(version)) || (ready && pin != null && pin.forbids(Move.REPLACEMENT))) {
        return true;
      }
      if (!look.equals(lastSeen.put(version, look))) {
        return false;
      }
    } else if (ready) {
      requireReplaceable(version);
    }
    lastSeen.remove(version);
    load(version, configuration, look);
    return true;
  }

  /// A replacement that failed has been taken back: there is nothing to complain of any more.
  private void noteUnchanged(long version) {
    VersionStatus ready = new VersionStatus(name, version, State.READY, "");
    publish(entry -> ready.equals(entry.statuses().get(version)) ? entry : entry.with(ready));
  }

  private void requireReplaceable(long version) throws ModelLoadException {
    Pin pin = house.pins().of(name).get(version);
    if (pin != null && pin.forbids(Move.REPLACEMENT)) {
      throw new ModelLoadException(
          Kind.REFUSED,
          "model '%s' version %d is %s: replacing it would make the evidence another version's"
              .formatted(name, version, pin.by(Move.REPLACEMENT)));
    }
  }

  private void dropAllBut(Set<Long> wanted) {
    Map<Long, Pin> pins = house.pins().of(name);
    for (long version : readyVersions()) {
      if (!wanted.contains(version) && !pins.containsKey(version)) {
        log.info("model '{}' version {} is unloaded: it is not in the repository or its policy any more", name, version);
        retire(version);
      }
    }
  }

  /// Nobody can say which versions are wanted: what is loaded stays, except what has lost its folder with all others.
  private Outcome undecided(Undecided now, ModelLoadException fault, boolean polled) {
    if (now.onDisk().isEmpty()) {
      dropAllBut(Set.of());
    }
    if (polled && now.equals(undecided)) {
      return new Outcome(List.of(), true); // it was told before
    }
    undecided = now;
    log.warn("model '{}' is not available as its folder is now: {}", name, fault.getMessage());
    publish(
        entry -> {
          if (entry.model().versions().isEmpty()) {
            return entry.with(
                new VersionStatus(name, PublishedModels.WHOLE_MODEL, State.UNAVAILABLE, fault.getMessage()));
          }
          Entry changed = entry;
          for (ModelVersion version : entry.model().versions()) {
            changed = changed.with(notReplaced(version.version(), fault));
          }
          return changed;
        });
    return Outcome.failure(fault);
  }

  private Outcome withoutFolder(ModelLoadException fault, boolean polled) {
    if (fault.kind() == Kind.NOT_FOUND && polled) {
      asked.clear();
      dropAllBut(Set.of());
    }
    return Outcome.failure(fault);
  }

  private void forgetAllBut(long[] onDisk) {
    Set<Long> there = new HashSet<>(LongStream.of(onDisk).boxed().toList());
    asked.retainAll(there);
    failedOn.keySet().retainAll(there);
    lastSeen.keySet().retainAll(there);
    publish(
        entry -> {
          Entry changed = entry;
          for (VersionStatus status : entry.statuses().values()) {
            if (status.isFault() && status.version() != PublishedModels.WHOLE_MODEL && !there.contains(status.version())) {
              changed = changed.withoutStatus(status.version());
            }
          }
          return changed;
        });
  }

  private ModelConfiguration configuration() throws ModelLoadException {
    String json = configurationJson;
    return json == null
        ? ModelConfiguration.read(house.folders().model(name), name, house.configOptions())
        : ModelConfiguration.ofJson(house.folders().model(name), name, json, house.configOptions());
  }

  private long[] wanted(ModelConfiguration configuration, long[] onDisk) throws ModelLoadException {
    long[] wanted = configuration.wanted(onDisk);
    if (wanted.length == 0) {
      throw new ModelLoadException(
          onDisk.length == 0
              ? "%s has no version folder (a positive integer without leading zeros)".formatted(name)
              : "%s: its version_policy names none of the versions %s".formatted(name, Arrays.toString(onDisk)));
    }
    return wanted;
  }

  // --- loading and retiring -------------------------------------------------------------------------------------------

  private Look look(long version) throws ModelLoadException {
    return house.folders().lookAt(name).and(house.folders().lookAt(name, version), Long.toString(version));
  }

  private ModelVersion load(long version, ModelConfiguration configuration, Look look) throws ModelLoadException {
    ModelVersion previous = ready(version);
    if (previous == null) {
      publish(entry -> entry.with(new VersionStatus(name, version, State.LOADING, "")));
    }
    try {
      ModelVersion loaded = loadThrottled(version, configuration);
      if (!publish(entry -> entry.with(loaded).with(new VersionStatus(name, version, State.READY, "")))) {
        loaded.retire();
        throw LoaderThreads.closed();
      }
      failedOn.remove(version);
      if (look.certain() && configurationJson == null) {
        loadedFrom.put(version, look);
      } else {
        loadedFrom.remove(version);
      }
      if (previous != null) {
        retire(previous);
      }
      return loaded;
    } catch (ModelLoadException e) {
      failedOn.put(version, look);
      publish(
          entry ->
              entry.with(
                  previous == null
                      ? new VersionStatus(name, version, State.UNAVAILABLE, e.getMessage())
                      : notReplaced(version, e)));
      throw e;
    }
  }

  private ModelVersion loadThrottled(long version, ModelConfiguration configuration) throws ModelLoadException {
    var folder = house.folders().version(name, version);
    // Not on one of the few threads that load: a slow download holds up its own model only.
    var files = house.loader().files(folder, name, version, configuration);
    try {
      return house
          .threads()
          .load(
              () -> house.loader().load(files, name, version, configuration), house.loader().startsThreads(files));
    } catch (ModelLoadException | RuntimeException e) {
      files.close(); // It may not have come to loading at all.
      throw e;
    }
  }

  private VersionStatus notReplaced(long version, ModelLoadException fault) {
    return new VersionStatus(name, version, State.READY, "not replaced: " + fault.getMessage());
  }

  private void retire(long number) {
    ModelVersion version = ready(number);
    if (version == null) {
      return;
    }
    loadedFrom.remove(number);
    VersionStatus draining = new VersionStatus(name, number, State.UNLOADING, "");
    publish(entry -> entry.without(number).with(draining));
    var _ = version.closed().whenComplete((done, failure) -> noteUnloaded(draining));
    retire(version);
  }

  /// Closes it when its last lease is back.
  static void retire(ModelVersion version) {
    version.retire();
    var _ =
        version
            .closed()
            .whenComplete(
                (done, failure) -> {
                  if (failure != null) {
                    log.error("{} could not be freed", version, failure);
                  }
                  LinuxCalls.returnFreedMemory();
                });
  }

  @SuppressWarnings("ReferenceEquality") // This very status: an equal one may be that of a later unload.
  private void noteUnloaded(VersionStatus draining) {
    publish(
        entry ->
            // Unless it was loaded again in the meantime.
            entry.statuses().get(draining.version()) == draining
                ? entry.with(
                    new VersionStatus(name, draining.version(), State.UNAVAILABLE, VersionStatus.UNLOADED))
                : entry);
  }

  private interface Change {
    Entry of(Entry entry);
  }

  private boolean publish(Change change) {
    return house.published().change(name, entry -> change.of(entry == null ? Entry.unasked(name) : entry));
  }

  private @Nullable ModelVersion ready(long version) {
    Entry entry = house.published().find(name);
    return entry == null ? null : entry.model().version(version);
  }

  private boolean isKnown(long version) {
    Entry entry = house.published().find(name);
    return entry != null && entry.statuses().containsKey(version);
  }

  private List<Long> readyVersions() {
    Entry entry = house.published().find(name);
    return entry == null ? List.of() : entry.model().versions().stream().map(ModelVersion::version).toList();
  }
}
