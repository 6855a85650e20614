package dev.sluice.router.stop;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
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

  @Test
  void togetherTheRulesSpendAlphaAndNoMore() {
    SplittableRandom random = new SplittableRandom(71);
    for (int i = 0; i < 40; i++) {
      List<StopRule> rules =
          IntStream.range(0, 1 + random.nextInt(4))
              .<StopRule>mapToObj(_ -> new ErrorRate(0.01, SCOPES.get(random.nextInt(3))))
              .toList();
      ArmedRules armed = new ArmedRules(rules, 0.001, random.nextBoolean() ? NONE : TWO);
      double spent = armed.armed().stream().mapToDouble(ArmedRule::alphaShare).sum();
      assertThat(spent).as("seed 71, round %d, %s", i, rules).isCloseTo(1, within(1e-12));
      for (ArmedRule one : armed.armed()) {
        assertThat(one.table().logThreshold()).isCloseTo(Math.log(1 / (0.001 * one.alphaShare())), within(1e-9));
      }
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
    assertThat(requireNonNull(armed.armed(1, 2)).table().limit()).isEqualTo(0.02);
    assertThat(requireNonNull(armed.armed(2, ArmedRule.OVERALL)).alphaShare()).isEqualTo(0.25);
    assertThat(requireNonNull(armed.armed(2, 0)).alphaShare()).isCloseTo(0.5 / 6, within(1e-15));
  }

  @ParameterizedTest
  @ValueSource(strings = {"OVERALL", "EACH", "ALL"})
  void withoutSegmentsEveryRuleHoldsOverAllTrafficWithAllOfAlpha(Scope scope) {
    ArmedRules armed = new ArmedRules(List.of(new ErrorRate(0.01, scope)), 0.001, NONE);
    assertThat(places(armed, 0)).containsExactly(ArmedRule.OVERALL);
    assertThat(requireNonNull(armed.armed(0, ArmedRule.OVERALL)).alphaShare()).isEqualTo(1);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -0.001, 0.11, 1, Double.NaN})
  void anAlphaThatPromisesNothingIsRefused(double alpha) {
    assertThatThrownBy(() -> new ArmedRules(List.of(new ErrorRate(0.01, Scope.ALL)), alpha, NONE))
        .hasMessage("alpha: " + alpha + " is not above 0 and at most 0.1");
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
