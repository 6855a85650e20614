package dev.sluice.router.rollout;

/// The answer of the [RolloutMachine].
public sealed interface Decision {

  /// The rollout moves.
  ///
  /// @param kind one word for the audit trail
  record Move(RolloutState next, String kind, String reason) implements Decision {}

  /// Nothing to do: missing evidence is a reason, never a success. What is missing is [RolloutMachine#waitingFor]'s to say.
  ///
  /// @param ready the condition of the last step is met: only a person's word is missing for the promotion
  record Hold(boolean ready) implements Decision {}

  /// The command is not possible here.
  record Refuse(String reason) implements Decision {}
}
