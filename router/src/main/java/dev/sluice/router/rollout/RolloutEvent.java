package dev.sluice.router.rollout;

/// What can happen to a rollout: a person's command, a verdict, or the passing of time.
public sealed interface RolloutEvent {

  /// Time has passed and evidence has come in: is the step's condition met?
  record Review() implements RolloutEvent {}

  record SetWeight(int weightBasisPoints, String reason) implements RolloutEvent {}

  record Pause(String reason) implements RolloutEvent {}

  record Resume(String reason) implements RolloutEvent {}

  record Promote(String reason) implements RolloutEvent {}

  record Abort(String reason) implements RolloutEvent {}

  /// A stop rule has flipped the rollout already; this writes it down.
  record Flipped(String reason) implements RolloutEvent {}
}
