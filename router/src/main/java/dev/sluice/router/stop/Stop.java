package dev.sluice.router.stop;

/// The verdict that ends a rollout, with everything needed to check it by hand.
///
/// @param rule the rule's name
/// @param segment the segment's name, empty for all traffic together
/// @param bad bad events, the tripping one included
/// @param dispatched the events among which they came, in flight included
/// @param boundary the rule fires while `dispatched <= boundary` for this many bad events
public record Stop(String rule, String segment, long bad, long dispatched, long boundary) {

  /// One sentence for people.
  public String reason() {
    return "%s%s: %d bad among the first %d, and %d among %d or fewer are too many"
        .formatted(rule, segment.isEmpty() ? "" : " in " + segment, bad, dispatched, bad, boundary);
  }
}
