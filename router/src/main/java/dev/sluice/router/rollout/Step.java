package dev.sluice.router.rollout;

import dev.sluice.router.assignment.Exposure;
import java.util.List;

/// One step of a rollout's plan: how much the candidate sees, and what must have happened before the next step.
public sealed interface Step {

  int weightBasisPoints();

  int shadowBasisPoints();

  ExpansionCondition until();

  /// The candidate answers nobody; it sees copies of a share of the requests.
  record Shadow(int shadowBasisPoints, ExpansionCondition until) implements Step {
    public Shadow {
      checkShare("shadow", shadowBasisPoints, 1);
    }

    @Override
    public int weightBasisPoints() {
      return 0;
    }
  }

  /// The candidate answers for a share of the keys. Of a share of the requests the other variant sees a copy.
  record Canary(int weightBasisPoints, int shadowBasisPoints, ExpansionCondition until) implements Step {
    public Canary {
      checkShare("canary", weightBasisPoints, 1);
      checkShare("shadow", shadowBasisPoints, 0);
    }
  }

  /// What must have happened in a step before the rollout goes on. Too little of it holds the step for as long as it takes.
  ///
  /// @param accept what has to be shown, beyond numbers: each with error probability [Acceptance#BETA]
  /// @param observations requests that both variants have run (and that were compared, where a rule is about that) in a shadow step, candidate's answers in a canary step
  /// @param observationsPerSegment the same, in each declared segment
  /// @param millis time in the step without a pause
  record ExpansionCondition(
      long observations, long observationsPerSegment, long millis, List<Acceptance> accept) {
    public ExpansionCondition(long observations, long observationsPerSegment, long millis) {
      this(observations, observationsPerSegment, millis, List.of());
    }

    public ExpansionCondition {
      accept = List.copyOf(accept);
      if (observations < 1 || observationsPerSegment < 0 || millis < 0) {
        throw new IllegalArgumentException(
            "until: observations %d (at least 1), per segment %d (at least 0), time %d ms (at least 0)"
                .formatted(observations, observationsPerSegment, millis));
      }
    }
  }

  private static void checkShare(String name, int basisPoints, int min) {
    if (basisPoints < min || basisPoints > Exposure.ALL) {
      throw new IllegalArgumentException(
          "%s: %s %% is not between %s %% and 100 %%".formatted(name, basisPoints / 100.0, min / 100.0));
    }
  }
}
