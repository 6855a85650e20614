package dev.sluice.gateway.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Cap;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RuleWordsTest {

  private static final Feature FEATURE = new Feature("amount", true, 3);

  static Stream<StopRule> rules() {
    return Stream.concat(
        Stream.of(
            new StopRule.ErrorRate(0.01, Scope.ALL), new StopRule.FallbackRate(0.01, Scope.ALL),
            new StopRule.DisagreementRate(0.01, Scope.ALL), new StopRule.LatencyOver(1_000_000, 0.01, Scope.ALL),
            new StopRule.ErrorRatio(1.5, Scope.ALL), new StopRule.LatencyRatio(1.5, List.of(0.9), Scope.ALL),
            new StopRule.PairedErrors(Scope.ALL), new StopRule.PairedLatency(0.02, Scope.ALL),
            new StopRule.NoiseFloor(Scope.ALL), new StopRule.ScoreDifference(0.02, Scope.ALL),
            new StopRule.MeanCost(1_000, 10_000, Scope.ALL), new StopRule.Calibration(0.01, Scope.ALL),
            new StopRule.MeanDrift(FEATURE, 0, 1, 0.1),
            new StopRule.BinDrift(FEATURE, List.of(0.0), List.of(0.5, 0.5, 0.0), 0.1), new StopRule.SampleRatio(),
            new StopRule.Crash()),
        Stream.of(Cap.Bounded.values()).map(bounded -> new Cap(bounded, 10)));
  }

  @Test
  void everyKindOfRuleIsTriedHere() {
    assertThat(rules().map(StopRule::getClass).distinct()).hasSize(leaves(StopRule.class));
  }

  private static int leaves(Class<?> type) {
    return type.isSealed() ? Stream.of(type.getPermittedSubclasses()).mapToInt(RuleWordsTest::leaves).sum() : 1;
  }

  @ParameterizedTest
  @MethodSource("rules")
  void everyRuleHasWordsOfItsOwn(StopRule rule) {
    assertThat(RuleWords.counted(rule.name(), 5, 21)).isNotEqualTo(RuleWords.counted("unknown", 5, 21));
  }

  @Test
  void aRuleOfALaterGatewayIsToldInGeneralWords() {
    assertThat(RuleWords.counted("unknown", 5, 21)).isEqualTo("5 of 21 requests counted against the candidate");
    assertThat(RuleWords.promise("unknown", 0.1)).isEmpty();
  }
}
