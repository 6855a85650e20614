package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.ledger.EvidenceLedger.Plan;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.BinDrift;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.LatencyRatio;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.NoiseFloor;
import dev.sluice.router.stop.StopRule.PairedErrors;
import dev.sluice.router.stop.StopRule.PairedLatency;
import dev.sluice.router.stop.StopRule.Scope;
import dev.sluice.router.stop.StopRule.ScoreDifference;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/// What a ledger holds is fixed when it is armed, and small.
final class LedgerSizeTest {

  private static final Scope ALL = Scope.ALL;

  private static final List<StopRule> RULES =
      List.of(
          new ErrorRate(0.01, ALL), new FallbackRate(0.01, ALL), new DisagreementRate(0.01, ALL), new LatencyOver(1, 0.01, ALL),
          new ErrorRatio(1, ALL), new LatencyRatio(1, List.of(0.5, 0.9, 0.99), ALL), new PairedErrors(ALL),
          new PairedLatency(0.02, ALL), new NoiseFloor(ALL), new ScoreDifference(0.02, ALL), new MeanCost(1, 2, ALL));

  @Test
  void aRuleTakesAtMostAKibibyteInAPlace() {
    ArmedRules armed =
        new ArmedRules(
            IntStream.concat(IntStream.of(-1), IntStream.range(0, RULES.size())).mapToObj(i -> i < 0 ? bins() : RULES.get(i)).toList(),
            0.001, new Segments(List.of(SegmentRule.parse("country=DE"))));
    for (int rule = 0; rule < armed.rules().size(); rule++) {
      int at = rule;
      long doubles =
          armed.in(ArmedRule.OVERALL).stream().filter(test -> test.rule() == at).mapToLong(test -> test.test().size() + 1).sum();
      // A rule about drift has as much again for the baseline.
      long variants = armed.rules().get(rule) instanceof StopRule.DriftRule ? 2 : 1;
      // The state, its weight, and the counts of events and of bad ones.
      assertThat(8 * (doubles / variants + 2)).as("bytes of %s", armed.rules().get(rule).name()).isLessThanOrEqualTo(1_024);
    }
  }

  @Test
  void tenThousandRulesInSegmentsTakeLessThanSixteenMebibytes() {
    Segments segments =
        new Segments(
            IntStream.range(0, Segments.DECLARED_MAX).mapToObj(i -> SegmentRule.parse("country=" + i)).toList(),
            new Segments.Discovery("tenant", 660));
    ArmedRules armed = new ArmedRules(RULES, 0.001, segments);
    long rulesInSegments = (long) RULES.size() * segments.capacity();
    assertThat(rulesInSegments).isGreaterThan(10_000);
    Scales scales = new Scales(armed, List.of(), 1_000);
    assertThat(8L * scales.words()).as("bytes of the weights").isLessThan(16 << 20);
    int words = new Plan(armed, List.of(), 1_000, Plan.LINES, true).wordsNeeded();
    System.out.printf(
        "%,d rules in segments: weights %,d KiB, with three saved copies, log and counters %,d KiB%n", rulesInSegments,
        scales.words() / 128, words / 128);
  }

  /// The most bins that a note may have.
  private static BinDrift bins() {
    int edges = 18;
    List<Double> shares = Collections.nCopies(edges + 2, 1.0 / (edges + 2));
    return new BinDrift(
        new Feature("age", true, 0), IntStream.range(0, edges).mapToObj(i -> (double) i).toList(), shares, 0.05);
  }
}
