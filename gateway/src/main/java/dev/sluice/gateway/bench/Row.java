package dev.sluice.gateway.bench;

import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.Goal;
import dev.sluice.loadtest.paired.GoalRow;
import dev.sluice.loadtest.paired.GoalRow.Check;
import java.util.ArrayList;
import java.util.List;

/// A row of the goal table as it is being put together.
final class Row {
  /// Others may use this share of the machine before a bad figure may be theirs.
  static final double OTHERS_MAX = 0.10;

  private final List<Check> checks = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();

  Row check(String what, Estimate estimate, Goal bound) {
    checks.add(new Check(what, estimate, bound));
    return this;
  }

  /// Of what is measured once, without anything to hold it against.
  ///
  /// @param othersShare of the machine meanwhile
  Row check(String what, Estimate estimate, Goal bound, double othersShare) {
    checks.add(new Check(what, estimate, bound, othersShare > OTHERS_MAX));
    return this;
  }

  Row note(String note) {
    notes.add(note);
    return this;
  }

  GoalRow of(Goals goal) {
    return new GoalRow(goal.id(), goal.goal(), goal.bound(), checks, notes);
  }
}
