package dev.sluice.gateway.control;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.ModelControl;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.Notes;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.control.v1.RemoveLabelRequest;
import dev.sluice.proto.control.v1.SetLabelRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status.Code;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Names for versions: set, moved, used, remembered and removed.
@Timeout(120)
class LabelsTest {

  @TempDir Path models;
  @TempDir Path data;

  @BeforeEach
  void threeVersions() throws IOException {
    for (int version = 1; version <= 3; version++) {
      OnnxModels.linear(version, 0, 1).writeTo(models, Calls.MODEL, version);
    }
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy { all {} }");
  }

  @Test
  void aLabelStandsForAVersionWhereverOneCanBeNamed() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      ModelVersion labelled = label(gateway, "stable", 2);
      assertThat(labelled.getLabelsList()).containsExactly("stable");
      assertThat(answeredBy(gateway, "stable")).isEqualTo("2");
      assertThat(answeredBy(gateway, "")).as("unversioned calls do not care").isEqualTo("3");
      assertThat(ready(gateway, "stable")).isTrue();
      assertThat(
              gateway
                  .inference()
                  .modelMetadata(ModelMetadataRequest.newBuilder().setName("m").setVersion("stable").build())
                  .getVersionsList())
          .containsExactly("2");
      label(gateway, "stable", 1);
      label(gateway, "a.b_c-9", 1);
      assertThat(answeredBy(gateway, "stable")).isEqualTo("1");
      assertThat(version(gateway, 1).getLabelsList()).containsExactly("a.b_c-9", "stable");
      assertThat(version(gateway, 2).getLabelsList()).isEmpty();
    }
  }

  @Test
  void anUnknownLabelIsAWrongVersionAndTheOthersAreNamed() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      String begin = "failed to get model version from specified version string 'blue' for model 'm': expected a number";
      Refusal without = Refusal.of(() -> answeredBy(gateway, "blue"));
      assertThat(without.code()).isEqualTo(Code.INVALID_ARGUMENT);
      assertThat(without.message()).isEqualTo(begin + " or nothing for the default (it has no labels)");
      label(gateway, "stable", 1);
      label(gateway, "canary", 2);
      Refusal with = Refusal.of(() -> answeredBy(gateway, "blue"));
      assertThat(with.message()).isEqualTo(begin + ", a label ('canary', 'stable'), or nothing for the default");
    }
  }

  @Test
  void aLabelMovesToALoadedVersionOnly() throws Exception {
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy { specific { versions: [1, 2] } }");
    OnnxModels.unknownOperator().writeTo(models, "m", 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      label(gateway, "stable", 1);
      Refusal broken = Refusal.of(() -> label(gateway, "stable", 2));
      assertThat(broken.code()).isEqualTo(Code.FAILED_PRECONDITION);
      assertThat(broken.message())
          .startsWith("label 'stable': version 2 of model 'm' is UNAVAILABLE (m/2/model.onnx uses the operator")
          .endsWith("a label moves to a loaded version only");
      assertThat(Refusal.of(() -> label(gateway, "stable", 3)).message())
          .isEqualTo("label 'stable': version 3 of model 'm' is not loaded; a label moves to a loaded version only");
      assertThat(answeredBy(gateway, "stable")).isEqualTo("1");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "7", "-1", "1st", " stable", "stab le", "st/able", "étage", ".x", "x\n"})
  void whatCouldBeANumberOrAnythingElseIsNoLabel(String name) throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      Refusal refusal = Refusal.of(() -> label(gateway, name, 1));
      assertThat(refusal.code()).isEqualTo(Code.INVALID_ARGUMENT);
      assertThat(refusal.message()).contains("expected a letter, then at most 62 letters, digits, '.', '_' and '-'");
    }
  }

  @Test
  void aModelHasSoManyLabelsAndNoMore() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      for (int i = 0; i < 32; i++) {
        label(gateway, "l" + i, 1);
      }
      assertThat(Refusal.of(() -> label(gateway, "more", 1)).message())
          .isEqualTo("model 'm' has 32 labels, and no more are allowed: remove one");
      label(gateway, "l0", 2);
    }
  }

  @Test
  void whatIsLabelledIsNotUnloaded() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      label(gateway, "stable", 1);
      Refusal refusal = Refusal.of(() -> unload(gateway, 1));
      assertThat(refusal.code()).isEqualTo(Code.FAILED_PRECONDITION);
      assertThat(refusal.message()).isEqualTo("model 'm' version 1 stays: it is labelled 'stable'");
      assertThat(remove(gateway, "stable").getVersion()).isEqualTo(1);
      unload(gateway, 1);
      assertThat(Refusal.of(() -> remove(gateway, "stable")).code()).isEqualTo(Code.NOT_FOUND);
    }
  }

  @Test
  void aPollLeavesWhatIsLabelled() throws Exception {
    Files.writeString(models.resolve("m/config.pbtxt"), "");
    GatewayConfig config =
        GatewayConfig.onFreePorts(models, data).with(ModelControl.polling(Duration.ofMillis(20)));
    try (RunningGateway gateway = RunningGateway.start(config)) {
      label(gateway, "stable", 3);
      OnnxModels.linear(4, 0, 1).writeTo(models, "m", 4);
      org.awaitility.Awaitility.await().until(() -> answeredBy(gateway, "").equals("4"));
      // Until a look finds all at rest: the gateway's own may be under way, and this one then leaves the model to it.
      org.awaitility.Awaitility.await().until(() -> gateway.gateway().repository().poll());
      assertThat(answeredBy(gateway, "stable")).isEqualTo("3");
    }
  }

  @Test
  void labelsOutliveARestartAndTheirVersionsAreLoadedWithIt() throws Exception {
    Files.writeString(models.resolve("m/config.pbtxt"), "");
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      load(gateway, 1);
      load(gateway, 2);
      label(gateway, "stable", 1);
      label(gateway, "canary", 2);
      label(gateway, "gone", 2);
      remove(gateway, "gone");
    }
    OnnxModels.unknownOperator().writeTo(models, "m", 2);
    for (ModelControl control : List.of(ModelControl.defaults(), ModelControl.explicit())) {
      try (RunningGateway gateway = RunningGateway.start(GatewayConfig.onFreePorts(models, data).with(control))) {
        assertThat(answeredBy(gateway, "stable")).isEqualTo("1");
        Refusal refusal = Refusal.of(() -> answeredBy(gateway, "canary"));
        assertThat(refusal.code()).isEqualTo(Code.UNAVAILABLE);
        assertThat(refusal.message())
            .isEqualTo("Request for unknown model: 'm' version 2, labelled 'canary', is not at ready state");
        assertThat(ready(gateway, "canary")).isFalse();
        assertThat(Refusal.of(() -> answeredBy(gateway, "gone")).code()).isEqualTo(Code.INVALID_ARGUMENT);
      }
    }
  }

  @Test
  void changesOfLabelsAreInTheTrail() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      label(gateway, "stable", 1);
      label(gateway, "stable", 1);
      label(gateway, "stable", 2);
      remove(gateway, "stable");
      List<Event> events = gateway.rollouts().listEvents(ListEventsRequest.getDefaultInstance()).getEventsList();
      assertThat(events).extracting(Event::getKind).containsExactly("labelled", "labelled", "unlabelled");
      assertThat(events)
          .extracting(Event::getReason)
          .containsExactly(
              "label 'stable' of model 'm' is set to version 1: because",
              "label 'stable' of model 'm' moves from version 1 to version 2: because",
              "label 'stable' of model 'm' is removed from version 2: because");
      assertThat(events).allMatch(event -> event.getActor().equals("test") && event.getRollout().isEmpty());
      assertThat(events.getFirst().getDetail()).isEqualTo("{\"model\":\"m\",\"label\":\"stable\",\"version\":1}");
    }
  }

  @Test
  void aLabelBypassesARolloutAndARolloutKeepsItsVersions() throws Exception {
    Files.writeString(models.resolve("m/config.pbtxt"), "");
    GatewayConfig config =
        GatewayConfig.onFreePorts(models, data).with(ModelControl.polling(Duration.ofMillis(20)));
    try (RunningGateway gateway = RunningGateway.start(config)) {
      gateway.create(
          Notes.note(
              "r",
              """
              steps:
                - canary: 50%
                  until: { observations: 1000000 }
              stopRules:
                - error-rate: { limit: 5% }
              """));
      label(gateway, "next", 2);
      for (int i = 0; i < 50; i++) {
        assertThat(answeredBy(gateway, "next")).isEqualTo("2");
      }
      OnnxModels.linear(9, 0, 1).writeTo(models, "m", 2);
      for (int i = 0; i < 3; i++) {
        boolean _ = gateway.gateway().repository().poll();
      }
      assertThat(Calls.y(gateway.inference().modelInfer(Calls.of(1).setModelVersion("next").build())))
          .as("the candidate is what it was")
          .isEqualTo(2);
      Refusal refusal = Refusal.of(() -> load(gateway, 2));
      assertThat(refusal.code()).isEqualTo(Code.FAILED_PRECONDITION);
      assertThat(refusal.message())
          .isEqualTo("model 'm' version 2 is in rollout 'r': replacing it would make the evidence another version's");
      assertThat(Refusal.of(() -> unload(gateway, 2)).message())
          .isEqualTo("model 'm' version 2 stays: it is labelled 'next'");
    }
  }

  // --- saying it briefly ----------------------------------------------------------------------------------------------

  private static ModelVersion label(RunningGateway gateway, String label, long version) {
    return gateway
        .models()
        .setLabel(
            SetLabelRequest.newBuilder()
                .setModel("m").setLabel(label).setVersion(version).setActor("test").setReason("because").build());
  }

  private static ModelVersion remove(RunningGateway gateway, String label) {
    return gateway
        .models()
        .removeLabel(
            RemoveLabelRequest.newBuilder()
                .setModel("m").setLabel(label).setActor("test").setReason("because").build());
  }

  private static ModelVersion load(RunningGateway gateway, long version) {
    return gateway.models().loadVersion(LoadVersionRequest.newBuilder().setModel("m").setVersion(version).build());
  }

  private static ModelVersion unload(RunningGateway gateway, long version) {
    return gateway
        .models()
        .unloadVersion(UnloadVersionRequest.newBuilder().setModel("m").setVersion(version).build());
  }

  private static ModelVersion version(RunningGateway gateway, long version) {
    return gateway.models().listModels(ListModelsRequest.getDefaultInstance()).getVersionsList().stream()
        .filter(one -> one.getVersion() == version)
        .findFirst()
        .orElseThrow();
  }

  private static String answeredBy(RunningGateway gateway, String version) {
    return gateway.inference().modelInfer(Calls.of(1).setModelVersion(version).build()).getModelVersion();
  }

  private static boolean ready(RunningGateway gateway, String version) {
    return gateway
        .inference()
        .modelReady(ModelReadyRequest.newBuilder().setName("m").setVersion(version).build())
        .getReady();
  }
}
