package dev.sluice.loadtest.paired;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class GoalTableTest {

  @Test
  void eachFigureHasALineAndEachRowAVerdict() {
    GoalRow row = new GoalRow(
        "tiny", "CPU per request", "≤ 1.15 x bare",
        List.of(
            new GoalRow.Check("at 8", new Estimate(1.234, 1.21, 1.26, 6), Goal.atMost(1.15, "x")),
            new GoalRow.Check("at 64", new Estimate(1.1, 1.09, 1.12, 6), Goal.atMost(1.15, "x"))),
        List.of("raw 7.1 µs"));
    assertThat(GoalTable.lines(List.of(row, GoalRow.notMeasured("x", "another", "≤ 1", "no h2load")))).containsExactly(
        "CPU per request  falls short",
        "  asked: ≤ 1.15 x bare",
        "  at 8   1.23 x       1.21 .. 1.26 of 6       ≤ 1.15 x      falls short",
        "  at 64  1.10 x       1.09 .. 1.12 of 6       ≤ 1.15 x      pass",
        "  - raw 7.1 µs",
        "another          not measured",
        "  asked: ≤ 1",
        "  - no h2load");
  }

  @Test
  void numbersKeepThreeFiguresThatCount() {
    assertThat(GoalTable.number(12_345.6, "/s")).isEqualTo("12,346 /s");
    assertThat(GoalTable.number(12.34, "")).isEqualTo("12.3");
    assertThat(GoalTable.number(1.234, "x")).isEqualTo("1.23 x");
    assertThat(GoalTable.number(0.0123, "")).isEqualTo("0.012");
  }
}
