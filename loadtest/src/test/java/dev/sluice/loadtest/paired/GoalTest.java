package dev.sluice.loadtest.paired;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class GoalTest {
  private static final Goal AT_MOST = Goal.atMost(1.15, "x");
  private static final Goal AT_LEAST = Goal.atLeast(0.9, "x");

  @Test
  void aFigureWhollyOnOneSideIsJudgedHoweverWide() {
    assertThat(AT_MOST.judge(new Estimate(1, 0.5, 1.15, 6))).isEqualTo(Verdict.PASS);
    assertThat(AT_MOST.judge(new Estimate(2, 1.16, 9, 6))).isEqualTo(Verdict.FALLS_SHORT);
    assertThat(AT_LEAST.judge(new Estimate(2, 0.9, 9, 6))).isEqualTo(Verdict.PASS);
    assertThat(AT_LEAST.judge(new Estimate(0.5, 0.1, 0.89, 6))).isEqualTo(Verdict.FALLS_SHORT);
  }

  @Test
  void aNarrowFigureAroundTheBoundIsJudgedByItsMedian() {
    assertThat(AT_MOST.judge(new Estimate(1.14, 1.1, 1.2, 6))).isEqualTo(Verdict.PASS);
    assertThat(AT_MOST.judge(new Estimate(1.16, 1.1, 1.2, 6))).isEqualTo(Verdict.FALLS_SHORT);
  }

  @Test
  void aWideFigureAroundTheBoundIsNeverAPass() {
    assertThat(AT_MOST.judge(new Estimate(1.0, 0.9, 1.2, 6))).isEqualTo(Verdict.TOO_NOISY);
    assertThat(AT_LEAST.judge(new Estimate(1.0, 0.8, 1.2, 6))).isEqualTo(Verdict.TOO_NOISY);
  }

  @Test
  void aRowIsAsGoodAsItsWorstPart() {
    GoalRow.Check good = new GoalRow.Check("CPU", Estimate.of(1.0), AT_MOST);
    GoalRow.Check noisy = new GoalRow.Check("garbage", new Estimate(1, 0.5, 2, 6), AT_MOST);
    GoalRow.Check bad = new GoalRow.Check("p50", Estimate.of(2.0), AT_MOST);
    assertThat(row(good).verdict()).isEqualTo(Verdict.PASS);
    assertThat(row(good, noisy).verdict()).isEqualTo(Verdict.TOO_NOISY);
    assertThat(row(bad, noisy, good).verdict()).isEqualTo(Verdict.FALLS_SHORT);
    assertThat(GoalRow.notMeasured("r", "g", "b", "no tool").verdict()).isEqualTo(Verdict.NOT_MEASURED);
  }

  @Test
  void aGoalReadsAsItIsWritten() {
    assertThat(AT_MOST).hasToString("≤ 1.15 x");
    assertThat(Goal.atLeast(40_000, "/s")).hasToString("≥ 40,000 /s");
  }

  private static GoalRow row(GoalRow.Check... checks) {
    return new GoalRow("r", "g", "b", List.of(checks), List.of());
  }
}
