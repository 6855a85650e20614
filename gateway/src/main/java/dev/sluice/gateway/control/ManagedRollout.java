package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.LiveRollout.Flip;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.rollout.RolloutMachine;
import dev.sluice.router.rollout.RolloutNote;
import org.jspecify.annotations.Nullable;

/// A rollout in the single writer's hands; nobody else touches it.
final class ManagedRollout {

  /// Null when the note, written by an older version, cannot be read any more.
  final @Nullable RolloutNote note;

  final @Nullable RolloutMachine machine;

  StoredRollout stored;

  /// Null when the rollout ended before this process began, or so long ago that its evidence was let go.
  @Nullable LiveRollout live;

  /// How its evidence came about.
  Course course = new Course();

  /// When this process took the rollout up, having been begun by a former one; 0 for a rollout of its own.
  long observedSince;

  /// A flip that has happened and is not written down yet.
  @Nullable Flip unwrittenFlip;

  /// An abort that has sent everybody back to the baseline and is not written down yet.
  @Nullable UnwrittenAbort unwrittenAbort;

  record UnwrittenAbort(String reason, String actor) {}

  /// A review has met the flip before.
  boolean flipReviewed;

  ManagedRollout(StoredRollout stored, @Nullable RolloutNote note, @Nullable LiveRollout live) {
    this.stored = stored;
    this.note = note;
    this.machine = note == null ? null : new RolloutMachine(note);
    this.live = live;
  }

  boolean isLive() {
    return live != null && !stored.state().stage().isEnded();
  }

  RolloutView view() {
    return new RolloutView(stored, note, live);
  }
}
