package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.repository.VersionStatus.State;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/// What readers see of the repository: an immutable map behind one volatile read, replaced at every change.
///
/// The lock is held for a change of the map and for the listeners, never while anything is loaded.
final class PublishedModels {
  /// The version under which a model as a whole is told of.
  static final long WHOLE_MODEL = 0;

  /// All that is known of one model, replaced as a whole.
  record Entry(Model model, SortedMap<Long, VersionStatus> statuses) {
    /// Of a model that nobody has asked for.
    static Entry unasked(String name) {
      return new Entry(new Model(name, List.of()), new TreeMap<>())
          .with(new VersionStatus(name, WHOLE_MODEL, State.UNKNOWN, ""));
    }

    /// A status of a version takes the place of what was said of the model as a whole, and the other way round: where
    /// a version has a status, the model's own fault is told beside it.
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

    Entry withoutStatus(long version) {
      SortedMap<Long, VersionStatus> changed = new TreeMap<>(statuses);
      changed.remove(version);
      return new Entry(model, changed);
    }

    Entry with(ModelVersion version) {
      List<ModelVersion> ready = new ArrayList<>(without(version.version()).model.versions());
      ready.add(version);
      ready.sort(Comparator.comparingLong(ModelVersion::version));
      return new Entry(new Model(model.name(), ready), statuses);
    }

    /// Nothing is loaded, and nothing is on its way in or out.
    boolean isAtRest() {
      return model.versions().isEmpty()
          && statuses.values().stream()
              .noneMatch(status -> status.state() == State.LOADING || status.state() == State.UNLOADING);
    }
  }

  private final ReentrantLock changing = new ReentrantLock();
  private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
  private volatile Map<String, Entry> entries = Map.of();
  private boolean closed;

  Map<String, Entry> entries() {
    return entries;
  }

  @Nullable Entry find(String model) {
    return entries.get(model);
  }

  void onChange(Runnable listener) {
    listeners.add(listener);
  }

  /// Replaces what is known of a model; the change is given what is known now, and answers null for "nothing".
  ///
  /// @return false if nothing is published any more
  boolean change(String model, UnaryOperator<@Nullable Entry> change) {
    changing.lock();
    try {
      if (closed) {
        return false;
      }
      Entry before = entries.get(model);
      Entry after = change.apply(before);
      if (!Objects.equals(after, before)) {
        Map<String, Entry> changed = new HashMap<>(entries);
        if (after == null) {
          changed.remove(model);
        } else {
          changed.put(model, after);
        }
        entries = Map.copyOf(changed);
        listeners.forEach(Runnable::run);
      }
      return true;
    } finally {
      changing.unlock();
    }
  }

  /// Publishes nothing from now on.
  ///
  /// @return the versions that were ready
  List<ModelVersion> close() {
    changing.lock();
    try {
      closed = true;
      List<ModelVersion> last =
          entries.values().stream().flatMap(entry -> entry.model().versions().stream()).toList();
      entries = Map.of();
      listeners.forEach(Runnable::run);
      return last;
    } finally {
      changing.unlock();
    }
  }
}
