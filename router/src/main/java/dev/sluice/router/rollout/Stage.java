package dev.sluice.router.rollout;

/// Where a rollout is. The exposure that belongs to it is kept beside it, so a stage cannot contradict the weight.
public sealed interface Stage {

  /// In a step of the plan.
  ///
  /// @param step index into the plan
  /// @param enteredMillis when it was entered, or last resumed: wall clock, so that it survives a restart
  record Running(int step, long enteredMillis) implements Stage {}

  /// The step is frozen: rules stay armed, nothing expands.
  record Paused(int step, String reason) implements Stage {}

  /// The candidate answers everybody; rules stay armed and the baseline stays ready until the cool-down ends.
  record CoolingDown(long promotedMillis) implements Stage {}

  /// The candidate has become the model's version. The end.
  record Promoted(long promotedMillis) implements Stage {}

  /// A stop rule flipped the rollout back to the baseline. The end.
  record Stopped(String reason) implements Stage {}

  /// A person ended it. The end.
  record Aborted(String reason) implements Stage {}

  default boolean isEnded() {
    return switch (this) {
      case Running _, Paused _, CoolingDown _ -> false;
      case Promoted _, Stopped _, Aborted _ -> true;
    };
  }
}
