package dev.sluice.router.observation;

import java.util.Locale;

/// Why the baseline answered a request that had been assigned to the candidate.
public enum FallbackReason {
  /// The candidate could not run the request, which the baseline then could.
  FAILED,
  /// The candidate's answer did not have the shape or datatype that the model's signature promises.
  MALFORMED,
  /// The candidate's share of the caller's time was used up.
  LATE,
  /// The candidate is not loaded.
  UNAVAILABLE,
  /// The candidate's queue was full.
  SATURATED,
  /// The candidate failed so often that it is left alone for a while.
  CIRCUIT_OPEN,
  /// The rollout was stopped while the request waited for the candidate.
  STOPPED;

  private final String label = name().toLowerCase(Locale.ROOT);

  /// The word used in response parameters and metrics.
  public String label() {
    return label;
  }
}
