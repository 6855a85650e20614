package dev.sluice.gateway.demo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.examples.fraud.PaymentStream;
import dev.sluice.gateway.testing.ExampleModels;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.loadtest.LoadTest;
import dev.sluice.loadtest.LoadTestPlan;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.proto.control.v1.ReplayRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The two notes for the bad version of the fraud model, end to end: payments over gRPC, real models, real rules.
class DemoNotesTest {

  private static final long SEED = 42;

  @TempDir Path models;
  @TempDir Path data;

  @Test
  void asAShadowFirstItIsCaughtInJapanBeforeItAnswersAnybody() throws Exception {
    Rollout stopped = stopped("fraud-v3");

    assertThat(stopped.getStop().getRule()).isIn("score-difference", "disagreement-over-noise");
    assertThat(stopped.getCandidateExposed().getRequests()).as("answered by the candidate").isZero();
    assertThat(stopped.getCandidateExposed().getCopies()).isPositive();
  }

  @Test
  void withoutAShadowStepItIsCaughtInJapanByTheCanarysRule() throws Exception {
    Rollout stopped = stopped("fraud-v3-hurry");

    assertThat(stopped.getStop().getRule()).isEqualTo("disagreement-rate");
    assertThat(stopped.getCandidateExposed().getRequests()).as("answered by the candidate").isPositive();
  }

  private Rollout stopped(String name) throws Exception {
    CallerView callers = new CallerView();
    try (RunningGateway gateway = RunningGateway.start(delivered(), data)) {
      gateway.create(Files.readString(ExampleModels.note(name)));
      LoadTest payments = payments(gateway, callers);
      Thread sender = Thread.ofVirtual().start(() -> send(payments));
      try {
        await().atMost(Duration.ofSeconds(50)).until(() -> gateway.rollout(name).getState() == RolloutState.STOPPED);
      } finally {
        payments.stop();
        sender.join();
      }
      Rollout stopped = gateway.rollout(name);
      assertThat(stopped.getStop().getSegment()).isEqualTo("country=JP");
      assertThat(stopped.getStop().getAssignedAfterFlip()).isZero();
      assertThat(callers.errors()).as(callers.firstError()).isZero();
      assertThat(callers.answeredByBad()).isEqualTo(stopped.getCandidateExposed().getRequests());
      assertThat(
              gateway.rollouts().replayRollout(ReplayRolloutRequest.newBuilder().setName(name).build()).getIdentical())
          .isTrue();
      return stopped;
    }
  }

  /// Version 2 is served, and version 3 lies beside it.
  private Path delivered() throws IOException {
    Path fraud = ExampleModels.repository().resolve("fraud");
    for (String version : List.of("2", "3")) {
      Path folder = Files.createDirectories(models.resolve("fraud").resolve(version));
      Files.copy(fraud.resolve(version).resolve("model.onnx"), folder.resolve("model.onnx"));
    }
    String config = Files.readString(fraud.resolve("config.pbtxt"));
    Files.writeString(models.resolve("fraud/config.pbtxt"), config.replace("versions: [1]", "versions: [2]"));
    return models;
  }

  private static LoadTest payments(RunningGateway gateway, CallerView callers) {
    LoadTestPlan plan =
        LoadTestPlan.of(
                "127.0.0.1:" + gateway.gateway().grpcPort(),
                "fraud",
                new Load.OpenLoop(new Arrivals.Poisson(400, SEED), 4096),
                new PaymentTraffic(new PaymentStream(SEED)))
            .withWarmUp(Duration.ZERO)
            .withDuration(Duration.ofSeconds(60))
            .withDeadline(Duration.ofSeconds(5))
            .withObserver(callers);
    return new LoadTest(plan, _ -> {});
  }

  private static void send(LoadTest payments) {
    try {
      payments.run();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
