package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import java.util.List;

/// Which observations some rule wants to hear about. All others, nearly all of a healthy rollout's, move a counter and are
/// not evidence: that is what keeps a good answer cheap.
///
/// @param candidateNanos answers of the candidate that took longer matter; [Long#MAX_VALUE] for none
/// @param liveNanos live answers of either variant that took longer matter
record Interest(
    long candidateNanos,
    long liveNanos,
    boolean liveFailures,
    boolean fallbacks,
    boolean everyComparison,
    boolean disagreements,
    boolean repeats,
    boolean assignments) {

  /// @param frozenNanosMin the smallest frozen latency quantile; [Long#MAX_VALUE] if there is none
  static Interest of(ArmedRules armed, boolean acceptances, long frozenNanosMin) {
    List<StopRule> rules = armed.rules();
    long candidateNanos = Long.MAX_VALUE;
    for (StopRule rule : rules) {
      if (rule instanceof StopRule.LatencyOver over) {
        candidateNanos = Math.min(candidateNanos, over.overNanos());
      }
      if (rule instanceof StopRule.MeanCost) {
        candidateNanos = -1;
      }
    }
    return new Interest(
        candidateNanos,
        frozenNanosMin,
        acceptances || any(rules, StopRule.ErrorRatio.class),
        acceptances || any(rules, StopRule.ErrorRatio.class) || any(rules, StopRule.FallbackRate.class),
        any(rules, StopRule.ScoreDifference.class),
        any(rules, StopRule.DisagreementRate.class),
        any(rules, StopRule.NoiseFloor.class) || any(rules, StopRule.PairedLatency.class),
        any(rules, StopRule.SampleRatio.class));
  }

  private static boolean any(List<StopRule> rules, Class<? extends StopRule> kind) {
    return rules.stream().anyMatch(kind::isInstance);
  }

  boolean inAnswer(Variant variant, boolean shadow, long nanos) {
    return (variant == Variant.CANDIDATE && nanos > candidateNanos) || (!shadow && nanos > liveNanos);
  }

  boolean in(Observation observation) {
    return switch (observation) {
      case Observation.Answered o -> inAnswer(o.variant(), o.shadow(), o.latencyNanos());
      case Observation.Failed o ->
          o.variant() == Variant.CANDIDATE || o.shadow() || liveFailures || o.latencyNanos() > liveNanos;
      case Observation.FellBack _ -> fallbacks;
      case Observation.Compared o -> everyComparison || (disagreements && o.disagreement().disagrees());
      case Observation.Repeated _ -> repeats;
      case Observation.Measured _, Observation.Labelled _, Observation.Crashed _ -> true;
    };
  }
}
