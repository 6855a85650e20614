package dev.sluice.router.stop;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.statistics.LimitTest;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class ArmedRulesTest {

  private static final List<Scope> SCOPES = List.of(Scope.values());
  private static final Segments NONE = new Segments(List.of());
  private static final Segments TWO =
      new Segments(List.of(SegmentRule.parse("country=DE"), SegmentRule.parse("country=FR")));

  private static final List<Segments> SEGMENTS = List.of(NONE, TWO);

  @Test
  void togetherTheRulesSpendAlphaAndNoMore() {
    SplittableRandom random = new SplittableRandom(71);
    for (int i = 0; i < 40; i++) {
      List<StopRule> rules =
          IntStream.range(0, 1 + random.nextInt(4))
              .<StopRule>mapToObj(_ -> new ErrorRate(0.01, SCOPES.get(random.nextInt(3))))
              .toList();
      ArmedRules armed = new ArmedRules(rules, 0.001, SEGMENTS.get(random.nextInt(2)));
      double spent = armed.armed().stream().mapToDouble(ArmedRule::share).sum();
      assertThat(spent).as("seed 71, round %d, %s", i, rules).isCloseTo(1, within(1e-12));
    }
  }

  @Test
  void everyRuleHoldsWhereItsScopeSays() {
    ArmedRules armed =
        new ArmedRules(
            List.of(
                new ErrorRate(0.01, Scope.OVERALL), new FallbackRate(0.02, Scope.EACH),
                new DisagreementRate(0.03, Scope.ALL)),
            0.001, TWO);
    assertThat(places(armed, 0)).containsExactly(ArmedRule.OVERALL);
    assertThat(places(armed, 1)).containsExactly(0, 1, 2);
    assertThat(places(armed, 2)).containsExactly(ArmedRule.OVERALL, 0, 1, 2);
    assertThat(armed.armed(0, 1)).isNull();
    assertThat(requireNonNull(armed.armed(1, 2)).test())
        .isInstanceOfSatisfying(LimitTest.class, test -> assertThat(test.limit()).isEqualTo(0.02));
    // Five parts for all traffic, three for segments: half of five eighths, and half of three eighths in three places.
    assertThat(requireNonNull(armed.armed(2, ArmedRule.OVERALL)).share()).isCloseTo(5 / 16.0, within(1e-15));
    assertThat(requireNonNull(armed.armed(2, 0)).share()).isCloseTo(3 / 16.0 / 3, within(1e-15));
  }

  @ParameterizedTest
  @ValueSource(strings = {"OVERALL", "EACH", "ALL"})
  void withoutSegmentsEveryRuleHoldsOverAllTrafficWithAllOfAlpha(Scope scope) {
    ArmedRules armed = new ArmedRules(List.of(new ErrorRate(0.01, scope)), 0.001, NONE);
    assertThat(places(armed, 0)).containsExactly(ArmedRule.OVERALL);
    assertThat(requireNonNull(armed.armed(0, ArmedRule.OVERALL)).share()).isEqualTo(1);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -0.001, 0.5, 1, Double.NaN})
  void anAlphaThatPromisesNothingIsRefused(double alpha) {
    assertThatThrownBy(() -> new ArmedRules(List.of(new ErrorRate(0.01, Scope.ALL)), alpha, NONE))
        .hasMessage("alpha: " + alpha + " is not above 0 and below 0.5");
  }

  @Test
  void segmentsFoundOnTheWayHaveAFifthOfTheBudgetHoweverManyThereAre() {
    Segments discovering = new Segments(List.of(SegmentRule.parse("country=DE")), new Segments.Discovery("tenant", 1_000));
    ArmedRules armed = new ArmedRules(List.of(new ErrorRate(0.01, Scope.ALL)), 0.001, discovering);
    double found = armed.armed().stream().filter(one -> one.segment() >= 2).mapToDouble(ArmedRule::share).sum();
    double all = armed.armed().stream().mapToDouble(ArmedRule::share).sum();
    assertThat(found).isBetween(0.1998, 0.2);
    assertThat(all).isLessThanOrEqualTo(1 + 1e-12);
    assertThat(requireNonNull(armed.armed(0, 2)).share()).isCloseTo(0.2 * 6 / Math.PI / Math.PI, within(1e-12));
    assertThat(requireNonNull(armed.armed(0, 11)).share()).isCloseTo(0.002 * 6 / Math.PI / Math.PI, within(1e-12));
  }

  @Test
  void allAttemptsTogetherSpendOneBudget() {
    double spent = 0;
    for (int attempt = 1; attempt <= 100_000; attempt++) {
      spent += ArmedRules.alphaOfAttempt(0.001, attempt);
    }
    assertThat(spent).isBetween(0.000999, 0.001);
    assertThat(ArmedRules.alphaOfAttempt(0.001, 1)).isCloseTo(0.00095, within(1e-15));
    assertThat(ArmedRules.alphaOfAttempt(0.001, 3)).isLessThan(ArmedRules.alphaOfAttempt(0.001, 2));
  }

  @Test
  void rulesThatHoldHaveABudgetOfTheirOwnAndRulesWithoutChanceNone() {
    ArmedRules armed =
        new ArmedRules(
            List.of(
                new ErrorRate(0.01, Scope.ALL), new StopRule.SampleRatio(), new StopRule.Crash(),
                new StopRule.Cap(StopRule.Cap.Bounded.REQUESTS, 10)),
            0.001, NONE);
    assertThat(requireNonNull(armed.armed(0, ArmedRule.OVERALL)).share()).isEqualTo(1);
    assertThat(requireNonNull(armed.armed(1, ArmedRule.OVERALL)).share()).isEqualTo(1);
    assertThat(places(armed, 2)).isEmpty();
    assertThat(places(armed, 3)).isEmpty();
  }

  @Test
  void theNumberOfRulesIsBounded() {
    assertThatThrownBy(() -> new ArmedRules(Collections.nCopies(33, new ErrorRate(0.01, Scope.ALL)), 0.001, NONE))
        .hasMessage("33 stop rules, at most 32 allowed");
  }

  @Test
  void aRuleIsCalledByWhatItPromises() {
    assertThat(new ErrorRate(0.01, Scope.ALL).name()).isEqualTo("error-rate");
    assertThat(new FallbackRate(0.01, Scope.ALL).name()).isEqualTo("fallback-rate");
    assertThat(new DisagreementRate(0.01, Scope.ALL).name()).isEqualTo("disagreement-rate");
    assertThat(new LatencyOver(50_000_000, 0.01, Scope.ALL).name()).isEqualTo("latency-over-50ms");
    assertThat(new LatencyOver(1_500_000, 0.01, Scope.ALL).name()).isEqualTo("latency-over-1500us");
    assertThat(new LatencyOver(1_500, 0.01, Scope.ALL).name()).isEqualTo("latency-over-1500ns");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -0.01, 0.51, Double.NaN})
  void aLimitThatNoTestCanHoldIsRefused(double limit) {
    assertThatThrownBy(() -> new ErrorRate(limit, Scope.ALL)).hasMessageContaining("limit: ");
    assertThatThrownBy(() -> new FallbackRate(limit, Scope.ALL)).hasMessageContaining("limit: ");
    assertThatThrownBy(() -> new DisagreementRate(limit, Scope.ALL)).hasMessageContaining("limit: ");
    assertThatThrownBy(() -> new LatencyOver(1, limit, Scope.ALL)).hasMessageContaining("limit: ");
  }

  @Test
  void aLatencyIsAboveNothing() {
    assertThatThrownBy(() -> new LatencyOver(0, 0.01, Scope.ALL)).hasMessage("latency-over: 0 ns is not above 0");
  }

  private static List<Integer> places(ArmedRules armed, int rule) {
    return armed.armed().stream().filter(one -> one.rule() == rule).map(ArmedRule::segment).toList();
  }
}
