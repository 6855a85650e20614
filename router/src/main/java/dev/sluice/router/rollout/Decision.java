package dev.sluice.router.rollout;

/// The answer of the [RolloutMachine].
public sealed interface Decision {

  /// The rollout moves.
  ///
  /// @param kind one word for the audit trail
  record Move(RolloutState next, String kind, String reason) implements Decision {}

  /// Nothing to do, and why: missing evidence is a reason, never a success.
  record Hold(String waitingFor) implements Decision {}

  /// The command is not possible here.
  record Refuse(String reason) implements Decision {}
}
