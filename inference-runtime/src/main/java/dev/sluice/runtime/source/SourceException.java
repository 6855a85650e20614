package dev.sluice.runtime.source;

import java.util.Objects;

/// A file that could not be fetched: one sentence that says from where, what was seen and what was expected.
final class SourceException extends Exception {
  private final boolean passing;

  private SourceException(String message, boolean passing) {
    super(message, null, false, false);
    this.passing = passing;
  }

  /// Trying again would end the same way.
  static SourceException lasting(String message) {
    return new SourceException(message, false);
  }

  /// The next attempt may succeed.
  static SourceException passing(String message) {
    return new SourceException(message, true);
  }

  boolean isPassing() {
    return passing;
  }

  @Override
  public String getMessage() {
    return Objects.requireNonNull(super.getMessage());
  }
}
