package dev.sluice.gateway.routing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation.Labelled;
import dev.sluice.router.rollout.RolloutNote.LabelPlan;
import dev.sluice.router.rollout.RolloutNote.LabelPlan.Missing;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Truths that arrive late: each counts once, in the order of the requests, when all of their age are known.
class PredictionsTest {

  private static final Assignment REQUEST =
      new Assignment(Variant.BASELINE, true, 0, 1, 0, Assignment.NO_KEY, 0);

  private final Predictions predictions = new Predictions(new LabelPlan("p", 1, 1_000, Missing.EXCLUDED));

  @Test
  void aRequestIsJudgedWhenItsHorizonIsOverHoweverEarlyItsLabelCame() {
    predictions.remember("a", REQUEST, 0.1, 0.6, 0);
    predictions.remember("b", REQUEST, 0.5, 0.9, 500);
    assertThat(predictions.label("b", 1)).isEqualTo(LabelOutcome.TAKEN);
    assertThat(predictions.label("a", 0)).isEqualTo(LabelOutcome.TAKEN);
    assertThat(predictions.mature(999)).isEmpty();
    List<Labelled> first = predictions.mature(1_499);
    assertThat(first).hasSize(1);
    assertThat(first.getFirst().lossDifference()).isCloseTo(0.36 - 0.01, within(1e-12));
    List<Labelled> second = predictions.mature(1_500);
    assertThat(second).hasSize(1);
    assertThat(second.getFirst().lossDifference()).isCloseTo(0.01 - 0.25, within(1e-12));
    assertThat(predictions.size()).isZero();
  }

  @Test
  void theFirstLabelOfARequestCounts() {
    predictions.remember("a", REQUEST, 0, 1, 0);
    assertThat(predictions.label("a", 1)).isEqualTo(LabelOutcome.TAKEN);
    assertThat(predictions.label("a", 0)).isEqualTo(LabelOutcome.KNOWN);
    assertThat(predictions.mature(1_000)).extracting(Labelled::lossDifference).containsExactly(-1.0);
    assertThat(predictions.label("a", 0)).isEqualTo(LabelOutcome.UNKNOWN);
    assertThat(predictions.label("never seen", 0)).isEqualTo(LabelOutcome.UNKNOWN);
  }

  @Test
  void whatARequestWithoutALabelStandsForIsTheNotesToSay() {
    predictions.remember("a", REQUEST, 0, 1, 0);
    assertThat(predictions.mature(1_000)).isEmpty();
    Predictions negative = new Predictions(new LabelPlan("p", 1, 1_000, Missing.NEGATIVE));
    negative.remember("a", REQUEST, 0, 1, 0);
    assertThat(negative.mature(1_000)).extracting(Labelled::lossDifference).containsExactly(1.0);
  }

  @Test
  void whatCannotBeLabelledIsNotRemembered() {
    predictions.remember("", REQUEST, 0, 1, 0);
    predictions.remember("a", REQUEST, Double.NaN, 1, 0);
    assertThat(predictions.size()).isZero();
    predictions.remember("b", REQUEST, 0.2, 1, 0);
    predictions.remember("b", REQUEST, 0.9, 1, 0);
    predictions.label("b", 0);
    assertThat(predictions.mature(1_000).getFirst().lossDifference()).isCloseTo(0.96, within(1e-12));
  }

  @Test
  void whatWaitsIsBounded() {
    for (int i = 0; i < Predictions.WAITING_MAX + 5; i++) {
      predictions.remember("r" + i, REQUEST, 0, 1, i);
    }
    assertThat(predictions.size()).isEqualTo(Predictions.WAITING_MAX);
    assertThat(predictions.notRemembered()).isEqualTo(5);
  }
}
