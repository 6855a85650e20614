package dev.sluice.runtime.model;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// A model or a version that was not loaded or unloaded: the message is one sentence that names the file, the tensor
/// or the version, and the fault; the kind says what whoever asked should do next.
public final class ModelLoadException extends Exception {

  public enum Kind {
    /// The repository has no such model or version.
    NOT_FOUND,
    /// What lies on disk, or the configuration that came with the request, cannot be served.
    INVALID,
    /// Not in the present state: it is not loaded, or something holds on to it.
    REFUSED,
    /// Nothing can be loaded or unloaded this way: the mode forbids it, or the repository is closed.
    UNAVAILABLE,
    /// The machine or the runtime failed, not the model.
    FAILED
  }

  private final Kind kind;

  /// Of what cannot be served.
  public ModelLoadException(String message) {
    this(Kind.INVALID, message, null);
  }

  /// Of what cannot be served.
  public ModelLoadException(String message, @Nullable Throwable cause) {
    this(Kind.INVALID, message, cause);
  }

  public ModelLoadException(Kind kind, String message) {
    this(kind, message, null);
  }

  public ModelLoadException(Kind kind, String message, @Nullable Throwable cause) {
    super(message, cause);
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
