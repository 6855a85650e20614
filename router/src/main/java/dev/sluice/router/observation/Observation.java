package dev.sluice.router.observation;

import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Disagreement;

/// What one completed or expired call teaches.
///
/// The caller's mistakes, cancelled calls and shed shadows teach nothing about a variant and are no observation at all.
public sealed interface Observation {

  /// The epoch of an observation that people see and that decides nothing.
  long NO_EVIDENCE = -1;

  /// The rollout's epoch when the request was assigned.
  long epoch();

  /// The request's segment, an index into the rollout's segments.
  int segment();

  /// A variant ran the request.
  ///
  /// @param shadow the answer was compared and thrown away
  record Answered(long epoch, int segment, Variant variant, boolean shadow, long latencyNanos) implements Observation {}

  /// A variant could not run the request, answered out of shape, or was late.
  ///
  /// @param latencyNanos until it failed or was given up on: its true latency is at least this
  record Failed(long epoch, int segment, Variant variant, boolean shadow, long latencyNanos) implements Observation {}

  /// The baseline answered in the candidate's place.
  record FellBack(long epoch, int segment, FallbackReason reason) implements Observation {}

  /// Both variants answered the same request.
  record Compared(long epoch, int segment, Disagreement disagreement) implements Observation {}
}
