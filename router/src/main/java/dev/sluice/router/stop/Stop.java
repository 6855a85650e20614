package dev.sluice.router.stop;

/// The verdict that ends a rollout, with everything needed to check it.
///
/// @param rule the name of the rule with the most weighted evidence
/// @param segment the segment's name, empty for all traffic together
/// @param bad observations against the candidate, the tripping one included
/// @param events the events among which they came, in flight included; for rules about pairs those on which both differed
/// @param evidence the weighted evidence of all rules on its clock: a number that a healthy candidate ever brings to
///     `threshold` with probability at most alpha; 0 where a hard bound was passed
/// @param threshold 1 / alpha
/// @param line the line of the evidence log that tripped
public record Stop(
    String rule, String segment, long bad, long events, double evidence, double threshold, long line) {

  /// One sentence for people.
  public String reason() {
    String where = rule + (segment.isEmpty() ? "" : " in " + segment);
    return evidence == 0
        ? "%s: %d of %d".formatted(where, bad, events)
        : "%s: %d bad among the first %d; evidence %,.0f reaches %,.0f".formatted(where, bad, events, evidence, threshold);
  }
}
