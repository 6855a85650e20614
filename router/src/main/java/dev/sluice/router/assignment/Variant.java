package dev.sluice.router.assignment;

import java.util.Locale;

/// The part that a version plays in a rollout.
public enum Variant {
  /// The trusted version, behind every call.
  BASELINE,
  /// The version on trial.
  CANDIDATE;

  private final String label = name().toLowerCase(Locale.ROOT);

  public Variant other() {
    return this == BASELINE ? CANDIDATE : BASELINE;
  }

  /// The word used in response parameters and metrics.
  public String label() {
    return label;
  }
}
