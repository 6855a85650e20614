package dev.sluice.gateway.store;

import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.stop.Stop;
import org.jspecify.annotations.Nullable;

/// One rollout as it stands.
///
/// @param noteYaml as its owner gave it, frozen
/// @param salt of its assigner, frozen
/// @param attempt how many-th rollout of the same candidate it is, from 1: together they spend one alpha
/// @param reason why it is where it is, for people
/// @param firing set once a stop rule has fired
/// @param revision of its last change
public record StoredRollout(
    String name,
    String noteYaml,
    String noteSha256,
    long salt,
    int attempt,
    RolloutState state,
    String reason,
    @Nullable Firing firing,
    long revision,
    long createdMillis,
    long updatedMillis) {

  /// A stop rule's firing.
  ///
  /// @param flipNanos from the tripping observation to the flip
  public record Firing(Stop stop, long millis, long flipNanos) {}

  /// A rollout that has not been written down yet: its revision and times are the store's to give.
  public static StoredRollout create(
      String name, String noteYaml, String noteSha256, long salt, int attempt, RolloutState state, String reason) {
    return new StoredRollout(name, noteYaml, noteSha256, salt, attempt, state, reason, null, 0, 0, 0);
  }
}
