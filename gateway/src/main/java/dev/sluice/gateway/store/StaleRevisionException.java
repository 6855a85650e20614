package dev.sluice.gateway.store;

/// A change was decided on a state that is not the rollout's any more. Look again and decide anew.
public final class StaleRevisionException extends Exception {

  private final long actualRevision;

  StaleRevisionException(String rollout, long expected, long actual) {
    super("rollout '%s' is at revision %d, not at %d".formatted(rollout, actual, expected));
    this.actualRevision = actual;
  }

  /// The rollout's revision; 0 if there is no such rollout.
  public long actualRevision() {
    return actualRevision;
  }
}
