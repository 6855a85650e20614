package dev.sluice.router.observation;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Disagreement;

/// What one completed or expired call teaches.
///
/// The caller's mistakes, cancelled calls and shed shadows teach nothing about a variant and are no observation at all.
public sealed interface Observation {

  Assignment assignment();

  /// The request's segment, an index into the rollout's segments.
  default int segment() {
    return assignment().segment();
  }

  /// A variant ran the request.
  ///
  /// @param shadow the answer was compared and thrown away
  record Answered(Assignment assignment, Variant variant, boolean shadow, long latencyNanos) implements Observation {}

  /// A variant could not run the request, answered out of shape, or was late, and the other one was not.
  ///
  /// @param shadow one of a pair: the other variant ran the same request well. Besides a failed copy that is a live failure of the
  ///     baseline whose copy the candidate then ran well; without those every failure of a pair would be the candidate's
  /// @param latencyNanos until it failed or was given up on: its true latency is at least this
  record Failed(Assignment assignment, Variant variant, boolean shadow, long latencyNanos) implements Observation {}

  /// The baseline answered in the candidate's place.
  record FellBack(Assignment assignment, FallbackReason reason) implements Observation {}

  /// Both variants answered the same request. When this is recorded must not depend on what it says: a disagreement that came in
  /// sooner than agreement would look more frequent than it is to rules about pairs and means, which count what has come in.
  record Compared(Assignment assignment, Disagreement disagreement) implements Observation {}

  /// Both variants answered the same request, and the baseline a second time: how much it differs from itself is what
  /// the candidate's difference is held against.
  ///
  /// @param repeatDisagrees whether the baseline's second answer disagrees with its first
  /// @param candidateDisagrees whether the candidate's answer disagrees with the baseline's first
  /// @param baselineNanos the second run of the baseline, and `candidateNanos` the candidate's, one after the other in
  ///     random order on the same thread; 0 for both where they were not run like that
  record Repeated(
      Assignment assignment,
      boolean repeatDisagrees,
      boolean candidateDisagrees,
      long baselineNanos,
      long candidateNanos)
      implements Observation {}

  /// One number of a request or of its answer, measured for a drift rule.
  ///
  /// @param rule the drift rule, an index into the rollout's rules
  /// @param value in the rule's unit: standard deviations from its reference mean, or the number of a bin
  record Measured(Assignment assignment, Variant variant, int rule, double value) implements Observation {}

  /// The truth about a request has arrived: how much worse the candidate's answer was than the baseline's.
  ///
  /// @param lossDifference the candidate's loss minus the baseline's, each in \[0, 1\]
  record Labelled(Assignment assignment, double lossDifference) implements Observation {}

  /// The runtime that the candidate runs on broke down.
  record Crashed(Assignment assignment) implements Observation {}
}
