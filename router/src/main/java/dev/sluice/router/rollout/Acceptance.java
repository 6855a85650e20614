package dev.sluice.router.rollout;

/// What has to be shown about the candidate before the rollout goes on: the mirror image of a stop rule. A rule that stays
/// silent shows nothing; these have to speak.
public sealed interface Acceptance {

  /// The chance of accepting a candidate that is as bad as the bound says, or worse.
  double BETA = 0.05;

  /// The evidence at which it is shown.
  double THRESHOLD = 1 / BETA;

  /// The rate that a stop rule is about is below a limit.
  ///
  /// @param rule the rule's name
  record RateBelow(String rule, double limit) implements Acceptance {
    public RateBelow {
      if (!(limit > 0 && limit < 1)) {
        throw new IllegalArgumentException("limit: %s %% is not above 0 %% and below 100 %%".formatted(limit * 100));
      }
    }
  }

  /// The candidate's live calls fail less than `margin` times as often as the baseline's.
  record ErrorRatioBelow(double margin) implements Acceptance {
    public ErrorRatioBelow {
      if (!(margin >= 1 && margin <= 100)) {
        throw new IllegalArgumentException("margin: " + margin + " is not between 1 and 100");
      }
    }
  }
}
