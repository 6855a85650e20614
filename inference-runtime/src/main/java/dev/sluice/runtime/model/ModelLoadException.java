package dev.sluice.runtime.model;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// A model version that cannot be served: the message is one sentence that names the file or the tensor, and the
/// fault.
public final class ModelLoadException extends Exception {
  public ModelLoadException(String message) {
    this(message, null);
  }

  public ModelLoadException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public String getMessage() {
    return Objects.requireNonNull(super.getMessage());
  }
}
