package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.RuleEvidence;
import dev.sluice.proto.control.v1.SegmentReport;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Whatever the candidate does in the middle of a canary, its callers get the baseline's answers, in time.
class CandidateTroubleTest {

  private static final long FOR_EVER = Long.MAX_VALUE;

  @TempDir Path models;
  @TempDir Path data;

  private final TamperedRuntime runtime = new TamperedRuntime();

  @BeforeEach
  void aBaselineAndItsEqual() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
  }

  // --- every kind of trouble ------------------------------------------------------------------------------------------

  @Test
  void aCandidateThatFailsOnEveryInputHarmsNobodyAndIsStopped() throws Exception {
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      assertStoppedWithoutHarm(gateway, null, () -> {}, "failed");
    }
  }

  @Test
  void aCandidateThatThrowsWhatNobodyExpectsHarmsNobodyAndIsStopped() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      AtomicLong runs = new AtomicLong();
      assertStoppedWithoutHarm(
          gateway,
          null,
          () ->
              runtime.tamper(
                  2,
                  (_, _, _, _) -> {
                    if (runs.getAndIncrement() % 2 == 0) {
                      throw new IllegalStateException("a fault of the runtime");
                    }
                    throw new StackOverflowError("a fault of the machine");
                  }),
          "failed");
    }
  }

  @Test
  void aCandidateThatAnswersOutOfShapeHarmsNobodyAndIsStopped() throws Exception {
    List<TamperedRuntime.Run> garbage =
        List.of(
            (_, _, _, _) -> List.of(Tensors.floats("y", Shape.of(1), 1)),
            (_, _, _, _) -> List.of(Tensors.floats("z", Shape.of(1, 1), 1)),
            (_, _, _, _) -> List.of(Tensors.longs("y", Shape.of(1, 1), 1)),
            (_, _, _, _) -> List.of(Tensors.floats("y", Shape.of(3, 1), 1)),
            (_, _, _, _) -> List.of());
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      AtomicLong runs = new AtomicLong();
      assertStoppedWithoutHarm(
          gateway,
          null,
          () ->
              runtime.tamper(
                  2,
                  (real, inputs, outputs, control) ->
                      garbage
                          .get((int) (runs.getAndIncrement() % garbage.size()))
                          .run(real, inputs, outputs, control)),
          "malformed");
    }
  }

  @Test
  void aCandidateThatIsUnloadedHarmsNobodyAndIsStopped() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      assertStoppedWithoutHarm(
          gateway,
          null,
          () -> gateway.models().unloadVersion(UnloadVersionRequest.newBuilder().setModel("m").setVersion(2).build()),
          "unavailable");
    }
  }

  @Test
  void aCandidateThatHangsCostsNoCallerItsDeadline() throws Exception {
    assertHangingCandidateIsStopped(Duration.ofSeconds(2), "{ deadlineShare: 10%, timeout: 5s }");
  }

  @Test
  void aCandidateThatHangsIsGivenUpOnWhenTheCallerSetNoDeadline() throws Exception {
    assertHangingCandidateIsStopped(null, "{ timeout: 50ms }");
  }

  /// The candidate is warmed when it is loaded, so one that hangs has to begin with it afterwards.
  private void assertHangingCandidateIsStopped(@Nullable Duration deadline, String fallback) throws Exception {
    Session endless = endless();
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      assertStoppedWithoutHarm(
          gateway,
          deadline,
          fallback,
          () -> runtime.tamper(2, (_, inputs, outputs, control) -> endless.run(inputs, outputs, control)),
          "late");
      await().until(() -> callsOfTheCandidate(gateway) == 0);
    }
  }

  /// ONNX Runtime in a loop that has no end until it is told to stop. Never closed: freeing it under a run, should an
  /// assertion fail, would take the whole process down.
  private Session endless() throws Exception {
    Path folder = OnnxModels.slowLinear(2, 1, 1, FOR_EVER).writeTo(data.resolve("aside"), "endless", 1);
    return new OnnxRuntime().load(folder, ModelSettings.defaults());
  }

  private void assertStoppedWithoutHarm(
      RunningGateway gateway, @Nullable Duration deadline, Runnable trouble, String reason) {
    assertStoppedWithoutHarm(gateway, deadline, "{ timeout: 1s }", trouble, reason);
  }

  private void assertStoppedWithoutHarm(
      RunningGateway gateway, @Nullable Duration deadline, String fallback, Runnable trouble, String reason) {
    gateway.create(
        note(
            "troubled",
            """
            steps:
              - canary: 70%%
                until: { observations: 1000000 }
            stopRules:
              - error-rate: { limit: 2%% }
            fallback: %s
            """
                .formatted(fallback)));
    try (Traffic traffic =
        Traffic.start(gateway, 4, deadline, n -> Calls.of((int) (n % 5) + 1, "u" + n).build(), r -> 2 * Calls.x(r) + 1)) {
      trouble.run();
      await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> gateway.rollout("troubled").getState() == RolloutState.STOPPED);
      traffic.awaitAnswers(20);
      long candidateAnswers = traffic.answeredBy("candidate");
      traffic.awaitAnswers(200);

      Rollout stopped = gateway.rollout("troubled");
      assertThat(traffic.failures()).as("what callers got wrong").isEmpty();
      assertThat(traffic.answeredBy("candidate")).as("nothing reaches it after the flip").isEqualTo(candidateAnswers);
      assertThat(traffic.fallbacks()).containsKey(reason);
      assertThat(traffic.fallbacks().keySet()).isSubsetOf(reason, "circuit_open", "saturated", "stopped");
      // A fallback is recorded after its caller has the answer.
      await()
          .untilAsserted(
              () ->
                  assertThat(gateway.rollout("troubled").getSegments(0).getFallbacksMap())
                      .isEqualTo(traffic.fallbacks()));
      SegmentReport all = gateway.rollout("troubled").getSegments(0);
      assertThat(stopped.getStop().getRule()).isEqualTo("error-rate");
      assertThat(stopped.getStop().getBad()).isLessThanOrEqualTo(all.getFallbacksOrThrow(reason));
      assertThat(stopped.getStop().getAssignedAfterFlip()).isZero();
    }
  }

  // --- what is no evidence --------------------------------------------------------------------------------------------

  @Test
  void whatNeitherVariantCanComputeIsTheCallersMistake() throws Exception {
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("mistaken", strictCanary()));
      for (int i = 0; i < 100; i++) {
        assertThatThrownBy(() -> gateway.inference().modelInfer(Calls.of(5).build()))
            .isInstanceOfSatisfying(
                StatusRuntimeException.class,
                e -> assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.INTERNAL));
      }
      ModelInferResponse good = gateway.inference().modelInfer(Calls.of(0.5f).build());
      assertThat(Calls.variant(good)).as("the circuit is closed, the rollout goes on").isEqualTo("candidate");
      assertNoEvidence(gateway.rollout("mistaken"));
    }
  }

  @Test
  void aCallThatItsCallerGaveUpIsNoEvidence() throws Exception {
    Session endless = endless();
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("cancelled", strictCanary() + "fallback: { timeout: 1m }\n"));
      CountDownLatch running = new CountDownLatch(20);
      runtime.tamper(
          2,
          (_, inputs, outputs, control) -> {
            running.countDown();
            return endless.run(inputs, outputs, control);
          });
      var calls = GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel());
      for (int i = 0; i < 20; i++) {
        long before = running.getCount();
        var call = calls.modelInfer(Calls.of(1).build());
        await().until(() -> running.getCount() < before);
        assertThat(call.cancel(true)).isTrue();
      }
      await().until(() -> callsOfTheCandidate(gateway) == 0);
      runtime.leaveAlone(2);
      assertThat(Calls.variant(gateway.inference().modelInfer(Calls.of(1).build()))).isEqualTo("candidate");
      assertNoEvidence(gateway.rollout("cancelled"));
    }
  }

  private static long callsOfTheCandidate(RunningGateway gateway) {
    return gateway.models().listModels(ListModelsRequest.getDefaultInstance()).getVersions(1).getCallsInFlight();
  }

  private static void assertNoEvidence(Rollout rollout) {
    assertThat(rollout.getState()).isEqualTo(RolloutState.CANARY);
    assertThat(rollout.getRulesList()).extracting(RuleEvidence::getBad).containsOnly(0L);
    assertThat(rollout.getSegments(0).getFallbacksMap()).isEmpty();
    assertThat(rollout.getSegments(0).getCandidate().getFailed()).isZero();
  }

  private static String strictCanary() {
    return """
        steps:
          - canary: 100%
            until: { observations: 1000000 }
        stopRules:
          - error-rate: { limit: 0.1% }
          - fallback-rate: { limit: 0.1% }
        """;
  }

  // --- the baseline behind it -----------------------------------------------------------------------------------------

  @Test
  void aCandidateThatHangsInFrontOfABaselineWithABacklogCostsNoCallerItsDeadline() throws Exception {
    Files.writeString(models.resolve("m/config.pbtxt"), "instance_group { kind: KIND_CPU count: 1 }\n");
    Session endless = endless();
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      runtime.tamper(
          1,
          (real, inputs, outputs, control) -> {
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(120));
            return real.run(inputs, outputs, control);
          });
      for (int i = 0; i < 15; i++) {
        var _ = gateway.inference().modelInfer(Calls.of(1).build()); // its pace becomes known
      }
      gateway.create(
          note(
              "behind",
              """
              steps:
                - canary: 100%
                  until: { observations: 1000000 }
              stopRules:
                - latency: { over: 1h, limit: 50% }
              fallback: { deadlineShare: 80%, timeout: 5s }
              """));
      runtime.tamper(2, (_, inputs, outputs, control) -> endless.run(inputs, outputs, control));
      AtomicBoolean over = new AtomicBoolean();
      List<Thread> others = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        others.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      while (!over.get()) {
                        var _ = gateway.inference().modelInfer(Calls.of(1).setModelVersion("1").build());
                      }
                    }));
      }
      try {
        ModelVersion baseline = Objects.requireNonNull(gateway.gateway().routes().version(Calls.MODEL, 1));
        await().until(() -> baseline.statistics().snapshot().pendingRequests() >= 3);
        // Four runs lie before it, and eight tenths of its time are the candidate's share: without regard to them, two runs' time
        // would be left for five. On a busy machine runs may take longer than they did; some call is answered.
        await()
            .atMost(Duration.ofSeconds(40))
            .ignoreException(StatusRuntimeException.class)
            .untilAsserted(
                () -> {
                  ModelInferResponse response =
                      gateway
                          .inference()
                          .withDeadlineAfter(10 * baseline.typicalRunNanos(), TimeUnit.NANOSECONDS)
                          .modelInfer(Calls.of(1).build());
                  assertThat(Calls.variant(response)).isEqualTo("baseline");
                  assertThat(Calls.fallback(response)).isEqualTo("late");
                });
      } finally {
        over.set(true);
        for (Thread other : others) {
          other.join();
        }
      }
    }
  }

  // --- the circuit breaker --------------------------------------------------------------------------------------------

  @Test
  void aDeadCandidateStopsCostingEachCallAnAttemptAndIsTriedAgainLater() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(
          note(
              "dead",
              """
              steps:
                - canary: 100%
                  until: { observations: 1000000 }
              stopRules:
                - latency: { over: 1h, limit: 50% }
              """));
      AtomicLong attempts = new AtomicLong();
      runtime.tamper(
          2,
          (_, _, _, _) -> {
            attempts.incrementAndGet();
            throw new ModelExecutionException(ModelExecutionException.Kind.FAILED, "dead");
          });
      List<String> reasons = new ArrayList<>();
      for (int i = 0; i < 200; i++) {
        ModelInferResponse response = gateway.inference().modelInfer(Calls.of(1).build());
        assertThat(Calls.y(response)).isEqualTo(3);
        reasons.add(Calls.fallback(response));
      }
      assertThat(reasons).startsWith("failed").endsWith("circuit_open");
      assertThat(attempts.get()).isBetween(10L, 20L);
      assertThat(gateway.rollout("dead").getRules(0).getDispatched())
          .as("a call that the candidate never saw does not pass for a good one")
          .isEqualTo(attempts.get());

      runtime.leaveAlone(2);
      await()
          .atMost(Duration.ofSeconds(15))
          .until(() -> Calls.variant(gateway.inference().modelInfer(Calls.of(1).build())).equals("candidate"));
      for (int i = 0; i < 100; i++) {
        assertThat(Calls.variant(gateway.inference().modelInfer(Calls.of(1).build()))).isEqualTo("candidate");
      }
      assertThat(gateway.rollout("dead").getState()).isEqualTo(RolloutState.CANARY);
    }
  }
}
