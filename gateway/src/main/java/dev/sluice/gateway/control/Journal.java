package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.gateway.store.Change;
import dev.sluice.gateway.store.LabelChange;
import dev.sluice.gateway.store.ServingMarkers;
import dev.sluice.gateway.store.ServingVersion;
import dev.sluice.gateway.store.StaleRevisionException;
import dev.sluice.gateway.store.Store;
import dev.sluice.gateway.store.StoreException;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.gateway.store.StoredRollout.Firing;
import dev.sluice.router.rollout.RolloutState;
import java.time.Clock;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Where decisions are written down: the store, and beside it the marker of a model's default version.
public record Journal(Store store, ServingMarkers markers, Clock clock) {

  /// A decision, ready to be written down.
  ///
  /// @param serving the model's new default version; null if it stays
  record Entry(
      RolloutState next, String actor, String kind, String reason, @Nullable Firing firing, @Nullable ServingVersion serving) {}

  /// Writes a decision down. When this returns, the machine may crash.
  ///
  /// @return the rollout as it stands now
  StoredRollout write(ManagedRollout rollout, Entry entry) throws ControlFailure {
    StoredRollout before = rollout.stored;
    StoredRollout after =
        new StoredRollout(
            before.name(), before.noteYaml(), before.noteSha256(), before.salt(), before.attempt(), entry.next(), entry.reason(),
            entry.firing(), before.revision(), before.createdMillis(), before.updatedMillis());
    try {
      AuditEvent event =
          store.commit(
              new Change(
                  after, entry.actor(), entry.kind(), entry.reason(), RolloutDetail.json(after, rollout.live),
                  entry.serving(), before.revision(), clock.millis()));
      if (entry.serving() != null) {
        markers.write(entry.serving());
      }
      long created = before.revision() == 0 ? event.timeMillis() : before.createdMillis();
      return new StoredRollout(
          after.name(), after.noteYaml(), after.noteSha256(), after.salt(), after.attempt(), after.state(), after.reason(),
          after.firing(), event.revision(), created, event.timeMillis());
    } catch (StaleRevisionException e) {
      throw new ControlFailure(Kind.STALE, String.valueOf(e.getMessage()));
    } catch (StoreException e) {
      throw new ControlFailure(
          Kind.UNAVAILABLE, "rollout '%s' could not be written down: %s".formatted(before.name(), e.getMessage()));
    }
  }

  /// The same for a label.
  void write(LabelChange change) throws ControlFailure {
    try {
      AuditEvent _ = store.commit(change);
    } catch (StoreException e) {
      throw new ControlFailure(
          Kind.UNAVAILABLE,
          "label '%s' of model '%s' could not be written down: %s"
              .formatted(change.label(), change.model(), e.getMessage()));
    }
  }

  List<AuditEvent> events(@Nullable String rollout, long afterRevision, int max) throws ControlFailure {
    try {
      return store.events(rollout, afterRevision, max);
    } catch (StoreException e) {
      throw new ControlFailure(Kind.UNAVAILABLE, String.valueOf(e.getMessage()));
    }
  }
}
