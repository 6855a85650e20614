package dev.sluice.runtime.repository;

/// Where one version stands, and why, if it cannot be used; version 0 speaks of the model as a whole.
public record VersionStatus(String model, long version, State state, String reason) {
  /// The states of Triton's repository index.
  public enum State {
    LOADING,
    READY,
    UNLOADING,
    UNAVAILABLE
  }
}
