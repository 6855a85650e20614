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
    /// Part of the protocol, but not offered here.
    UNSUPPORTED,
    /// Memory that this server shares with nobody.
    UNKNOWN_SHARED_MEMORY,
    /// Models are loaded and unloaded by the server alone, as it was started, or something holds on to this one now.
    LOAD_NOT_ALLOWED,
    /// The model that was to be loaded is not in the repository, or what was to be unloaded stays.
    LOAD_FAILED,
    /// What is in the repository cannot be loaded as it is configured.
    LOAD_INVALID,
    /// The model could not compute this input.
    EXECUTION_FAILED,
    /// The device has no memory left for this run.
    OUT_OF_MEMORY,
    /// The queue is full, in number or in bytes.
    OVERLOADED,
    /// What waits already would take longer than the caller's time.
    TOO_LATE,
    /// The queue has been long for so long that it was cut back, or others who ask for less came first.
    SHED,
    /// It has waited in the queue for as long as it may.
    QUEUE_TIMEOUT,
    /// The caller's time ran out.
    DEADLINE_EXCEEDED,
    /// The caller has gone.
    CANCELLED,
    SHUTTING_DOWN
  }

  private final Kind kind;
  private final String field;
  private final long retryNanos;

  public InferenceFailure(Kind kind, String message) {
    this(kind, "", message, 0);
  }

  private InferenceFailure(Kind kind, String field, String message, long retryNanos) {
    super(message, null, false, false);
    this.kind = kind;
    this.field = field;
    this.retryNanos = retryNanos;
  }

  /// A failure of the moment.
  ///
  /// @param retryNanos before which coming again is of no use
  public static InferenceFailure forNow(Kind kind, String message, long retryNanos) {
    return new InferenceFailure(kind, "", message, retryNanos);
  }

  /// The same failure, its sentence behind a few words.
  public InferenceFailure after(String words) {
    return new InferenceFailure(kind, field, words + sentence(), retryNanos);
  }

  public static InferenceFailure invalid(String message) {
    return invalid("", message);
  }

  /// @param field the part of the request that is wrong, such as `inputs[0].shape`
  public static InferenceFailure invalid(String field, String message) {
    return new InferenceFailure(Kind.INVALID_REQUEST, field, message, 0);
  }

  public static InferenceFailure unsupported(String message) {
    return new InferenceFailure(Kind.UNSUPPORTED, message);
  }

  public Kind kind() {
    return kind;
  }

  /// The part of the request that is wrong; empty where no single part is.
  public String field() {
    return field;
  }

  /// How long a caller should wait before it comes again; 0: nobody knows, or it makes no difference.
  public long retryNanos() {
    return retryNanos;
  }

  public String sentence() {
    String message = getMessage();
    return message == null ? kind.name() : message;
  }
}
