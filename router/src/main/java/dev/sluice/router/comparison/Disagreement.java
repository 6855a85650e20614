package dev.sluice.router.comparison;

/// How far two answers to the same input are apart.
///
/// @param distance for the histogram: at least 0, in the unit of the comparison that gave it
/// @param cause for the stop rule and for people: [Cause#NONE] when the note allows the distance
/// @param bounded for rules about a mean: the distance on a scale from 0 (the same) to 1 (as far apart as can be). 1 for every
///     cause but [Cause#DISTANCE]; for a comparison without a natural scale, whether the answers disagree
public record Disagreement(double distance, Cause cause, double bounded) {

  /// The largest distance kept; a missing number (NaN) in one answer alone is this far away.
  public static final double DISTANCE_MAX = 1_000_000;

  public static final Disagreement NONE = new Disagreement(0, Cause.NONE, 0);

  /// Answers that cannot be compared at all.
  public static final Disagreement TOTAL = new Disagreement(DISTANCE_MAX, Cause.SHAPE, 1);

  public Disagreement {
    distance = distance >= 0 ? Math.min(distance, DISTANCE_MAX) : DISTANCE_MAX;
    if (!(bounded >= 0 && bounded <= 1)) {
      throw new IllegalArgumentException("bounded: %s is not between 0 and 1".formatted(bounded));
    }
    if (cause.compareTo(Cause.DISTANCE) > 0) {
      bounded = 1;
    }
  }

  /// A distance without a natural scale.
  public Disagreement(double distance, boolean disagrees) {
    this(distance, disagrees ? Cause.DISTANCE : Cause.NONE, disagrees ? 1 : 0);
  }

  /// Whether they are farther apart than the note allows.
  public boolean disagrees() {
    return cause != Cause.NONE;
  }

  /// Of two outputs of one answer: the larger distance, on its scale too, and the graver cause.
  public Disagreement and(Disagreement other) {
    return new Disagreement(
        Math.max(distance, other.distance), cause.or(other.cause), Math.max(bounded, other.bounded));
  }
}
