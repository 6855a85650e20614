package dev.sluice.router.rollout;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.stop.StopRule;
import java.util.List;
import java.util.Map;

/// The document that an owner writes before a release, and the unit of release. Frozen once armed: to loosen a rule or raise
/// a weight beyond the plan is a new note and a new attempt.
///
/// @param name unique, forever
/// @param stickyKey what makes callers sticky
/// @param segments in order; a request belongs to the first that matches
/// @param comparisons by output name; outputs without one are not compared
/// @param alpha the chance of ever stopping a healthy candidate, over the whole life of the rollout
/// @param promotion whether the candidate is promoted when the last step's condition is met, or waits for a person
/// @param coolDownMillis how long the rules stay armed, and the baseline ready, after promotion
public record RolloutNote(
    String name,
    String model,
    String owner,
    long baselineVersion,
    long candidateVersion,
    StickyKey stickyKey,
    List<SegmentRule> segments,
    Map<String, Comparison> comparisons,
    List<Step> steps,
    List<StopRule> stopRules,
    double alpha,
    FallbackPath fallback,
    BlastRadius blastRadius,
    Promotion promotion,
    long coolDownMillis) {

  /// What makes a caller sticky; a request without it is spread by its id, and without an id evenly.
  public enum StickyKey {
    /// The `sluice-key` that the caller sends.
    KEY,
    /// The `sluice-tenant` that the caller sends.
    TENANT
  }

  public enum Promotion {
    AUTOMATIC,
    MANUAL
  }

  /// How the baseline stands behind a call that the candidate was to answer.
  ///
  /// @param deadlineShare the candidate's share of the caller's remaining time, between 0 and 1; the rest is the baseline's
  /// @param timeoutMillis the candidate's time at most, and all of it when the caller set no deadline
  public record FallbackPath(double deadlineShare, long timeoutMillis) {
    public FallbackPath {
      if (!(deadlineShare > 0 && deadlineShare < 1)) {
        throw new IllegalArgumentException(
            "deadlineShare: %s %% is not above 0 %% and below 100 %%".formatted(deadlineShare * 100));
      }
      if (timeoutMillis < 1 || timeoutMillis > 3_600_000) {
        throw new IllegalArgumentException("timeout: " + timeoutMillis + " ms is not between 1 ms and 1 h");
      }
    }
  }

  /// The most harm that the candidate may do before its promotion.
  ///
  /// @param weightBasisPoints the largest share of keys that it ever answers
  /// @param excluded requests that it never answers; it may see copies of them
  public record BlastRadius(int weightBasisPoints, List<SegmentRule> excluded) {
    public BlastRadius {
      excluded = List.copyOf(excluded);
      if (weightBasisPoints < 0 || weightBasisPoints > Exposure.ALL) {
        throw new IllegalArgumentException(
            "blast radius: %s %% is not between 0 %% and 100 %%".formatted(weightBasisPoints / 100.0));
      }
    }
  }

  public RolloutNote {
    segments = List.copyOf(segments);
    comparisons = Map.copyOf(comparisons);
    steps = List.copyOf(steps);
    stopRules = List.copyOf(stopRules);
    if (steps.isEmpty()) {
      throw new IllegalArgumentException("steps: there is none; at least one is needed");
    }
    for (int step = 0; step < steps.size(); step++) {
      if (steps.get(step).weightBasisPoints() > blastRadius.weightBasisPoints()) {
        throw new IllegalArgumentException(
            "steps: the weight of step %d, %s %%, is beyond the blast radius of %s %%"
                .formatted(
                    step + 1, steps.get(step).weightBasisPoints() / 100.0, blastRadius.weightBasisPoints() / 100.0));
      }
    }
    if (stopRules.isEmpty()) {
      throw new IllegalArgumentException("stopRules: there is none; at least one is needed");
    }
    if (baselineVersion < 1 || candidateVersion < 1 || baselineVersion == candidateVersion) {
      throw new IllegalArgumentException(
          "baseline %d and candidate %d: expected two different positive versions"
              .formatted(baselineVersion, candidateVersion));
    }
  }
}
