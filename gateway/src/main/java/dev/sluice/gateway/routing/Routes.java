package dev.sluice.gateway.routing;

import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.routing.InferenceFailure.Kind;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.Pins.Pin;
import dev.sluice.runtime.repository.Pins.Move;
import dev.sluice.runtime.repository.VersionStatus;
import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// The live table: for every model, who answers an unversioned call and who answers each version.
///
/// Readers take one volatile read of an immutable map. It is rebuilt whenever a version is published or retired and
/// whenever a rollout begins or ends.
public final class Routes {

  /// @param byLabel only of labels whose version is loaded
  /// @param labels all of them
  private record ModelRoutes(
      @Nullable Route unversioned, Map<Long, Route> byVersion, Map<String, Route> byLabel, Map<String, Long> labels) {}

  /// @param version the model's default when the first holder came, 0 if it had none
  private record Held(long version, int holders) {}

  private final ModelRepository repository;
  private final GatewayMetrics metrics;
  private final Object writeLock = new Object();
  private final Map<String, LiveRollout> rollouts = new HashMap<>();
  private final Map<String, Long> serving = new HashMap<>();
  private final Map<String, Held> held = new HashMap<>();
  private final Map<String, SortedMap<String, Long>> labels = new HashMap<>();
  private volatile Map<String, ModelRoutes> routes = Map.of();

  public Routes(ModelRepository repository, GatewayMetrics metrics) {
    this.repository = repository;
    this.metrics = metrics;
    repository.onChange(this::rebuild);
    repository.heed(this::pins);
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  /// The route of a request.
  ///
  /// @param version empty for the model's default; otherwise a version number, or a label: both bypass a rollout
  public Route find(String model, String version) throws InferenceFailure {
    ModelRoutes found = routes.get(model);
    if (version.isEmpty()) {
      if (found != null && found.unversioned() != null) {
        return found.unversioned();
      }
      throw nothingReady(model);
    }
    if (VersionLabel.looksLikeOne(version)) {
      return labelled(found, model, version);
    }
    long number = parse(version, model, found);
    Route route = found == null ? null : found.byVersion().get(number);
    if (route == null) {
      throw notReady(model, number);
    }
    return route;
  }

  private Route labelled(@Nullable ModelRoutes found, String model, String label) throws InferenceFailure {
    if (found == null) {
      throw unknown(model);
    }
    Route route = found.byLabel().get(label);
    if (route != null) {
      return route;
    }
    Long version = found.labels().get(label);
    throw version == null
        ? noVersion(label, model, found)
        : new InferenceFailure(
            Kind.MODEL_NOT_READY,
            "Request for unknown model: '%s' version %d, labelled '%s', is not at ready state"
                .formatted(model, version, label));
  }

  /// The labels of a model and the versions that they name, in alphabetical order.
  public Map<String, Long> labels(String model) {
    ModelRoutes found = routes.get(model);
    return found == null ? Map.of() : found.labels();
  }

  /// The version that an unversioned call reaches, 0 if none. During a rollout: the baseline.
  public long defaultVersion(String model) {
    ModelRoutes found = routes.get(model);
    return found == null || found.unversioned() == null ? 0 : found.unversioned().version().version();
  }

  /// A version that is ready, or null.
  @Nullable ModelVersion version(String model, long version) {
    ModelRoutes found = routes.get(model);
    Route route = found == null ? null : found.byVersion().get(version);
    return route == null ? null : route.version();
  }

  /// A lease on a version that is loaded, or null when it is not.
  ///
  /// A version that is replaced is published anew before the old one is retired, so looking once more finds its successor.
  @Nullable ModelVersion acquire(String model, long number) {
    ModelVersion retired = null;
    while (true) {
      ModelVersion version = version(model, number);
      if (version == null || version == retired) {
        return null;
      }
      if (version.tryAcquire()) {
        return version;
      }
      retired = version;
    }
  }

  /// A lease on the route's version, or on what has replaced it since the route was found.
  @Nullable ModelVersion acquire(Route route) {
    return acquire(route.version());
  }

  /// A lease on a version, or on what has replaced it.
  @Nullable ModelVersion acquire(ModelVersion version) {
    return version.tryAcquire() ? version : acquire(version.model(), version.version());
  }

  private static long parse(String version, String model, @Nullable ModelRoutes found) throws InferenceFailure {
    try {
      long number = Long.parseLong(version);
      if (number >= 0) {
        return number;
      }
    } catch (NumberFormatException e) {
      // answered below
    }
    throw noVersion(version, model, found);
  }

  private static InferenceFailure noVersion(String version, String model, @Nullable ModelRoutes found) {
    String labels = found == null ? "" : String.join("', '", found.labels().keySet());
    return InferenceFailure.invalid(
        "failed to get model version from specified version string '%s' for model '%s': expected a number%s or nothing for the default%s"
            .formatted(
                version,
                model,
                labels.isEmpty() ? "" : ", a label ('%s'),".formatted(labels),
                labels.isEmpty() ? " (it has no labels)" : ""));
  }

  private InferenceFailure nothingReady(String model) {
    return repository.known(model)
        ? new InferenceFailure(
            Kind.UNKNOWN_VERSION, "Request for unknown model: '%s' has no available versions".formatted(model))
        : unknown(model);
  }

  private InferenceFailure notReady(String model, long version) {
    if (!repository.known(model)) {
      return unknown(model);
    }
    VersionStatus status = repository.status(model, version);
    return status == null
        ? new InferenceFailure(
            Kind.UNKNOWN_VERSION,
            "Request for unknown model: '%s' version %d is not found".formatted(model, version))
        : new InferenceFailure(
            Kind.MODEL_NOT_READY,
            "Request for unknown model: '%s' version %d is not at ready state".formatted(model, version));
  }

  private static InferenceFailure unknown(String model) {
    return new InferenceFailure(Kind.UNKNOWN_MODEL, "Request for unknown model: '%s' is not found".formatted(model));
  }

  // --- writing --------------------------------------------------------------------------------------------------------

  /// Sends the unversioned calls of the rollout's model through it.
  public void begin(LiveRollout rollout) {
    synchronized (writeLock) {
      rollouts.put(rollout.note().model(), rollout);
      rebuild();
    }
  }

  /// Takes the rollout out of its model's way.
  public void end(LiveRollout rollout) {
    synchronized (writeLock) {
      rollouts.remove(rollout.note().model(), rollout);
      rebuild();
    }
  }

  /// Pins a model's default version: the one that a rollout trusts, or has promoted.
  public void serve(String model, long version) {
    synchronized (writeLock) {
      serving.put(model, version);
      rebuild();
    }
  }

  /// Replaces a model's labels.
  public void label(String model, SortedMap<String, Long> versions) {
    synchronized (writeLock) {
      labels.put(model, new TreeMap<>(versions));
      rebuild();
    }
  }

  /// What callers and the control plane rely on, as the repository has to know it.
  private Map<Long, Pin> pins(String model) {
    Map<Long, Pin> pins = new HashMap<>();
    synchronized (writeLock) {
      if (held.containsKey(model)) {
        Pin pin = new Pin(Set.of(Move.POLICY), "in a rollout that is being prepared");
        versionsReady(model).forEach(version -> pin(pins, version, pin));
      }
      Long decided = serving.get(model);
      if (decided != null) {
        pin(pins, decided, new Pin(Set.of(Move.POLICY, Move.UNLOAD), "the version that a rollout decided on"));
      }
      labels.getOrDefault(model, Collections.emptySortedMap()).forEach(
          (label, version) ->
              pin(
                  pins,
                  version,
                  new Pin(
                      Set.of(Move.POLICY, Move.UNLOAD, Move.UNLOAD_OF_MODEL), "labelled '%s'".formatted(label))));
      LiveRollout rollout = rollouts.get(model);
      if (rollout != null) {
        String by = "in rollout '%s'".formatted(rollout.note().name());
        pin(pins, rollout.note().baselineVersion(), new Pin(EnumSet.allOf(Move.class), by));
        // By its number it may be unloaded, in an emergency: that harms no caller and stops the rollout.
        Set<Move> careless = EnumSet.complementOf(EnumSet.of(Move.UNLOAD));
        pin(pins, rollout.note().candidateVersion(), new Pin(careless, by));
      }
    }
    return pins;
  }

  private Set<Long> versionsReady(String model) {
    ModelRoutes found = routes.get(model);
    return found == null ? Set.of() : found.byVersion().keySet();
  }

  private static void pin(Map<Long, Pin> pins, long version, Pin pin) {
    pins.merge(version, pin, Pin::and);
  }

  /// Keeps a model's default where it is until the hold is closed, whatever is loaded meanwhile: a candidate that is being
  /// checked must not become the default by being the newest version.
  public Hold hold(String model) {
    synchronized (writeLock) {
      held.merge(model, new Held(defaultVersion(model), 1), (first, _) -> new Held(first.version(), first.holders() + 1));
    }
    return () -> {
      synchronized (writeLock) {
        held.computeIfPresent(
            model, (_, now) -> now.holders() == 1 ? null : new Held(now.version(), now.holders() - 1));
        rebuild();
      }
    };
  }

  /// Ends a [#hold].
  public interface Hold extends AutoCloseable {
    @Override
    void close();
  }

  /// The rollout that a model's unversioned calls go through, null if there is none.
  public @Nullable LiveRollout rollout(String model) {
    ModelRoutes found = routes.get(model);
    return found == null || found.unversioned() == null ? null : found.unversioned().rollout();
  }

  private void rebuild() {
    synchronized (writeLock) {
      Map<String, ModelRoutes> rebuilt = new HashMap<>();
      repository.models().forEach(model -> rebuilt.put(model.name(), routesOf(model)));
      routes = Map.copyOf(rebuilt);
    }
  }

  private ModelRoutes routesOf(Model model) {
    Map<Long, Route> byVersion = new TreeMap<>();
    for (ModelVersion version : model.versions()) {
      byVersion.put(version.version(), new Route(version, metrics.calls(model.name(), version.version()), null, null));
    }
    LiveRollout rollout = rollouts.get(model.name());
    Long pinned = rollout != null ? Long.valueOf(rollout.note().baselineVersion()) : serving.get(model.name());
    if (pinned == null && held.containsKey(model.name())) {
      pinned = held.get(model.name()).version();
    }
    ModelVersion latest = model.latest();
    // A pinned version that is not loaded is an outage to report, never a reason to guess another one.
    Route plain = byVersion.get(pinned != null ? pinned : latest == null ? 0 : latest.version());
    Route candidate = rollout == null ? null : byVersion.get(rollout.note().candidateVersion());
    Route unversioned =
        plain == null
            ? null
            : new Route(plain.version(), plain.meters(), rollout, candidate == null ? null : candidate.version());
    SortedMap<String, Long> named = labels.getOrDefault(model.name(), Collections.emptySortedMap());
    Map<String, Route> byLabel = new HashMap<>();
    named.forEach(
        (label, version) -> {
          Route route = byVersion.get(version);
          if (route != null) {
            byLabel.put(label, route);
          }
        });
    return new ModelRoutes(unversioned, byVersion, byLabel, Collections.unmodifiableSortedMap(new TreeMap<>(named)));
  }
}
