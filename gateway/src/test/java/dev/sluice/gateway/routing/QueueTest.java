package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.common.util.concurrent.ListenableFuture;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.model.VersionStatistics.BatchSize;
import dev.sluice.runtime.model.VersionStatistics.FailureReason;
import dev.sluice.runtime.model.VersionStatistics.Snapshot;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What a configuration says of queues and batches, as callers meet it: real models, a real server, real time.
@Timeout(120)
class QueueTest {

  @TempDir Path models;
  @TempDir Path data;

  private final TamperedRuntime runtime = new TamperedRuntime();

  /// Runs of version 1 that may begin, and the rows of those that have.
  private final Semaphore runs = new Semaphore(0);

  private final ConcurrentLinkedQueue<Long> batches = new ConcurrentLinkedQueue<>();

  /// Too slow to run where its requests arrive: everything goes through the queue.
  private static OnnxGraph model() {
    return OnnxModels.slowLinear(2, 1, 1, 300);
  }

  private RunningGateway start(String config) throws Exception {
    model().writeTo(models, Calls.MODEL, 1);
    Files.writeString(models.resolve("m/config.pbtxt"), config);
    RunningGateway gateway = RunningGateway.start(models, data, runtime);
    holdRuns(1);
    return gateway;
  }

  private void holdRuns(long version) {
    runtime.tamper(
        version,
        (real, inputs, outputs, control) -> {
          batches.add(inputs.getFirst().shape().dim(0));
          runs.acquireUninterruptibly();
          return real.run(inputs, outputs, control);
        });
  }

  private static ListenableFuture<ModelInferResponse> ask(RunningGateway gateway, ModelInferRequest.Builder request) {
    return GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel()).modelInfer(request.build());
  }

  /// One after the other, so that they arrive in order.
  private static List<ListenableFuture<ModelInferResponse>> fillQueue(RunningGateway gateway, int requests) {
    List<ListenableFuture<ModelInferResponse>> waiting = new ArrayList<>();
    for (int i = 0; i < requests; i++) {
      int before = i;
      waiting.add(ask(gateway, Calls.of(i)));
      await().until(() -> statistics(gateway, 1).pendingRequests() == before + 1);
    }
    return waiting;
  }

  private static Snapshot statistics(RunningGateway gateway, long version) {
    return requireNonNull(requireNonNull(gateway.gateway().repository().find(Calls.MODEL)).version(version))
        .statistics()
        .snapshot();
  }

  private ListenableFuture<ModelInferResponse> occupy(RunningGateway gateway) {
    ListenableFuture<ModelInferResponse> running = ask(gateway, Calls.of(100));
    await().until(() -> batches.size() == 1);
    return running;
  }

  private static Refusal refusal(ListenableFuture<ModelInferResponse> call) {
    return Refusal.of(
        () -> {
          try {
            var _ = call.get();
          } catch (ExecutionException e) {
            throw Status.fromThrowable(e.getCause()).asRuntimeException();
          } catch (InterruptedException e) {
            throw new AssertionError(e);
          }
        });
  }

  // --- limits ---------------------------------------------------------------------------------------------------------

  @Test
  void aQueueHoldsAsManyAsItSaysAndRefusesTheNextAtOnce() throws Exception {
    try (RunningGateway gateway =
        start(
            """
            max_batch_size: 1
            instance_group { kind: KIND_CPU count: 1 }
            dynamic_batching { default_queue_policy { max_queue_size: 3 } }
            """)) {
      var running = occupy(gateway);
      var waiting = fillQueue(gateway, 3);

      Refusal refused = refusal(ask(gateway, Calls.of(5)));
      assertThat(refused.code()).isEqualTo(Status.Code.UNAVAILABLE);
      assertThat(refused.message()).contains("Exceeds maximum queue size");

      runs.release(4);
      assertThat(Calls.y(running.get())).isEqualTo(201);
      for (int i = 0; i < 3; i++) {
        assertThat(Calls.y(waiting.get(i).get())).isEqualTo(2 * i + 1);
      }
      assertThat(statistics(gateway, 1).failure(FailureReason.REJECTED).count()).isOne();
    }
  }

  @Test
  void aTimeoutHoldsWhileTheOnlyInstanceIsBusyAndACallersOwnOnlyShortensIt() throws Exception {
    try (RunningGateway gateway =
        start(
            """
            max_batch_size: 1
            instance_group { kind: KIND_CPU count: 1 }
            dynamic_batching {
              default_queue_policy { default_timeout_microseconds: 400000 allow_timeout_override: true }
            }
            """)) {
      var running = occupy(gateway);
      long[] askedMillis = {400, 100, 400};
      long[] timeoutMicros = {0, 100_000, 9_000_000};
      for (int i = 0; i < askedMillis.length; i++) {
        long start = System.nanoTime();
        Refusal expired =
            refusal(
                ask(
                    gateway,
                    Calls.of(i)
                        .putParameters(
                            "timeout", InferParameter.newBuilder().setInt64Param(timeoutMicros[i]).build())));
        long tookMillis = (System.nanoTime() - start) / 1_000_000;
        assertThat(expired.code()).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(expired.message()).contains("Request timeout expired");
        System.out.printf("FIGURE a timeout of %d ms was told after %d ms%n", askedMillis[i], tookMillis);
        assertThat(tookMillis).isGreaterThanOrEqualTo(askedMillis[i]).isLessThan(askedMillis[i] + 2_000);
      }
      runs.release();
      assertThat(Calls.y(running.get())).as("what runs is not touched").isEqualTo(201);
    }
  }

  @Test
  void aCallerWhoGoesAndADeadlineThatPassesFreeTheirPlaces() throws Exception {
    try (RunningGateway gateway =
        start(
            """
            max_batch_size: 1
            instance_group { kind: KIND_CPU count: 1 }
            dynamic_batching { default_queue_policy { max_queue_size: 1 } }
            """)) {
      var running = occupy(gateway);
      var gone = fillQueue(gateway, 1).getFirst();
      gone.cancel(true);
      await().until(() -> statistics(gateway, 1).pendingRequests() == 0);

      Refusal late =
          Refusal.of(
              () -> gateway.inference().withDeadlineAfter(50, TimeUnit.MILLISECONDS).modelInfer(Calls.of(1).build()));
      assertThat(late.code()).isEqualTo(Status.Code.DEADLINE_EXCEEDED);
      await().until(() -> statistics(gateway, 1).pendingRequests() == 0);

      var waits = fillQueue(gateway, 1).getFirst();
      runs.release(2);
      assertThat(Calls.y(running.get())).isEqualTo(201);
      assertThat(Calls.y(waits.get())).isEqualTo(1);
      assertThat(statistics(gateway, 1).failure(FailureReason.CANCELED).count()).isEqualTo(2);
      assertThat(batches).as("neither was run").hasSize(2);
    }
  }

  @Test
  void theMostUrgentRunFirst() throws Exception {
    try (RunningGateway gateway =
        start(
            """
            max_batch_size: 1
            instance_group { kind: KIND_CPU count: 1 }
            dynamic_batching { priority_levels: 3 default_priority_level: 2 }
            """)) {
      var running = occupy(gateway);
      List<Integer> order = new CopyOnWriteArrayList<>();
      int[] priorities = {3, 2, 0, 1};
      for (int i = 0; i < priorities.length; i++) {
        int number = i;
        var call =
            ask(
                gateway,
                Calls.of(i)
                    .putParameters("priority", InferParameter.newBuilder().setInt64Param(priorities[i]).build()));
        call.addListener(() -> order.add(number), Runnable::run);
        await().until(() -> statistics(gateway, 1).pendingRequests() == number + 1);
      }
      for (int i = 0; i <= priorities.length; i++) {
        int done = i;
        runs.release();
        await().until(() -> order.size() >= done);
      }
      assertThat(Calls.y(running.get())).isEqualTo(201);
      assertThat(order).containsExactly(3, 1, 2, 0);
    }
  }

  // --- batches --------------------------------------------------------------------------------------------------------

  @Test
  void whatWaitsSharesRunsAndEveryCallerGetsItsOwnAnswer() throws Exception {
    try (RunningGateway gateway =
        start("max_batch_size: 4\ninstance_group { kind: KIND_CPU count: 1 }\ndynamic_batching { }\n")) {
      var running = occupy(gateway);
      var waiting = fillQueue(gateway, 7);
      runs.release(10);
      assertThat(Calls.y(running.get())).isEqualTo(201);
      for (int i = 0; i < waiting.size(); i++) {
        assertThat(Calls.y(waiting.get(i).get())).isEqualTo(2 * i + 1);
      }
      assertThat(batches).containsExactly(1L, 4L, 3L);
      Snapshot statistics = statistics(gateway, 1);
      assertThat(statistics.inferenceCount()).isEqualTo(8);
      assertThat(statistics.executionCount()).isEqualTo(3);
      assertThat(statistics.batches()).extracting(BatchSize::rows).containsExactly(1L, 3L, 4L);
      assertThat(statistics.queue().nanos()).isPositive();
    }
  }

  @Test
  void aRequestThatTheModelCannotComputeDoesNotFailThoseThatShareItsRun() throws Exception {
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    Files.writeString(
        models.resolve("m/config.pbtxt"),
        """
        max_batch_size: 8
        instance_group { kind: KIND_CPU count: 1 }
        dynamic_batching { preferred_batch_size: [ 3 ] max_queue_delay_microseconds: 1 }
        """);
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      holdRuns(1);
      var running = ask(gateway, Calls.of(0));
      await().until(() -> batches.size() == 1);
      float[] asked = {0.5f, 7, 0.25f};
      List<ListenableFuture<ModelInferResponse>> waiting = new ArrayList<>();
      for (float x : asked) {
        waiting.add(ask(gateway, Calls.of(x)));
      }
      await().until(() -> statistics(gateway, 1).pendingRequests() == asked.length);
      runs.release(10);

      assertThat(Calls.y(running.get())).isEqualTo(1);
      assertThat(Calls.y(waiting.get(0).get())).isEqualTo(2);
      assertThat(refusal(waiting.get(1)).code()).isEqualTo(Status.Code.INTERNAL);
      assertThat(Calls.y(waiting.get(2).get())).isEqualTo(1.5f);
      assertThat(batches).containsExactly(1L, 3L, 1L, 1L, 1L);
    }
  }

  @Test
  void underLoadEveryAnswerIsRightAndTheStatisticsAreWhatHappened() throws Exception {
    model().writeTo(models, Calls.MODEL, 1);
    Files.writeString(
        models.resolve("m/config.pbtxt"),
        """
        max_batch_size: 16
        instance_group { kind: KIND_CPU count: 2 }
        dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 500 }
        """);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      Traffic traffic = Traffic.start(gateway, 32, null, n -> Calls.of((int) (n % 1_000)).build(), r -> 2 * Calls.x(r) + 1);
      try (traffic) {
        traffic.awaitAnswers(5_000);
      }
      assertThat(traffic.failures()).isEmpty();
      Snapshot statistics = statistics(gateway, 1);
      System.out.printf(
          "FIGURE %d rows in %d runs: %s%n",
          statistics.inferenceCount(), statistics.executionCount(), statistics.batches());
      assertThat(statistics.pendingRequests()).isZero();
      assertThat(statistics.inferenceCount()).isEqualTo(traffic.answered());
      assertThat(statistics.request().count()).isEqualTo(traffic.answered());
      assertThat(statistics.failure().count()).isZero();
      assertThat(statistics.executionCount()).isLessThan(traffic.answered() / 2);
      assertThat(statistics.batches().stream().mapToLong(batch -> batch.rows() * batch.count()).sum())
          .isEqualTo(statistics.inferenceCount());
    }
  }

  // --- a candidate's queue --------------------------------------------------------------------------------------------

  @Test
  void aCandidateWhoseQueueIsFullOrWhoIsStoppedLeavesItsCallersToTheBaseline() throws Exception {
    model().writeTo(models, Calls.MODEL, 1);
    model().writeTo(models, Calls.MODEL, 2);
    Files.writeString(
        models.resolve("m/config.pbtxt"),
        """
        max_batch_size: 1
        version_policy { all { } }
        instance_group { kind: KIND_CPU count: 1 }
        dynamic_batching { default_queue_policy { max_queue_size: 1 } }
        """);
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(
          note(
              "busy",
              """
              steps:
                - canary: 100%
                  until: { observations: 1000000 }
              stopRules:
                - latency: { over: 1h, limit: 50% }
              fallback: { timeout: 1m }
              """));
      CountDownLatch held = new CountDownLatch(1);
      runtime.tamper(
          2,
          (real, inputs, outputs, control) -> {
            held.countDown();
            runs.acquireUninterruptibly();
            return real.run(inputs, outputs, control);
          });
      var running = ask(gateway, Calls.of(1));
      held.await();
      var waiting = ask(gateway, Calls.of(2));
      await().until(() -> statistics(gateway, 2).pendingRequests() == 1);

      ModelInferResponse third = gateway.inference().withDeadlineAfter(Duration.ofSeconds(30)).modelInfer(Calls.of(3).build());
      assertThat(Calls.fallback(third)).isEqualTo("saturated");
      assertThat(Calls.y(third)).isEqualTo(7);

      gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("busy").build());
      runs.release(2);
      assertThat(Calls.variant(running.get())).as("it was under way").isEqualTo("candidate");
      assertThat(Calls.fallback(waiting.get())).isEqualTo("stopped");
      assertThat(Calls.y(waiting.get())).isEqualTo(5);
      assertThat(statistics(gateway, 2).failure(FailureReason.REJECTED).count()).isOne();
      assertThat(statistics(gateway, 2).inferenceCount()).isOne();
    }
  }
}
