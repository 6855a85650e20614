package dev.sluice.runtime.repository;

/// Where one version stands, and why, if it cannot be used; version 0 speaks of the model as a whole.
public record VersionStatus(String model, long version, State state, String reason) {
  /// The reason of what was ready, or had been asked for, and was taken out of service on request; in Triton's word.
  public static final String UNLOADED = "unloaded";

  /// The states of Triton's repository index.
  public enum State {
    /// Nobody has asked for it yet.
    UNKNOWN,
    LOADING,
    READY,
    UNLOADING,
    UNAVAILABLE
  }

  /// Whether it was asked for and cannot be served, for a reason other than that it was unloaded.
  public boolean isFault() {
    return state == State.UNAVAILABLE && !reason.equals(UNLOADED);
  }
}
