package dev.sluice.loadtest.paired;

import java.util.Comparator;
import java.util.List;

/// One row of the goal table: what was asked, and what each part of it was found to be.
///
/// @param id what the row is called on the command line
/// @param goal what is measured, in words
/// @param bound what is asked of it, in words
/// @param checks the parts, none when nothing could be measured
/// @param notes what a reader has to know beside them; why nothing was measured
public record GoalRow(String id, String goal, String bound, List<Check> checks, List<String> notes) {

  /// One figure and what is asked of it.
  ///
  /// @param what the figure, in words
  /// @param disturbed whether something else is known to have used the machine meanwhile: a figure that was not measured
  ///     in turns may then be bad because of it
  public record Check(String what, Estimate estimate, Goal goal, boolean disturbed) {
    public Check(String what, Estimate estimate, Goal goal) {
      this(what, estimate, goal, false);
    }

    public Verdict verdict() {
      Verdict verdict = goal.judge(estimate);
      return verdict == Verdict.FALLS_SHORT && disturbed ? Verdict.TOO_NOISY : verdict;
    }
  }

  public GoalRow {
    checks = List.copyOf(checks);
    notes = List.copyOf(notes);
    if (checks.isEmpty() && notes.isEmpty()) {
      throw new IllegalArgumentException("row %s: neither a figure nor a reason for its absence".formatted(id));
    }
  }

  /// A row that could not be measured here.
  public static GoalRow notMeasured(String id, String goal, String bound, String why) {
    return new GoalRow(id, goal, bound, List.of(), List.of(why));
  }

  /// A row passes when all of its parts do.
  public Verdict verdict() {
    return checks.stream().map(Check::verdict).max(Comparator.naturalOrder()).orElse(Verdict.NOT_MEASURED);
  }
}
