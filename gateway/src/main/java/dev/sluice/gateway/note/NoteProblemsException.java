package dev.sluice.gateway.note;

import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;

/// A rollout note that cannot be used, with everything that has to change in it. The message has one line per problem.
public final class NoteProblemsException extends Exception {

  private static final Comparator<NoteProblem> BY_PLACE =
      Comparator.comparingInt(NoteProblem::line).thenComparingInt(NoteProblem::column);

  private final transient List<NoteProblem> problems;

  NoteProblemsException(List<NoteProblem> problems) {
    super(problems.stream().sorted(BY_PLACE).map(NoteProblem::toString).collect(Collectors.joining("\n")));
    this.problems = problems.stream().sorted(BY_PLACE).toList();
  }

  /// At least one, in the order of the note.
  public List<NoteProblem> problems() {
    return problems;
  }
}
