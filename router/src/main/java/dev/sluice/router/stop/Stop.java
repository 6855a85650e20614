package dev.sluice.router.stop;

/// The verdict that ends a rollout, with everything needed to check it.
///
/// @param rule the name of the rule with the most weighted evidence
/// @param segment the segment's name, empty for all traffic together
/// @param bad observations against the candidate, the tripping one included
/// @param events the events among which they came, in flight included; for rules about pairs those on which both differed
/// @param boundary the most events among which so many bad ones stop the rollout on their own, whatever came before; 0 for rules
///     that have no such table, and where it took the evidence of several rules, or of the last events alone
/// @param evidence the weighted evidence of all rules on its clock: a number that a healthy candidate ever brings to
///     `threshold` with probability at most alpha; 0 where a hard bound was passed
/// @param threshold 1 / alpha
/// @param line the line of the evidence log that tripped
public record Stop(
    String rule, String segment, long bad, long events, long boundary, double evidence, double threshold, long line) {

  /// One sentence for people.
  public String reason() {
    String where = rule + (segment.isEmpty() ? "" : " in " + segment);
    if (evidence == 0) {
      return rule.equals("crash") ? "crash: the candidate's runtime broke down" : "%s: %d reached".formatted(where, bad);
    }
    if (bad == 0) {
      return "%s: evidence of %,.0f where %,.0f is too much, after %d observations"
          .formatted(where, evidence, threshold, events);
    }
    return events <= boundary
        ? "%s: %d bad among the first %d, and %d among %d or fewer are too many".formatted(where, bad, events, bad, boundary)
        : "%s: %d bad among %d; evidence of %,.0f where %,.0f is too much".formatted(where, bad, events, evidence, threshold);
  }
}
