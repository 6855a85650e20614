package dev.sluice.runtime.model;

import java.util.Objects;

/// A run that gave no answer: the message says why in one sentence, the kind says whose doing it was.
///
/// It carries no stack trace: it is an answer to a caller, made on the hot path, and its cause is in the model.
public final class ModelExecutionException extends Exception {
  /// Whose doing a missing answer was.
  public enum Kind {
    /// The model failed on this input.
    FAILED,
    /// The caller ended the run through its [RunControl].
    TERMINATED,
    /// The bytes of an input cannot be what its datatype says; the caller's mistake, no evidence against the model.
    INVALID_INPUT,
    /// There was not enough memory for this run; a smaller or a later one may succeed.
    OUT_OF_MEMORY,
    /// The device that the model runs on is out of order until the process is started anew.
    DEVICE_LOST
  }

  private final Kind kind;

  public ModelExecutionException(Kind kind, String message) {
    super(message, null, false, false);
    this.kind = kind;
  }

  public Kind kind() {
    return kind;
  }

  @Override
  public String getMessage() {
    return Objects.requireNonNull(super.getMessage());
  }
}
