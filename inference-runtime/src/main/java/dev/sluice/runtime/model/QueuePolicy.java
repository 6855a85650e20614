package dev.sluice.runtime.model;

/// How long a request may wait, and how many may.
///
/// @param action what happens to a request that has waited for its timeout
/// @param timeoutNanos 0: a request may wait for as long as its caller does
/// @param allowOverride whether a request may ask for a shorter timeout; it may never ask for a longer one
/// @param sizeMax requests that wait at the same time, at least 1; one more is refused
public record QueuePolicy(TimeoutAction action, long timeoutNanos, boolean allowOverride, int sizeMax) {

  /// What a queue that says nothing holds; a bound, where Triton has none.
  public static final int SIZE_MAX_DEFAULT = 1024;

  /// What happens to a request that has waited too long.
  public enum TimeoutAction {
    /// It is refused.
    REJECT,
    /// It runs when nothing else waits.
    DELAY
  }

  public QueuePolicy {
    if (timeoutNanos < 0) {
      throw new IllegalArgumentException("timeout is %d ns; expected at least 0".formatted(timeoutNanos));
    }
    if (sizeMax < 1) {
      throw new IllegalArgumentException("queue size is %d; expected at least 1".formatted(sizeMax));
    }
  }

  public static QueuePolicy defaults() {
    return new QueuePolicy(TimeoutAction.REJECT, 0, false, SIZE_MAX_DEFAULT);
  }
}
