package dev.sluice.gateway.routing;

/// Why a request gets no answer: one clear sentence, and a kind that says what the caller should do next.
///
/// It carries no stack trace: it is an answer, made on the hot path.
public final class InferenceFailure extends Exception {

  public enum Kind {
    UNKNOWN_MODEL,
    UNKNOWN_VERSION,
    /// Known, but nothing of it can answer now.
    MODEL_NOT_READY,
    /// The request itself is wrong; the same request will always be.
    INVALID_REQUEST,
    /// The model could not compute this input.
    EXECUTION_FAILED,
    /// The queue is full.
    OVERLOADED,
    /// The caller's time ran out.
    DEADLINE_EXCEEDED,
    /// The caller has gone.
    CANCELLED,
    SHUTTING_DOWN
  }

  private final Kind kind;

  public InferenceFailure(Kind kind, String message) {
    super(message, null, false, false);
    this.kind = kind;
  }

  public static InferenceFailure invalid(String message) {
    return new InferenceFailure(Kind.INVALID_REQUEST, message);
  }

  public Kind kind() {
    return kind;
  }

  public String sentence() {
    String message = getMessage();
    return message == null ? kind.name() : message;
  }
}
