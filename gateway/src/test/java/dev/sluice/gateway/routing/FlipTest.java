package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// No candidate after the flip, through the whole routing layer and by its own account.
class FlipTest {

  private static final int THREADS = 8;
  private static final int FLIPS = 30;
  private static final int CALLS_AFTER = 300;

  /// The first rule of the note.
  private static final int ERROR_RATE = 0;

  @TempDir Path models;
  @TempDir Path data;

  @BeforeEach
  void aBaselineAndACandidateThatFailsFromOne() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linearThatFailsFromOne(2, 1, 1).writeTo(models, Calls.MODEL, 2);
  }

  /// Straight at the router, with nothing between the threads and the flip. What a thread asks after it has seen the flip
  /// must be answered by the baseline, whoever flipped.
  @Test
  void whatIsAskedAfterAFlipTheBaselineAnswers() throws Exception {
    LongAdder asked = new LongAdder();
    for (int flip = 0; flip < FLIPS; flip++) {
      try (Rig rig = new Rig(flip)) {
        ConcurrentLinkedQueue<Long> answersAfterFlip = new ConcurrentLinkedQueue<>();
        AtomicBoolean trouble = new AtomicBoolean();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        CountDownLatch warm = new CountDownLatch(THREADS * 20);
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
          threads.add(
              Thread.ofPlatform()
                  .start(
                      () -> {
                        int after = 0;
                        while (after < CALLS_AFTER && System.nanoTime() - end < 0) {
                          boolean flipped = rig.isFlipped();
                          long version = rig.ask(trouble.get() ? 5 : 0.5f);
                          asked.increment();
                          warm.countDown();
                          if (flipped) {
                            after++;
                            answersAfterFlip.add(version);
                          }
                        }
                      }));
        }
        assertThat(warm.await(30, TimeUnit.SECONDS)).isTrue();
        trouble.set(true);
        for (Thread thread : threads) {
          thread.join();
        }
        assertThat(answersAfterFlip).hasSize(THREADS * CALLS_AFTER).containsOnly(1L);
        assertThat(rig.candidateAnswers.sum()).isPositive();
        assertThat(rig.live.assignedAfterFlip()).isZero();
      }
    }
    System.out.printf("FIGURE %d flips under %d threads, %d calls, none misrouted%n", FLIPS, THREADS, asked.sum());
  }

  /// The counter that the last test trusts: a request that came in after the flip, and was given to the candidate by an
  /// exposure that forgot it, is counted.
  @Test
  void aCandidateThatIsAskedAfterTheFlipIsCounted() throws Exception {
    try (Rig rig = new Rig(0)) {
      assertThat(rig.ask(0.5f)).isEqualTo(2);
      for (int failed = 1; !rig.isFlipped(); failed++) {
        assertThat(rig.ask(5)).isEqualTo(1);
        // Callers are answered before their calls are evidence: one who asks at once may meet a breaker that has opened meanwhile.
        int weighed = failed;
        await().until(() -> rig.isFlipped() || rig.live.ledger().badOfAnyEpoch(ERROR_RATE) >= weighed);
      }
      assertThat(rig.ask(0.5f)).isEqualTo(1);
      assertThat(rig.live.assignedAfterFlip()).isZero();

      long flipped = rig.live.ledger().exposure();
      rig.live.ledger().initialize(1, Exposure.of(Exposure.epoch(flipped) + 1, Exposure.ALL, 0));
      assertThat(rig.ask(0.5f)).as("the flip was forgotten").isEqualTo(2);
      assertThat(rig.live.assignedAfterFlip()).isEqualTo(1);
    }
  }

  @Test
  void callersOverTheWireNeverMeetTheCandidateOnceTheyHaveSeenItStopped() throws Exception {
    TamperedRuntime runtime = new TamperedRuntime();
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("wire", CANARY));
      AtomicLong runsAfter = new AtomicLong();
      AtomicBoolean seenStopped = new AtomicBoolean();
      runtime.tamper(
          2,
          (_, _, _, _) -> {
            if (seenStopped.get()) {
              runsAfter.incrementAndGet();
            }
            throw new ModelExecutionException(ModelExecutionException.Kind.FAILED, "dead");
          });
      await()
          .until(
              () -> {
                var _ = gateway.inference().modelInfer(Calls.of(1).build());
                return gateway.rollout("wire").getState() == RolloutState.STOPPED;
              });
      seenStopped.set(true);
      for (int i = 0; i < 500; i++) {
        assertThat(gateway.inference().modelInfer(Calls.of(1).build()).getModelVersion()).isEqualTo("1");
      }
      assertThat(runsAfter).hasValue(0);
      assertThat(gateway.rollout("wire").getStop().getAssignedAfterFlip()).isZero();
    }
  }

  private static final String CANARY =
      """
      steps:
        - canary: 100%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 1% }
        - fallback-rate: { limit: 1% }
      fallback: { timeout: 30s }
      """;

  /// A router over real models, without a server and without a control plane.
  private final class Rig implements AutoCloseable {
    final LongAdder candidateAnswers = new LongAdder();
    final LiveRollout live;
    private final ModelRepository repository = ModelRepository.open(models, new OnnxRuntime());
    private final GatewayMetrics metrics = new GatewayMetrics();
    private final Lanes lanes = new Lanes();
    private final Routes routes = new Routes(repository, metrics);
    private final InferenceRouter router = new InferenceRouter(routes, lanes, null);

    Rig(int number) throws Exception {
      ModelVersion baseline = repository.load(Calls.MODEL, 1);
      ModelVersion candidate = repository.load(Calls.MODEL, 2);
      assertThat(candidate.signature().sameAs(baseline.signature())).isTrue();
      RolloutNote note = NoteReader.read(note("flip-" + number, CANARY));
      EvidenceLedger.Plan plan = note.plan(1);
      EvidenceLedger ledger = new EvidenceLedger(plan, LedgerWords.onHeap(plan.wordsNeeded()));
      ledger.initialize(1, Exposure.of(1, Exposure.ALL, 0));
      this.live =
          new LiveRollout(
              note, number, ledger, routes, lanes, metrics.rollout(note, ledger::segmentName),
              (_, flip) -> requireNonNull(flip));
      routes.begin(live);
    }

    boolean isFlipped() {
      return Exposure.isFlipped(live.ledger().exposure());
    }

    /// The version that answers.
    long ask(float x) {
      long started = System.nanoTime();
      CompletableFuture<Answer> answered = new CompletableFuture<>();
      try {
        router.infer(
            routes.find(Calls.MODEL, ""),
            new InferenceRequest(
                "",
                List.of(Tensors.floats("x", Shape.of(1, 1), x)),
                RequestMemory.none(),
                List.of("y"),
                0,
                0,
                _ -> null,
                new Unhurried(),
                started),
            new Responder() {
              @Override
              public void answer(Answer answer) {
                answered.complete(answer);
              }

              @Override
              public void fail(InferenceFailure failure) {
                answered.completeExceptionally(failure);
              }
            });
      } catch (InferenceFailure e) {
        throw new AssertionError(e);
      }
      Answer answer = answered.join();
      if (answer.variant() == Variant.CANDIDATE) {
        candidateAnswers.increment();
      }
      return answer.version();
    }

    @Override
    public void close() {
      routes.end(live);
      live.close();
      lanes.close();
      repository.close();
      metrics.close();
    }
  }

  /// A caller with all the time in the world.
  private record Unhurried() implements CallLifetime {
    @Override
    public long remainingNanos() {
      return Long.MAX_VALUE;
    }

    @Override
    public boolean isOver() {
      return false;
    }

    @Override
    public Registration onOver(Runnable action) {
      return () -> {};
    }
  }
}
