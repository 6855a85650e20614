package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.Stop;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
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

/// Every stop rule, on real models under real calls: it fires for what it is there for, and for nothing else.
class StopRulesTest {

  private static final String CANARY =
      """
      steps:
        - canary: 100%
          until: { observations: 1000000 }
      """;

  private static final String SHADOW =
      """
      steps:
        - shadow: 100%
          until: { observations: 1000000 }
      """;

  @TempDir Path models;
  @TempDir Path data;

  @Test
  void aHealthyCandidateUnderTwoHundredCallersIsLeftAlone() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "healthy",
              """
              segments: [country=DE, country=JP]
              compare: { y: exact }
              steps:
                - canary: 100%
                  shadow: 50%
                  until: { observations: 1000000 }
              stopRules:
                - error-rate: { limit: 0.1% }
                - fallback-rate: { limit: 1% }
                - disagreement-rate: { limit: 0.1% }
                - latency: { over: 2s, limit: 1% }
              fallback: { timeout: 5s }
              alpha: 0.001
              """));
      try (Traffic traffic =
          Traffic.start(gateway, 200, null, n -> in(n % 2 == 0 ? "DE" : "JP", 1), r -> 2 * Calls.x(r) + 1)) {
        traffic.awaitAnswers(15_000);
        System.out.printf(
            "FIGURE healthy candidate, 200 callers: %d answers, %d by the candidate, fallbacks %s%n",
            traffic.answered(), traffic.answeredBy("candidate"), traffic.fallbacks());
        assertThat(traffic.failures()).isEmpty();
      }
      Rollout rollout = gateway.rollout("healthy");
      assertThat(rollout.getState()).as(rollout.getReason()).isEqualTo(RolloutState.CANARY);
    }
  }

  @Test
  void troubleInOneSegmentIsSeenThere() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    Stop stop =
        stopped(
            """
            segments: [country=DE, country=JP, country=US]
            %sstopRules:
              - error-rate: { limit: 1%%, segments: each }
            """
                .formatted(CANARY),
            n -> n % 10 == 0 ? in("JP", 5) : in(n % 2 == 0 ? "DE" : "US", 0.5f));
    assertThat(stop.getRule()).isEqualTo("error-rate");
    assertThat(stop.getSegment()).isEqualTo("country=JP");
  }

  @Test
  void aSlowCandidateIsStoppedForItsLatency() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.slowLinear(2, 1, 1, 20_000).writeTo(models, Calls.MODEL, 2);
    Stop stop =
        stopped(
            CANARY
                + """
                stopRules:
                  - error-rate: { limit: 1% }
                  - latency: { over: 3ms, limit: 5% }
                fallback: { timeout: 10s }
                """,
            _ -> Calls.of(1).build());
    assertThat(stop.getRule()).isEqualTo("latency-over-3ms");
  }

  @Test
  void aCandidateThatIsNotThereIsStoppedForItsFallbacks() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("absent", CANARY + "stopRules:\n  - fallback-rate: { limit: 5% }\n"));
      var _ = gateway.models().unloadVersion(UnloadVersionRequest.newBuilder().setModel("m").setVersion(2).build());
      assertThat(stop(gateway, "absent", _ -> Calls.of(1).build()).getRule()).isEqualTo("fallback-rate");
    }
  }

  // --- disagreement ---------------------------------------------------------------------------------------------------

  @Test
  void answersThatAreTooFarApartDisagree() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1.2f, 1).writeTo(models, Calls.MODEL, 2);
    assertDisagreementStops("{ absolute: 0.1 }", _ -> Calls.of(1).build());
  }

  @Test
  void answersOnTwoSidesOfAThresholdDisagree() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1.2f, 1).writeTo(models, Calls.MODEL, 2);
    assertDisagreementStops("{ threshold: 3.1, column: 0 }", _ -> Calls.of(1).build());
  }

  @Test
  void answersWithAnotherTopDisagree() throws Exception {
    OnnxModels.linear(1, 0, 3).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(-1, 0, 3).writeTo(models, Calls.MODEL, 2);
    assertDisagreementStops("top-1", _ -> row("FP32", InferTensorContents.newBuilder().addAllFp32Contents(List.of(1f, 2f, 3f))));
  }

  @Test
  void answersThatAreNotTheSameNumberDisagree() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, Math.nextUp(1f), 1).writeTo(models, Calls.MODEL, 2);
    assertDisagreementStops("exact", _ -> Calls.of(0).build());
  }

  @Test
  void textsThatDifferDisagree() throws Exception {
    suffixed("no").writeTo(models, Calls.MODEL, 1);
    suffixed("yes").writeTo(models, Calls.MODEL, 2);
    assertDisagreementStops(
        "exact",
        _ -> row("BYTES", InferTensorContents.newBuilder().addBytesContents(ByteString.copyFromUtf8("is it? "))));
  }

  private void assertDisagreementStops(String comparison, LongFunction<ModelInferRequest> requests) throws Exception {
    Stop stop =
        stopped(
            """
            compare: { y: %s }
            %sstopRules:
              - error-rate: { limit: 1%% }
              - disagreement-rate: { limit: 2%% }
            """
                .formatted(comparison, SHADOW),
            requests);
    assertThat(stop.getRule()).isEqualTo("disagreement-rate");
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private Stop stopped(String rest, LongFunction<ModelInferRequest> requests) throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("ruled", rest));
      return stop(gateway, "ruled", requests);
    }
  }

  private static Stop stop(RunningGateway gateway, String rollout, LongFunction<ModelInferRequest> requests) {
    try (Traffic traffic = Traffic.start(gateway, 2, null, requests, _ -> Double.NaN)) {
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> gateway.rollout(rollout).getState() == RolloutState.STOPPED);
      assertThat(traffic.failures()).isEmpty();
    }
    Rollout stopped = gateway.rollout(rollout);
    assertThat(stopped.getStop().getDispatched()).isLessThanOrEqualTo(stopped.getStop().getBoundary());
    return stopped.getStop();
  }

  private static ModelInferRequest in(String country, float x) {
    return Calls.of(x).putParameters("sluice-segment-country", Calls.text(country)).build();
  }

  private static ModelInferRequest row(String datatype, InferTensorContents.Builder contents) {
    int columns = contents.getFp32ContentsCount() + contents.getBytesContentsCount();
    return ModelInferRequest.newBuilder()
        .setModelName(Calls.MODEL)
        .addInputs(
            InferInputTensor.newBuilder()
                .setName("x")
                .setDatatype(datatype)
                .addShape(1)
                .addShape(columns)
                .setContents(contents))
        .build();
  }

  /// `y = x` and a word behind it, over texts.
  private static OnnxGraph suffixed(String word) {
    return new OnnxGraph()
        .constant(Tensors.strings("word", Shape.of(1), word))
        .input("x", Datatype.BYTES, -1, 1)
        .node("StringConcat", List.of("x", "word"), List.of("y"))
        .output("y", Datatype.BYTES, -1, 1);
  }
}
