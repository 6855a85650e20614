package dev.sluice.gateway.routing;

/// What became of a label.
public enum LabelOutcome {
  TAKEN,
  /// There was one before; the first one counts.
  KNOWN,
  /// No request of that id waits for one.
  UNKNOWN
}
