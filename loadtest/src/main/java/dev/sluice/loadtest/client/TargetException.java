package dev.sluice.loadtest.client;

/// The target cannot be tested. The message is one line for a person.
public final class TargetException extends RuntimeException {
  /// What the caller should do next differs for each of these.
  public enum Reason {
    /// Nobody answers at that address.
    UNREACHABLE,
    /// The server has no such model or version.
    MODEL_NOT_FOUND,
    /// The server is there and says no.
    REFUSED
  }

  private final Reason reason;

  public TargetException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
