package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A quick candidate runs where its requests arrive, and one that turns slow does so no longer.
class CandidateInlineTest {

  private static final String QUEUE_THREAD = "sluice-model-";

  /// Runs on a busy machine are late now and then, which takes the candidate back to its queue: its next proof is longer.
  private static final int CALLS_MAX = 50 * InlineTrust.PROOF_MIN;

  @TempDir Path models;
  @TempDir Path data;

  private final TamperedRuntime runtime = new TamperedRuntime();
  private final Queue<String> candidateThreads = new ConcurrentLinkedQueue<>();
  private final Queue<String> baselineThreads = new ConcurrentLinkedQueue<>();

  @BeforeEach
  void twins() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
  }

  @Test
  void aQuickCandidateBeginsInItsQueueAndThenRunsWhereItsRequestsArrive() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("quick", canary(100, "latency: { over: 1h, limit: 50% }", "1s")));
      watchThreads();
      askUntilInline(gateway, candidateThreads);
      assertThat(candidateThreads.stream().limit(InlineTrust.PROOF_MIN - 1))
          .allMatch(thread -> thread.startsWith(QUEUE_THREAD));
    }
  }

  @Test
  void aCandidateThatBeginsToHangHoldsTheThreadOfItsRequestsOnce() throws Exception {
    Session endless = endless();
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("hanging", canary(100, "latency: { over: 1h, limit: 50% }", "100ms")));
      watchThreads();
      askUntilInline(gateway, candidateThreads);
      List<String> hung = new ArrayList<>();
      runtime.tamper(
          2,
          (_, inputs, outputs, control) -> {
            synchronized (hung) {
              hung.add(Thread.currentThread().getName());
            }
            return endless.run(inputs, outputs, control);
          });
      List<String> fallbacks = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        ModelInferResponse response = gateway.inference().modelInfer(Calls.of(1).build());
        assertThat(Calls.y(response)).isEqualTo(3);
        fallbacks.add(Calls.fallback(response));
      }
      assertThat(fallbacks).first().isEqualTo("late");
      assertThat(fallbacks).containsOnly("late", "circuit_open");
      synchronized (hung) {
        assertThat(hung).hasSizeGreaterThan(2);
        assertThat(hung).filteredOn(thread -> !thread.startsWith(QUEUE_THREAD)).hasSizeLessThanOrEqualTo(1);
      }
    }
  }

  @Test
  void aCallerWhoseTimeIsTooShortForAHangingCandidateIsServedFromTheQueue() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("short", canary(100, "latency: { over: 1h, limit: 50% }", "39ms")));
      watchThreads();
      for (int i = 0; i < 3 * InlineTrust.PROOF_MIN; i++) {
        assertThat(Calls.y(gateway.inference().modelInfer(Calls.of(1).build()))).isEqualTo(3);
      }
      assertThat(candidateThreads).isNotEmpty().allMatch(thread -> thread.startsWith(QUEUE_THREAD));
    }
  }

  @Test
  void whereLiveCallsAreComparedTheBaselineRunsWhereTheCandidateDoes() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("compared", canary(50, "error-ratio: { margin: 1.5 }", "1s")));
      watchThreads();
      while (candidateThreads.size() < InlineTrust.PROOF_MIN / 2) {
        ask(gateway, baselineThreads.size() + candidateThreads.size());
      }
      assertThat(baselineThreads).as("as long as the candidate has to").isNotEmpty().allMatch(t -> t.startsWith(QUEUE_THREAD));
      askUntilInline(gateway, candidateThreads);
      askUntilInline(gateway, baselineThreads);
    }
  }

  private void askUntilInline(RunningGateway gateway, Queue<String> threads) {
    for (int i = 0; i < CALLS_MAX && threads.stream().allMatch(thread -> thread.startsWith(QUEUE_THREAD)); i++) {
      ask(gateway, i);
    }
    assertThat(threads).as("threads of runs").anyMatch(thread -> !thread.startsWith(QUEUE_THREAD));
  }

  private static void ask(RunningGateway gateway, int number) {
    assertThat(Calls.y(gateway.inference().modelInfer(Calls.of(1, "u" + number).build()))).isEqualTo(3);
  }

  /// Both answer at once, however busy the machine is: a run that takes long is not what this is about.
  private void watchThreads() {
    List<Tensor> answer = List.of(Tensors.floats("y", Shape.of(1, 1), 3));
    runtime.tamper(
        1,
        (_, _, _, _) -> {
          baselineThreads.add(Thread.currentThread().getName());
          return answer;
        });
    runtime.tamper(
        2,
        (_, _, _, _) -> {
          candidateThreads.add(Thread.currentThread().getName());
          return answer;
        });
  }

  private static String canary(int percent, String rule, String timeout) {
    return """
        steps:
          - canary: %d%%
            until: { observations: 1000000 }
        stopRules:
          - %s
        fallback: { timeout: %s }
        """
        .formatted(percent, rule, timeout);
  }

  /// ONNX Runtime in a loop that has no end until it is told to stop. Never closed: freeing it under a run, should an
  /// assertion fail, would take the whole process down.
  private Session endless() throws Exception {
    Path folder = OnnxModels.slowLinear(2, 1, 1, Long.MAX_VALUE).writeTo(data.resolve("aside"), "endless", 1);
    return new OnnxRuntime().load(folder, ModelSettings.defaults());
  }
}
