package dev.sluice.gateway.note;

/// One thing that is wrong with a rollout note, and where.
///
/// @param line from 1
/// @param column from 1
/// @param path the field, such as `steps[2].canary`; empty for the note as a whole
/// @param message the value seen and the value expected
public record NoteProblem(int line, int column, String path, String message) {

  /// For people: `line 12: steps[2].canary: 120% is not between 0% and 100%`.
  @Override
  public String toString() {
    return "line " + line + ": " + (path.isEmpty() ? "" : path + ": ") + message;
  }
}
