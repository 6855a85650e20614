package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.Label;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.ReportLabelsRequest;
import dev.sluice.proto.control.v1.ReportLabelsResponse;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.SegmentReport;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.LongFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The families of rules beyond a plain limit, each on real models under real calls.
class RuleFamiliesTest {

  private static final String SHADOW =
      """
      steps:
        - shadow: 100%
          until: { observations: 1000000 }
      """;

  @TempDir Path models;
  @TempDir Path data;

  // --- the same request to both ---------------------------------------------------------------------------------------

  @Test
  void aCandidateThatIsSlowerThanTheBaselineBesideItIsStoppedInTheShadow() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.slowLinear(2, 1, 1, 2_000).writeTo(models, Calls.MODEL, 2);
    Rollout stopped = stopped("repeat: 100%\n" + SHADOW + "stopRules:\n  - paired-latency: { margin: 2% }\n", RuleFamiliesTest::one);
    assertThat(stopped.getStop().getRule()).isEqualTo("paired-latency");
    assertThat(overall(stopped).getCandidate().getAnswered()).isZero();
  }

  @Test
  void aCandidateThatFailsInTheShadowIsStoppedByThePairs() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    Rollout stopped =
        stopped(SHADOW + "stopRules:\n  - paired-errors: {}\n", n -> Calls.of(n % 4 == 0 ? 5 : 0.5f).build());
    assertThat(stopped.getStop().getRule()).isEqualTo("paired-errors");
  }

  @Test
  void aBaselineThatDisagreesWithItselfIsNoCaseAgainstItsTwin() throws Exception {
    noisy().writeTo(models, Calls.MODEL, 1);
    noisy().writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("ruled", noise()));
      try (Traffic traffic = Traffic.start(gateway, 2, null, RuleFamiliesTest::one, _ -> Double.NaN)) {
        await().atMost(Duration.ofSeconds(60)).until(() -> overall(gateway.rollout("ruled")).getCompared() > 1_500);
        assertThat(traffic.failures()).isEmpty();
      }
      Rollout rollout = gateway.rollout("ruled");
      assertThat(rollout.getState()).as(rollout.getReason()).isEqualTo(RolloutState.SHADOW);
      assertThat(overall(rollout).getDisagreed()).isGreaterThan(300);
    }
  }

  @Test
  void aCandidateThatDisagreesBeyondTheNoiseIsStopped() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 2, 1).writeTo(models, Calls.MODEL, 2);
    assertThat(stopped(noise(), RuleFamiliesTest::one).getStop().getRule()).isEqualTo("disagreement-over-noise");
  }

  private static String noise() {
    return """
        repeat: 100%
        compare: { y: { threshold: 3.5, column: 0 } }
        steps:
          - shadow: 100%
            until: { observations: 1000000 }
        stopRules:
          - disagreement-over-noise: {}
        """;
  }

  @Test
  void answersThatAreFarApartOnTheMeanAreStopped() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 2, 1).writeTo(models, Calls.MODEL, 2);
    Rollout stopped =
        stopped(
            "compare: { y: { absolute: 5, scale: 10 } }\n" + SHADOW + "stopRules:\n  - score-difference: { limit: 2% }\n",
            RuleFamiliesTest::one);
    assertThat(stopped.getStop().getRule()).isEqualTo("score-difference");
  }

  // --- live calls side by side ------------------------------------------------------------------------------------------

  @Test
  void aTwinIsNotSlowerThanItsBaselineHoweverFastBothAre() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "ruled",
              """
              steps:
                - canary: 50%
                  until: { observations: 1000000 }
              stopRules:
                - latency-ratio: { margin: 1.25 }
                - sample-ratio: {}
              """));
      try (Traffic traffic = Traffic.start(gateway, 4, null, RuleFamiliesTest::one, _ -> 3.0)) {
        traffic.awaitAnswers(8_000);
        await()
            .atMost(Duration.ofSeconds(60))
            .until(
                () ->
                    gateway.rollout("ruled").getRulesList().stream()
                        .anyMatch(rule -> rule.getRule().equals("latency-ratio") && rule.getDispatched() > 500));
        assertThat(traffic.failures()).isEmpty();
      }
      Rollout rollout = gateway.rollout("ruled");
      assertThat(rollout.getState()).as(rollout.getReason()).isEqualTo(RolloutState.CANARY);
      assertThat(rollout.getRulesList()).noneMatch(rule -> rule.getHolding());
    }
  }

  @Test
  void aCandidateThatFailsMoreThanTheBaselineIsStoppedByTheRatio() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    Rollout stopped =
        stopped(
            """
            fallback: { timeout: 1s }
            steps:
              - canary: 20%
                until: { observations: 1000000 }
            stopRules:
              - error-ratio: { margin: 1 }
            """,
            n -> Calls.of(n % 5 == 0 ? 5 : 0.5f).build());
    assertThat(stopped.getStop().getRule()).isEqualTo("error-ratio");
  }

  // --- the truth --------------------------------------------------------------------------------------------------------

  @Test
  void aCandidateWhoseProbabilitiesTurnOutWorseIsStoppedWhenTheTruthArrives() throws Exception {
    OnnxModels.linear(0, 0.1f, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(0, 0.9f, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "ruled",
              """
              labels: { output: y, column: 0, horizon: 3s }
              steps:
                - shadow: 100%
                  until: { observations: 1000000 }
              stopRules:
                - calibration: { limit: 0.002 }
              """));
      for (int i = 0; i < 100; i++) {
        var _ = gateway.inference().modelInfer(one(i));
      }
      await()
          .until(
              () -> {
                Rollout rollout = gateway.rollout("ruled");
                return overall(rollout).getCandidate().getShadowed() + rollout.getShadowsDropped() == 100;
              });
      ReportLabelsRequest.Builder labels = ReportLabelsRequest.newBuilder().setName("ruled");
      for (int i = 0; i < 100; i++) {
        labels.addLabels(Label.newBuilder().setRequestId("request-" + i).setValue(0));
      }
      labels.addLabels(Label.newBuilder().setRequestId("somebody-else").setValue(1));
      ReportLabelsResponse told = gateway.rollouts().reportLabels(labels.build());
      assertThat(told.getTaken() + told.getUnknown()).isEqualTo(101);
      assertThat(told.getTaken()).isGreaterThan(0);
      await().atMost(Duration.ofSeconds(20)).until(() -> gateway.rollout("ruled").getState() == RolloutState.STOPPED);
      assertThat(gateway.rollout("ruled").getStop().getRule()).isEqualTo("calibration");
      assertThatThrownBy(() -> gateway.rollouts().reportLabels(labels.build())).hasMessageContaining("has ended");
    }
  }

  // --- drift ------------------------------------------------------------------------------------------------------------

  @Test
  void scoresThatMoveForTheCandidateAloneStopIt() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 3, 1).writeTo(models, Calls.MODEL, 2);
    Rollout stopped =
        stopped(
            SHADOW + "stopRules:\n  - drift: { output: y, column: 0, mean: 3, deviation: 1, tolerance: 0.5 }\n", RuleFamiliesTest::one);
    assertThat(stopped.getStop().getRule()).isEqualTo("drift-of-y[0]");
  }

  @Test
  void aWorldThatMovesHoldsTheRolloutAndStopsNothing() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "ruled",
              """
              steps:
                - shadow: 100%
                  until: { observations: 200 }
                - canary: 10%
                  until: { observations: 1, time: 1h }
              stopRules:
                - drift: { input: x, column: 0, mean: 0, deviation: 1, tolerance: 0.5 }
              """));
      try (Traffic traffic = Traffic.start(gateway, 2, null, _ -> Calls.of(3).build(), _ -> Double.NaN)) {
        await()
            .atMost(Duration.ofSeconds(30))
            .until(() -> gateway.rollout("ruled").getWaitingFor().contains("drift-of-x[0] holds the rollout"));
        assertThat(traffic.failures()).isEmpty();
      }
      Rollout rollout = gateway.rollout("ruled");
      assertThat(rollout.getState()).as(rollout.getReason()).isEqualTo(RolloutState.SHADOW);
      assertThat(rollout.getRulesList()).anyMatch(rule -> rule.getHolding());
    }
  }

  // --- bounds, dry runs, segments found on the way ------------------------------------------------------------------------

  @Test
  void aHardBoundIsKeptToTheRequest() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "ruled",
              """
              steps:
                - canary: 100%
                  until: { observations: 1000000 }
              stopRules:
                - max-requests: 50
              """));
      try (Traffic traffic = Traffic.start(gateway, 8, null, RuleFamiliesTest::one, _ -> 3.0)) {
        await().until(() -> gateway.rollout("ruled").getState() == RolloutState.STOPPED);
        traffic.awaitAnswers(200);
        assertThat(traffic.failures()).isEmpty();
        // Those that wait for the candidate when the bound is passed go back to the baseline.
        assertThat(traffic.answeredBy("candidate")).isBetween(40L, 50L);
      }
      assertThat(gateway.rollout("ruled").getStop().getRule()).isEqualTo("max-requests");
    }
  }

  @Test
  void aDryRunWritesItsVerdictDownAndActsOnNothing() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "ruled",
              """
              mode: dry-run
              steps:
                - canary: 50%
                  until: { observations: 1000000 }
              stopRules:
                - error-rate: { limit: 1% }
              """));
      try (Traffic traffic = Traffic.start(gateway, 2, null, _ -> Calls.of(5).build(), _ -> 11.0)) {
        await().until(() -> kinds(gateway).contains("would-have-stopped"));
        traffic.awaitAnswers(200);
        assertThat(traffic.failures()).isEmpty();
      }
      Rollout rollout = gateway.rollout("ruled");
      assertThat(rollout.getState()).isEqualTo(RolloutState.CANARY);
      assertThat(rollout.getWeightBasisPoints()).isEqualTo(5_000);
      assertThat(kinds(gateway)).containsExactly("created", "would-have-stopped");
    }
  }

  @Test
  void troubleInASegmentThatNobodyDeclaredIsSeenThere() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    Rollout stopped =
        stopped(
            """
            discover: { attribute: country, max: 8 }
            segments: [country=DE]
            steps:
              - canary: 100%
                until: { observations: 1000000 }
            stopRules:
              - error-rate: { limit: 1%, segments: each }
            """,
            n -> n % 10 == 0 ? in("JP", 5) : in(n % 2 == 0 ? "DE" : "US", 0.5f));
    assertThat(stopped.getStop().getSegment()).isEqualTo("country=JP");
    assertThat(stopped.getSegmentsList()).extracting(SegmentReport::getSegment).contains("country=US", "country=JP");
  }

  // --- promotion --------------------------------------------------------------------------------------------------------

  @Test
  void aStepThatHasToShowSomethingWaitsUntilItHas() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "ruled",
              """
              steps:
                - shadow: 100%
                  until: { observations: 1, accept: [ { error-rate: 1% } ] }
                - canary: 10%
                  until: { observations: 1000000 }
              stopRules:
                - error-rate: { limit: 2% }
              """));
      for (int i = 0; i < 20; i++) {
        var _ = gateway.inference().modelInfer(Calls.of(1).build());
      }
      await().until(() -> gateway.rollout("ruled").getWaitingFor().contains("more requests to show that error-rate is below 1 %"));
      try (Traffic traffic = Traffic.start(gateway, 2, null, RuleFamiliesTest::one, _ -> 3.0)) {
        await().atMost(Duration.ofSeconds(60)).until(() -> gateway.rollout("ruled").getState() == RolloutState.CANARY);
        assertThat(traffic.failures()).isEmpty();
      }
      assertThat(overall(gateway.rollout("ruled")).getCandidate().getShadowed()).isGreaterThan(300);
    }
  }

  // --- parts --------------------------------------------------------------------------------------------------------------

  private static ModelInferRequest one(long number) {
    return Calls.of(1).setId("request-" + number).build();
  }

  private Rollout stopped(String rest, LongFunction<ModelInferRequest> requests) throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("ruled", rest));
      try (Traffic traffic = Traffic.start(gateway, 2, null, requests, _ -> Double.NaN)) {
        await()
            .atMost(Duration.ofSeconds(40))
            .until(() -> gateway.rollout("ruled").getState() == RolloutState.STOPPED);
        assertThat(traffic.failures()).isEmpty();
      }
      return gateway.rollout("ruled");
    }
  }

  private static SegmentReport overall(Rollout rollout) {
    return rollout.getSegments(0);
  }

  private static List<String> kinds(RunningGateway gateway) {
    return gateway.rollouts().listEvents(ListEventsRequest.newBuilder().setRollout("ruled").build()).getEventsList()
        .stream()
        .map(Event::getKind)
        .toList();
  }

  private static ModelInferRequest in(String country, float x) {
    return Calls.of(x).putParameters("sluice-segment-country", Calls.text(country)).build();
  }

  /// `y` is around 3.5 for x = 1, on either side of it as chance has it.
  private static OnnxGraph noisy() {
    return new OnnxGraph()
        .constant(Tensors.floats("c", Shape.of(1), 2))
        .input("x", Datatype.FP32, -1, 1)
        .node("RandomUniformLike", List.of("x"), List.of("noise"))
        .node("Add", List.of("x", "noise"), List.of("sum"))
        .node("Add", List.of("sum", "c"), List.of("y"))
        .output("y", Datatype.FP32, -1, 1);
  }
}
