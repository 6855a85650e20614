package dev.sluice.gateway.control;

import dev.sluice.gateway.note.NoteProblem;
import java.util.List;

/// Why a control command was not carried out; nothing has changed.
public final class ControlFailure extends Exception {

  public enum Kind {
    INVALID_NOTE,
    INVALID_ARGUMENT,
    NOT_FOUND,
    ALREADY_EXISTS,
    /// Not possible in the present state.
    REFUSED,
    /// Decided on stale sight: the revision has moved on.
    STALE,
    /// The store cannot be written or read.
    UNAVAILABLE
  }

  private final Kind kind;
  private final transient List<NoteProblem> problems;

  ControlFailure(Kind kind, String message) {
    this(kind, message, List.of());
  }

  ControlFailure(Kind kind, String message, List<NoteProblem> problems) {
    super(message);
    this.kind = kind;
    this.problems = List.copyOf(problems);
  }

  public Kind kind() {
    return kind;
  }

  /// For an invalid note: everything that is wrong with it.
  public List<NoteProblem> problems() {
    return problems;
  }
}
