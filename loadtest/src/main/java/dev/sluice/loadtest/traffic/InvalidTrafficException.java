package dev.sluice.loadtest.traffic;

/// The traffic cannot be made as asked. The message is one line for a person: what, the value seen, the value expected.
public final class InvalidTrafficException extends RuntimeException {
  public InvalidTrafficException(String message) {
    super(message);
  }
}
