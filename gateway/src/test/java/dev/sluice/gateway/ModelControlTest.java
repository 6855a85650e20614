package dev.sluice.gateway;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.ModelControl;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.Notes;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.inference.RepositoryIndexRequest;
import dev.sluice.proto.inference.RepositoryIndexResponse.ModelIndex;
import dev.sluice.proto.inference.RepositoryModelLoadRequest;
import dev.sluice.proto.inference.RepositoryModelUnloadRequest;
import dev.sluice.proto.inference.ServerReadyRequest;
import dev.sluice.runtime.repository.ControlMode;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status.Code;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Which models a gateway loads when, and what it says of itself when one is not there.
@Timeout(120)
class ModelControlTest {

  @TempDir Path models;
  @TempDir Path data;

  @Test
  void aServerIsReadyWhenEveryModelThatWasAskedForCanAnswer() throws Exception {
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 1);
    OnnxModels.unknownOperator().writeTo(models, "broken", 1);
    try (RunningGateway gateway = start(ModelControl.polling(Duration.ofMillis(20)))) {
      assertThat(ready(gateway)).isFalse();
      assertThat(readyPage(gateway)).isEqualTo(503);
      assertThat(health(gateway)).isEqualTo(ServingStatus.NOT_SERVING);
      assertThat(answeredBy(gateway)).as("the others are unaffected").isEqualTo("1");
      assertThat(index(gateway))
          .anySatisfy(
              model -> {
                assertThat(model.getName()).isEqualTo("broken");
                assertThat(model.getState()).isEqualTo("UNAVAILABLE");
                assertThat(model.getReason()).contains("Frobnicate");
              });
      OnnxModels.linear(1, 0, 1).writeTo(models, "broken", 1);
      await().until(() -> ready(gateway));
      assertThat(readyPage(gateway)).isEqualTo(200);
      assertThat(health(gateway)).isEqualTo(ServingStatus.SERVING);
      OnnxModels.unknownOperator().writeTo(models, "broken", 2);
      await().until(() -> index(gateway).stream().anyMatch(model -> model.getVersion().equals("2")
          && model.getState().equals("UNAVAILABLE")));
      assertThat(ready(gateway)).as("it answers with what it had").isTrue();
    }
  }

  @Test
  void aServerThatIsNotStrictIsReadyWhateverItsModelsAre() throws Exception {
    OnnxModels.unknownOperator().writeTo(models, "broken", 1);
    ModelControl lenient = new ModelControl(ControlMode.NONE, Duration.ofSeconds(1), List.of(), false, false, 2);
    try (RunningGateway gateway = start(lenient)) {
      assertThat(ready(gateway)).isTrue();
      assertThat(health(gateway)).isEqualTo(ServingStatus.SERVING);
    }
  }

  @Test
  void aStartCanBeMadeToFailWhenAModelDoesNotLoad() throws Exception {
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 1);
    ModelControl strict =
        new ModelControl(ControlMode.EXPLICIT, Duration.ofSeconds(1), List.of("m", "absent"), true, true, 1);
    StartFailure failure = catchThrowableOfType(StartFailure.class, () -> start(strict));
    assertThat(failure).hasMessage("model-repository: model 'absent': model 'absent' is not in the repository");
    OnnxModels.unknownOperator().writeTo(models, "absent", 1);
    failure = catchThrowableOfType(StartFailure.class, () -> start(strict));
    assertThat(failure).hasMessageStartingWith("model-repository: model 'absent' version 1: absent/1/model.onnx uses");
    OnnxModels.linear(1, 0, 1).writeTo(models, "absent", 1);
    start(strict).close();
  }

  @Test
  void inExplicitModeModelsComeAndGoAsCallersAsk() throws Exception {
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 1);
    OnnxModels.linear(1, 0, 1).writeTo(models, "other", 1);
    try (RunningGateway gateway = start(ModelControl.explicit("other"))) {
      assertThat(ready(gateway)).isTrue();
      assertThat(index(gateway)).extracting(ModelControlTest::line).containsExactly("m:::", "other:1:READY:");
      assertThat(Refusal.of(() -> answeredBy(gateway)).code()).isEqualTo(Code.NOT_FOUND);
      load(gateway, "m");
      assertThat(answeredBy(gateway)).isEqualTo("1");
      unload(gateway, "m");
      await().untilAsserted(
          () ->
              assertThat(index(gateway))
                  .extracting(ModelControlTest::line)
                  .containsExactly("m:1:UNAVAILABLE:unloaded", "other:1:READY:"));
      assertThat(ready(gateway)).as("what was unloaded is missed by nobody").isTrue();
    }
  }

  @Test
  void allModelsCanBeAskedForAtTheStart() throws Exception {
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 1);
    OnnxModels.linear(1, 0, 1).writeTo(models, "other", 1);
    try (RunningGateway gateway = start(ModelControl.explicit(ModelControl.ALL))) {
      assertThat(index(gateway)).extracting(ModelControlTest::line).containsExactly("m:1:READY:", "other:1:READY:");
    }
  }

  /// What a rollout decided holds for whoever loads the model next, and does not load it.
  @Test
  void anExplicitLoadBringsInTheVersionThatARolloutDecidedOn() throws Exception {
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 1);
    OnnxModels.linear(2, 0, 1).writeTo(models, "m", 2);
    try (RunningGateway gateway = start(ModelControl.defaults())) {
      gateway.create(
          Notes.note(
              "r",
              """
              steps:
                - shadow: 50%
                  until: { observations: 1000000 }
              stopRules:
                - error-rate: { limit: 5% }
              """));
      Refusal refused = Refusal.of(() -> unload(gateway, "m"));
      assertThat(refused.code()).as("not the mode for it").isEqualTo(Code.UNAVAILABLE);
      var _ =
          gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("r").setActor("test").build());
    }
    try (RunningGateway gateway = start(ModelControl.explicit())) {
      assertThat(index(gateway)).extracting(ModelControlTest::line).containsExactly("m:::");
      load(gateway, "m");
      assertThat(index(gateway)).extracting(ModelControlTest::line).containsExactly("m:1:READY:", "m:2:READY:");
      assertThat(answeredBy(gateway)).as("the baseline, though 2 is newer").isEqualTo("1");
      unload(gateway, "m");
      assertThat(Refusal.of(() -> answeredBy(gateway)).code()).isEqualTo(Code.NOT_FOUND);
      load(gateway, "m");
      assertThat(answeredBy(gateway)).isEqualTo("1");
    }
  }

  @Test
  void aModelInALiveRolloutIsNotUnloaded() throws Exception {
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 1);
    OnnxModels.linear(2, 0, 1).writeTo(models, "m", 2);
    try (RunningGateway gateway = start(ModelControl.explicit("m"))) {
      gateway.create(
          Notes.note(
              "r",
              """
              steps:
                - shadow: 50%
                  until: { observations: 1000000 }
              stopRules:
                - error-rate: { limit: 5% }
              """));
      Refusal refused = Refusal.of(() -> unload(gateway, "m"));
      assertThat(refused.message()).contains("failed to unload 'm': version 1 is in rollout 'r', version 2 is in rollout 'r'");
      assertThat(answeredBy(gateway)).isEqualTo("1");
    }
  }

  // --- saying it briefly ----------------------------------------------------------------------------------------------

  private RunningGateway start(ModelControl control) throws StartFailure {
    return RunningGateway.start(GatewayConfig.onFreePorts(models, data).with(control));
  }

  private static String answeredBy(RunningGateway gateway) {
    return gateway.inference().modelInfer(Calls.of(1).build()).getModelVersion();
  }

  private static boolean ready(RunningGateway gateway) {
    return gateway.inference().serverReady(ServerReadyRequest.getDefaultInstance()).getReady();
  }

  private static ServingStatus health(RunningGateway gateway) {
    return HealthGrpc.newBlockingStub(gateway.inferenceChannel())
        .check(HealthCheckRequest.getDefaultInstance())
        .getStatus();
  }

  private static int readyPage(RunningGateway gateway) throws IOException, InterruptedException {
    URI page = URI.create("http://127.0.0.1:%d/readyz".formatted(gateway.gateway().metricsPort()));
    try (HttpClient client = HttpClient.newHttpClient()) {
      return client.send(HttpRequest.newBuilder(page).build(), BodyHandlers.discarding()).statusCode();
    }
  }

  private static List<ModelIndex> index(RunningGateway gateway) {
    return gateway.inference().repositoryIndex(RepositoryIndexRequest.getDefaultInstance()).getModelsList();
  }

  private static String line(ModelIndex model) {
    return String.join(":", model.getName(), model.getVersion(), model.getState(), model.getReason());
  }

  private static void load(RunningGateway gateway, String model) {
    var _ =
        gateway.inference().repositoryModelLoad(RepositoryModelLoadRequest.newBuilder().setModelName(model).build());
  }

  private static void unload(RunningGateway gateway, String model) {
    var _ =
        gateway
            .inference()
            .repositoryModelUnload(RepositoryModelUnloadRequest.newBuilder().setModelName(model).build());
  }
}
