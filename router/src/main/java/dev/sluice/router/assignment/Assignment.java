package dev.sluice.router.assignment;

/// The decision for one request.
///
/// @param variant who answers
/// @param shadowed whether the other variant sees a copy, to be compared and thrown away
/// @param segment index in the rollout's [Segments]
/// @param epoch the rollout's epoch at the decision; evidence from an older epoch never decides
public record Assignment(Variant variant, boolean shadowed, int segment, long epoch) {

  /// The same request, answered by the baseline after all; nobody sees a copy.
  public Assignment byBaseline() {
    return new Assignment(Variant.BASELINE, false, segment, epoch);
  }
}
