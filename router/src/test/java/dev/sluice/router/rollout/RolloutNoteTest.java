package dev.sluice.router.rollout;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.router.rollout.RolloutNote.BlastRadius;
import dev.sluice.router.rollout.RolloutNote.FallbackPath;
import dev.sluice.router.rollout.RolloutNote.Promotion;
import dev.sluice.router.rollout.Step.Canary;
import dev.sluice.router.rollout.Step.ExpansionCondition;
import dev.sluice.router.rollout.Step.Shadow;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class RolloutNoteTest {

  private static final ExpansionCondition ONE = new ExpansionCondition(1, 0, 0);

  @Test
  void noStepGoesBeyondTheBlastRadius() {
    List<Step> steps = List.of(new Shadow(10_000, ONE), new Canary(500, 0, ONE), new Canary(2_500, 0, ONE));
    assertThatCode(() -> ExampleNotes.note(steps, 2_500, Promotion.MANUAL)).doesNotThrowAnyException();
    assertThatThrownBy(() -> ExampleNotes.note(steps, 2_499, Promotion.MANUAL))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("steps: the weight of step 3, 25.0 %, is beyond the blast radius of 24.99 %");
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, 10_001})
  void aBlastRadiusIsAShare(int basisPoints) {
    assertThatThrownBy(() -> new BlastRadius(basisPoints, List.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("blast radius: %s %% is not between 0 %% and 100 %%".formatted(basisPoints / 100.0));
  }

  @Test
  void aNoteWithoutStepsOrRulesIsRefused() {
    assertThatThrownBy(() -> ExampleNotes.note(List.of(), 100, Promotion.MANUAL)).hasMessageContaining("steps:");
    assertThatThrownBy(
            () -> ExampleNotes.note(List.of(), List.of(new Canary(1, 0, ONE)), List.of(), 0.001, 100, Promotion.MANUAL))
        .hasMessageContaining("stopRules:");
  }

  @Test
  void stepsAndConditionsAreWithinTheirRanges() {
    assertThatThrownBy(() -> new Shadow(0, ONE)).hasMessage("shadow: 0.0 % is not between 0.01 % and 100 %");
    assertThatThrownBy(() -> new Canary(10_001, 0, ONE)).hasMessageContaining("canary: 100.01 %");
    assertThatThrownBy(() -> new Canary(0, 0, ONE)).hasMessageContaining("canary: 0.0 %");
    assertThatThrownBy(() -> new Canary(1, -1, ONE)).hasMessageContaining("shadow: -0.01 %");
    assertThatThrownBy(() -> new ExpansionCondition(0, 0, 0)).hasMessageContaining("observations 0 (at least 1)");
    assertThatThrownBy(() -> new ExpansionCondition(1, -1, 0)).hasMessageContaining("per segment -1");
    assertThatThrownBy(() -> new ExpansionCondition(1, 0, -1)).hasMessageContaining("time -1 ms");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 1, -0.5, Double.NaN})
  void theCandidatesShareOfTheDeadlineLeavesSomeForTheBaseline(double share) {
    assertThatThrownBy(() -> new FallbackPath(share, 10)).hasMessageContaining("deadlineShare");
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 3_600_001})
  void theCandidatesTimeIsBounded(long millis) {
    assertThatThrownBy(() -> new FallbackPath(0.5, millis)).hasMessageContaining("timeout: " + millis + " ms");
  }
}
