package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.router.rollout.RolloutNote;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// All rollouts that there are: the writer's own, and beside them the immutable views that everybody else reads.
final class RolloutRegistry {

  /// Ended rollouts whose live evidence is kept for `explain`; older ones keep what is written down.
  private static final int ENDED_KEPT_MAX = 32;

  private final GatewayMetrics metrics;

  /// Confined to the writer.
  private final Map<String, ManagedRollout> rollouts = new LinkedHashMap<>();

  private volatile Map<String, RolloutView> views = Map.of();

  RolloutRegistry(GatewayMetrics metrics) {
    this.metrics = metrics;
  }

  // --- for everybody --------------------------------------------------------------------------------------------------

  List<RolloutView> views() {
    return List.copyOf(views.values());
  }

  @Nullable RolloutView view(String name) {
    return views.get(name);
  }

  static ControlFailure unknown(String name) {
    return new ControlFailure(Kind.NOT_FOUND, "rollout '%s' does not exist".formatted(name));
  }

  // --- for the writer -------------------------------------------------------------------------------------------------

  ManagedRollout get(String name) throws ControlFailure {
    ManagedRollout rollout = rollouts.get(name);
    if (rollout == null) {
      throw unknown(name);
    }
    return rollout;
  }

  @Nullable ManagedRollout find(String name) {
    return rollouts.get(name);
  }

  Collection<ManagedRollout> all() {
    return Collections.unmodifiableCollection(rollouts.values());
  }

  void put(ManagedRollout rollout) {
    rollouts.put(rollout.stored.name(), rollout);
  }

  void clear() {
    rollouts.clear();
  }

  /// The note, if its name is new and its model is in no other rollout.
  RolloutNote requireFree(RolloutNote note) throws ControlFailure {
    if (rollouts.containsKey(note.name())) {
      throw new ControlFailure(
          Kind.ALREADY_EXISTS, "rollout '%s' exists already; a new attempt needs a new name".formatted(note.name()));
    }
    for (ManagedRollout other : rollouts.values()) {
      if (other.isLive() && other.note != null && other.note.model().equals(note.model())) {
        throw new ControlFailure(
            Kind.REFUSED,
            "model '%s' is in rollout '%s' already: one at a time".formatted(note.model(), other.note.name()));
      }
    }
    return note;
  }

  /// Lets go of the live evidence of rollouts that ended long ago.
  ///
  /// @param retired is told the name of each
  void letGoOfOldest(Consumer<String> retired) {
    List<ManagedRollout> ended = rollouts.values().stream().filter(r -> r.live != null && !r.isLive()).toList();
    for (int i = 0; i < ended.size() - ENDED_KEPT_MAX; i++) {
      ended.get(i).live = null;
      retired.accept(ended.get(i).stored.name());
    }
  }

  /// Shows readers what the writer has changed.
  void publish() {
    Map<String, RolloutView> published = new LinkedHashMap<>();
    List<GatewayMetrics.StageRow> stages = new ArrayList<>();
    rollouts.forEach(
        (name, rollout) -> {
          published.put(name, rollout.view());
          if (rollout.note != null) {
            stages.add(
                new GatewayMetrics.StageRow(
                    name, rollout.note.model(), RolloutMessages.state(rollout.stored.state(), rollout.note).name()));
          }
        });
    views = Collections.unmodifiableMap(published);
    metrics.stages(stages);
  }
}
