package dev.sluice.gateway.control;

import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.store.SqliteStore;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.PauseRolloutRequest;
import dev.sluice.proto.control.v1.PromoteRolloutRequest;
import dev.sluice.proto.control.v1.ResumeRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.SegmentReport;
import dev.sluice.proto.control.v1.SetWeightRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A rollout from its note to its end, as its owner and its callers meet it over the wire.
class RolloutLifeTest {

  private static final int KEYS = 400;

  @TempDir Path models;
  @TempDir Path data;

  @BeforeEach
  void twoVersionsThatAgree() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
  }

  @Test
  void aCandidateThatAgreesGoesAllTheWayAndStaysTheDefault() throws Exception {
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy: { specific { versions: [1] } }\n");
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "all-the-way",
              """
              segments: [country=DE, tier=vip]
              compare: { y: { absolute: 0.001 } }
              steps:
                - shadow: 100%
                  until: { observations: 150, perSegment: 20 }
                - canary: 50%
                  shadow: 20%
                  until: { observations: 150, perSegment: 20 }
              stopRules:
                - error-rate: { limit: 1% }
                - disagreement-rate: { limit: 2% }
              promotion: automatic
              coolDown: 1s
              """));
      List<Rollout> watched = new ArrayList<>();
      Thread watcher =
          Thread.ofVirtual()
              .start(
                  () ->
                      gateway
                          .rollouts()
                          .watchRollout(WatchRolloutRequest.newBuilder().setName("all-the-way").build())
                          .forEachRemaining(watched::add));
      try (Traffic traffic =
          Traffic.start(gateway, 3, null, RolloutLifeTest::segmented, request -> 2 * Calls.x(request) + 1)) {
        assertThat(watcher.join(Duration.ofSeconds(60))).as("the watch ends with the rollout").isTrue();
        traffic.awaitAnswers(50);
        assertThat(traffic.failures()).isEmpty();
        assertThat(traffic.answeredBy("candidate")).isPositive();
      }

      assertThat(watched.stream().map(Rollout::getState).distinct())
          .containsSubsequence(RolloutState.SHADOW, RolloutState.PROMOTED);
      Rollout last = watched.getLast();
      assertThat(last.getCooledDown()).isTrue();
      assertSegmentsAddUp(last, List.of("", "country=DE", "tier=vip", "other"));
      assertThat(last.getSegments(0).getDisagreed()).isZero();
      assertThat(events(gateway).stream().map(Event::getKind))
          .containsExactly("created", "advanced", "promoted", "completed");
      assertThat(events(gateway).stream().map(Event::getRevision)).containsExactly(1L, 2L, 3L, 4L);
      assertServes(gateway, "2");

      // Nothing holds the old version any more; the new one is what cannot be taken away.
      gateway.models().unloadVersion(UnloadVersionRequest.newBuilder().setModel("m").setVersion(1).build());
      assertThatThrownBy(
              () ->
                  gateway.models().unloadVersion(UnloadVersionRequest.newBuilder().setModel("m").setVersion(2).build()))
          .hasMessageContaining("answers its unversioned calls");
    }

    try (RunningGateway again = RunningGateway.start(models, data)) {
      assertServes(again, "2");
      assertThat(again.rollout("all-the-way").getState()).isEqualTo(RolloutState.PROMOTED);
    }
    try (SqliteStore store = SqliteStore.open(data.resolve("sluice.db"))) {
      store.verify();
      assertThat(store.revision()).isEqualTo(4);
    }
  }

  @Test
  void aKeyKeepsItsVariantAndMoreWeightOnlyAddsKeys() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("sticky", canary("20%", "blastRadius: { weight: 60% }")));
      Set<String> atTwenty = keysOfTheCandidate(gateway);
      assertThat(keysOfTheCandidate(gateway)).isEqualTo(atTwenty);
      assertThat(atTwenty.size()).isBetween(KEYS / 10, KEYS * 3 / 10);

      gateway.rollouts().setWeight(weight("sticky", 5_000));
      Set<String> atFifty = keysOfTheCandidate(gateway);
      assertThat(atFifty).containsAll(atTwenty).hasSizeGreaterThan(atTwenty.size());

      gateway.rollouts().setWeight(weight("sticky", 2_000));
      assertThat(keysOfTheCandidate(gateway)).isEqualTo(atTwenty);

      assertRefused(
          Status.Code.FAILED_PRECONDITION,
          "beyond the blast radius of 60.0 %",
          () -> gateway.rollouts().setWeight(weight("sticky", 6_001)));
      gateway.rollouts().setWeight(weight("sticky", 0));
      assertThat(keysOfTheCandidate(gateway)).isEmpty();
    }
  }

  @Test
  void whomTheBlastRadiusExcludesTheCandidateNeverAnswers() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("excluding", canary("100%", "blastRadius: { exclude: [\"country=JP\"] }")));
      for (int i = 0; i < 100; i++) {
        assertThat(Calls.variant(gateway.inference().modelInfer(from("JP", i)))).isEqualTo("baseline");
        assertThat(Calls.variant(gateway.inference().modelInfer(from("DE", i)))).isEqualTo("candidate");
      }
      gateway.rollouts().promoteRollout(PromoteRolloutRequest.newBuilder().setName("excluding").build());
      assertThat(Calls.variant(gateway.inference().modelInfer(from("JP", 0))))
          .as("the rules are still armed, so the promise still holds")
          .isEqualTo("baseline");
    }
  }

  @Test
  void commandsTakeEffectInOrderAndEachIsInTheHistory() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      Rollout created =
          gateway.create(
              note(
                  "commanded",
                  """
                  steps:
                    - canary: 40%
                      until: { observations: 10 }
                    - canary: 80%
                      until: { observations: 1000000 }
                  stopRules:
                    - error-rate: { limit: 1% }
                  """));
      gateway.rollouts().pauseRollout(PauseRolloutRequest.newBuilder().setName("commanded").setActor("eve").build());
      assertRefused(
          Status.Code.ABORTED,
          "look again and decide anew",
          () ->
              gateway
                  .rollouts()
                  .resumeRollout(
                      ResumeRolloutRequest.newBuilder()
                          .setName("commanded")
                          .setExpectedRevision(created.getRevision())
                          .build()));
      assertThat(keysOfTheCandidate(gateway)).as("paused, not stopped").hasSizeGreaterThan(10);
      Rollout paused = gateway.rollouts().setWeight(weight("commanded", 3_000));
      assertThat(paused.getState()).isEqualTo(RolloutState.PAUSED);
      assertThat(paused.getStep()).as("no step forward while it is paused").isZero();

      gateway.rollouts().resumeRollout(ResumeRolloutRequest.newBuilder().setName("commanded").build());
      await().until(() -> gateway.rollout("commanded").getStep() == 1);
      assertThat(gateway.rollout("commanded").getWeightBasisPoints()).isEqualTo(8_000);
      gateway.rollouts().promoteRollout(PromoteRolloutRequest.newBuilder().setName("commanded").build());
      assertThat(keysOfTheCandidate(gateway)).hasSize(KEYS);
      assertRefused(
          Status.Code.FAILED_PRECONDITION,
          "abort it to go back to the baseline",
          () -> gateway.rollouts().setWeight(weight("commanded", 100)));

      Rollout aborted =
          gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("commanded").build());
      assertThat(aborted.getState()).isEqualTo(RolloutState.ABORTED);
      assertServes(gateway, "1");
      assertThat(gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("commanded").build()))
          .as("aborting twice changes nothing")
          .isEqualTo(aborted);
      assertThat(events(gateway).stream().map(Event::getKind))
          .containsExactly("created", "paused", "weight-set", "resumed", "advanced", "promoted", "aborted");
      assertThat(events(gateway).get(1).getActor()).isEqualTo("eve");
      assertThat(events(gateway).stream().map(Event::getHash)).doesNotHaveDuplicates();
    }
    try (RunningGateway again = RunningGateway.start(models, data)) {
      assertServes(again, "1");
    }
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private static String canary(String weight, String more) {
    return """
        steps:
          - canary: %s
            until: { observations: 1000000 }
        stopRules:
          - error-rate: { limit: 1%% }
        %s
        """
        .formatted(weight, more);
  }

  private static ModelInferRequest segmented(long number) {
    ModelInferRequest.Builder request = Calls.of((int) (number % 7), "user-" + number % KEYS);
    switch ((int) (number % 3)) {
      case 0 -> request.putParameters("sluice-segment-country", Calls.text("DE"));
      case 1 -> request.putParameters("sluice-segment-tier", Calls.text("vip"));
      default -> request.putParameters("sluice-segment-country", Calls.text("undeclared"));
    }
    return request.build();
  }

  private static ModelInferRequest from(String country, int user) {
    return Calls.of(user, "user-" + user).putParameters("sluice-segment-country", Calls.text(country)).build();
  }

  private static Set<String> keysOfTheCandidate(RunningGateway gateway) {
    Set<String> keys = new HashSet<>();
    for (int i = 0; i < KEYS; i++) {
      String key = "user-" + i;
      ModelInferResponse response = gateway.inference().modelInfer(Calls.of(1, key).build());
      if (Calls.variant(response).equals("candidate")) {
        keys.add(key);
      }
    }
    return keys;
  }

  private static SetWeightRequest weight(String rollout, int basisPoints) {
    return SetWeightRequest.newBuilder().setName(rollout).setWeightBasisPoints(basisPoints).build();
  }

  private static void assertServes(RunningGateway gateway, String version) {
    ModelInferResponse response = gateway.inference().modelInfer(Calls.of(3).build());
    assertThat(response.getModelVersion()).isEqualTo(version);
    assertThat(Calls.y(response)).isEqualTo(7);
    assertThat(Calls.variant(response)).as("in no rollout any more").isEmpty();
  }

  private static void assertSegmentsAddUp(Rollout rollout, List<String> names) {
    List<SegmentReport> segments = rollout.getSegmentsList();
    assertThat(segments.stream().map(SegmentReport::getSegment)).containsExactlyElementsOf(names);
    List<SegmentReport> parts = segments.subList(1, segments.size());
    assertThat(parts).allSatisfy(part -> assertThat(part.getCandidate().getAnswered()).isPositive());
    assertThat(parts).allSatisfy(part -> assertThat(part.getCompared()).isPositive());
    assertThat(parts.stream().mapToLong(part -> part.getCandidate().getAnswered()).sum())
        .isEqualTo(segments.getFirst().getCandidate().getAnswered());
  }

  private static List<Event> events(RunningGateway gateway) {
    return gateway.rollouts().listEvents(ListEventsRequest.getDefaultInstance()).getEventsList();
  }

  private static void assertRefused(Status.Code code, String words, Runnable command) {
    assertThatThrownBy(command::run)
        .hasMessageContaining(words)
        .isInstanceOfSatisfying(
            StatusRuntimeException.class, e -> assertThat(e.getStatus().getCode()).isEqualTo(code));
  }
}
