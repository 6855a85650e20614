package dev.sluice.router.rollout;

import java.util.List;

/// What the control plane writes down about a rollout: enough to go on after a restart.
///
/// @param epoch grows by one at every flip and weight change
/// @param observedAtEntry the observations there were when the present step was entered: of each declared segment, and then of
///     all traffic
public record RolloutState(
    Stage stage, long epoch, int weightBasisPoints, int shadowBasisPoints, List<Long> observedAtEntry) {

  public RolloutState {
    observedAtEntry = List.copyOf(observedAtEntry);
  }
}
