package dev.sluice.router.comparison;

/// How far two answers to the same input are apart.
///
/// @param distance for the histogram: at least 0, in the unit of the comparison that gave it
/// @param disagrees for the stop rule: whether the distance is more than the note allows
public record Disagreement(double distance, boolean disagrees) {

  /// The largest distance kept; a missing number (NaN) in one answer alone is this far away.
  public static final double DISTANCE_MAX = 1_000_000;

  public static final Disagreement NONE = new Disagreement(0, false);

  /// Answers that cannot be compared at all, such as answers of different shapes.
  public static final Disagreement TOTAL = new Disagreement(DISTANCE_MAX, true);

  public Disagreement {
    distance = distance >= 0 ? Math.min(distance, DISTANCE_MAX) : DISTANCE_MAX;
  }

  /// Of two outputs of one answer: the larger distance, and a disagreement if either is one.
  public Disagreement and(Disagreement other) {
    return new Disagreement(Math.max(distance, other.distance), disagrees || other.disagrees);
  }
}
