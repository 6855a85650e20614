package dev.sluice.router.rollout;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Segments.Discovery;
import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.Acceptance.ErrorRatioBelow;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The document that an owner writes before a release, and the unit of release. Frozen once armed: to loosen a rule or raise
/// a weight beyond the plan is a new note and a new attempt.
///
/// @param name unique, forever
/// @param stickyKey what makes callers sticky
/// @param segments in order; a request belongs to the first that matches
/// @param comparisons by output name; outputs without one are not compared
/// @param alpha the chance of ever stopping a healthy candidate, over the whole life of the rollout
/// @param promotion whether the candidate is promoted when the last step's condition is met, or waits for a person
/// @param discovery the attribute whose values become segments on the way; null for none
/// @param repeatBasisPoints of the shadowed requests this share is run by the baseline a second time
/// @param mode whether a verdict is acted upon
/// @param labels what the truth is about that arrives later; null if none will
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
    long coolDownMillis,
    @Nullable Discovery discovery,
    int repeatBasisPoints,
    Mode mode,
    @Nullable LabelPlan labels) {

  /// What the truth is about that arrives later: whether an event came about to which the answer gave a probability.
  ///
  /// @param output an output of probabilities
  /// @param column of its first row
  /// @param horizonMillis how long a label may take. All requests of one age are judged together then, in the order of their
  ///     dispatch: truths that are known sooner, such as frauds that are reported at once, would otherwise count double
  /// @param missing what a request without a label stands for
  public record LabelPlan(String output, int column, long horizonMillis, Missing missing) {
    /// The longest horizon: 90 days.
    public static final long HORIZON_MILLIS_MAX = 90L * 24 * 3_600_000;

    /// What a request without a label stands for.
    public enum Missing {
      /// Nothing: nobody has looked.
      EXCLUDED,
      /// The event did not come about: somebody would have said so.
      NEGATIVE
    }

    public LabelPlan {
      if (output.isEmpty() || column < 0) {
        throw new IllegalArgumentException(
            "labels: output '%s', column %d: expected a name and a column of at least 0".formatted(output, column));
      }
      if (horizonMillis < 1 || horizonMillis > HORIZON_MILLIS_MAX) {
        throw new IllegalArgumentException(
            "labels: a horizon of %d ms is not between 1 ms and 90 days".formatted(horizonMillis));
      }
    }
  }

  /// What a verdict of the stop rules leads to.
  public enum Mode {
    /// The flip.
    LIVE,
    /// A line in the audit trail, and nothing else: the rules are tried on live traffic.
    DRY_RUN
  }

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

  /// The segments as the note has them.
  public Segments allSegments() {
    return new Segments(segments, discovery);
  }

  /// The rules as one of several attempts to release the same candidate arms them.
  ///
  /// @param attempt from 1
  public ArmedRules arm(int attempt) {
    return new ArmedRules(stopRules, ArmedRules.alphaOfAttempt(alpha, attempt), allSegments());
  }

  /// The candidate is given up on after one timeout; the baseline, which has all of the caller's time, is given this many.
  /// Rules about both side by side leave out what takes longer.
  private static final int CALL_TIMEOUTS = 2;

  /// What the evidence of such an attempt needs to know.
  public EvidenceLedger.Plan plan(int attempt) {
    return new EvidenceLedger.Plan(arm(attempt), margins(), CALL_TIMEOUTS * fallback.timeoutMillis(), EvidenceLedger.Plan.LINES,
        mode == Mode.LIVE);
  }

  /// The ratios that some step wants shown, in order.
  public List<Double> margins() {
    return steps.stream()
        .flatMap(step -> step.until().accept().stream())
        .filter(ErrorRatioBelow.class::isInstance)
        .map(acceptance -> ((ErrorRatioBelow) acceptance).margin())
        .distinct()
        .sorted()
        .toList();
  }

  public RolloutNote {
    if (repeatBasisPoints < 0 || repeatBasisPoints > Exposure.ALL) {
      throw new IllegalArgumentException(
          "repeat: %s %% is not between 0 %% and 100 %%".formatted(repeatBasisPoints / 100.0));
    }
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
