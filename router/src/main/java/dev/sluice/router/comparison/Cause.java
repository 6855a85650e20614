package dev.sluice.router.comparison;

import java.util.Locale;

/// Why two answers disagree, from the mildest to the one that leaves least to compare.
public enum Cause {
  /// They do not disagree.
  NONE,
  /// They are farther apart than the note allows.
  DISTANCE,
  /// An element is not a number in one of them alone.
  NOT_A_NUMBER,
  /// An element is infinite in one of them alone, or infinite in another direction; or the distance itself is infinite.
  INFINITE,
  /// The values are not what the comparison is about, such as a negative probability.
  UNFIT,
  /// An output has another shape, or one that the comparison has no meaning for.
  SHAPE,
  /// An output has another datatype.
  DATATYPE,
  /// An output is in one of them alone.
  MISSING_OUTPUT;

  private final String label = name().toLowerCase(Locale.ROOT);

  /// The word used in metrics and reports.
  public String label() {
    return label;
  }

  /// Of two reasons, the one to tell: the later in this list.
  Cause or(Cause other) {
    return compareTo(other) >= 0 ? this : other;
  }
}
