package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import io.grpc.StatusRuntimeException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.HdrHistogram.Histogram;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A shadow is seen by the stop rules and by nobody else.
class ShadowTest {

  private static final int WAITING_MAX = 256;

  @TempDir Path models;
  @TempDir Path data;

  private final TamperedRuntime runtime = new TamperedRuntime();

  @BeforeEach
  void aBaselineAndItsEqual() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
  }

  @Test
  void aCandidateThatThrowsInTheShadowIsStoppedForIt() throws Exception {
    assertStoppedInTheShadow(
        (_, _, _, _) -> {
          throw new IllegalStateException("a fault of the runtime");
        });
  }

  @Test
  void aCandidateWhoseShadowEndsInAnErrorOfTheMachineIsStoppedForIt() throws Exception {
    assertStoppedInTheShadow(
        (_, _, _, _) -> {
          throw new StackOverflowError("a fault of the machine");
        });
  }

  @Test
  void aCandidateThatAnswersOutOfShapeInTheShadowIsStoppedForIt() throws Exception {
    assertStoppedInTheShadow((_, _, _, _) -> List.of());
  }

  @Test
  void aCandidateThatAnswersTooFewBytesInTheShadowIsStoppedForIt() throws Exception {
    assertStoppedInTheShadow((_, _, _, _) -> List.of(Tensors.floats("y", Shape.of(1, 1))));
  }

  private void assertStoppedInTheShadow(TamperedRuntime.Run run) throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      gateway.create(note("shadowed", shadow("2s")));
      runtime.tamper(2, run);
      try (Traffic traffic =
          Traffic.start(gateway, 1, null, n -> Calls.of((int) (n % 9)).build(), r -> 2 * Calls.x(r) + 1)) {
        await()
            .atMost(Duration.ofSeconds(10))
            .until(() -> gateway.rollout("shadowed").getState() == RolloutState.STOPPED);
        assertThat(traffic.failures()).isEmpty();
      }
      assertThat(gateway.rollout("shadowed").getStop().getRule()).isEqualTo("error-rate");
    }
  }

  /// Side by side in one process, turn and turn about, so that whatever else the machine does meets both alike.
  @Test
  void aShadowThatHangsCostsLiveCallsNothing() throws Exception {
    Path folder = OnnxModels.slowLinear(2, 1, 1, Long.MAX_VALUE).writeTo(data.resolve("aside"), "endless", 1);
    AtomicInteger errors = new AtomicInteger();
    // Never closed: freeing it under a run, should an assertion fail, would take the whole process down.
    Session endless = new OnnxRuntime().load(folder, ModelSettings.defaults());
    try (RunningGateway gateway = RunningGateway.start(models, data, runtime)) {
      measure(gateway, 3_000, errors); // warm
      List<Histogram> without = new ArrayList<>();
      List<Histogram> with = new ArrayList<>();
      long dropped = 0;
      for (int round = 0; round < 4; round++) {
        boolean shadowFirst = round % 2 == 1; // A B, B A, A B, B A
        for (int half = 0; half < 2; half++) {
          if (shadowFirst == (half == 1)) {
            without.add(measure(gateway, 2_000, errors));
            continue;
          }
          String name = "hanging-" + round;
          gateway.create(note(name, shadow("1m")));
          runtime.tamper(2, (_, inputs, outputs, control) -> endless.run(inputs, outputs, control));
          with.add(measure(gateway, 2_000, errors));
          Rollout rollout = gateway.rollout(name);
          LiveRollout live = requireNonNull(gateway.gateway().routes().find(Calls.MODEL, "").rollout());
          assertThat(live.shadow().waiting()).isBetween(1, WAITING_MAX);
          assertThat(rollout.getShadowsDropped()).isGreaterThan(1_000);
          dropped += rollout.getShadowsDropped();
          gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName(name).build());
          await().atMost(Duration.ofSeconds(3)).until(() -> callsOfTheCandidate(gateway) == 0);
          runtime.leaveAlone(2);
        }
      }
      double p50Without = p50Micros(without);
      double p50With = p50Micros(with);
      System.out.printf(
          "FIGURE live p50 without a shadow %.0f us, beside a shadow that hangs %.0f us; %d copies dropped, %d errors%n",
          p50Without, p50With, dropped, errors.get());
      assertThat(errors).hasValue(0);
      assertThat(p50With / p50Without).isLessThan(1.5);
    }
  }

  private static long callsOfTheCandidate(RunningGateway gateway) {
    return gateway.models().listModels(ListModelsRequest.getDefaultInstance()).getVersions(1).getCallsInFlight();
  }

  private static Histogram measure(RunningGateway gateway, int calls, AtomicInteger errors) {
    Histogram nanos = new Histogram(3);
    for (int i = 0; i < calls; i++) {
      long start = System.nanoTime();
      try {
        var _ = gateway.inference().modelInfer(Calls.of(i % 10).build());
      } catch (StatusRuntimeException e) {
        errors.incrementAndGet();
      }
      nanos.recordValue(System.nanoTime() - start);
    }
    return nanos;
  }

  /// The median of the rounds' medians.
  private static double p50Micros(List<Histogram> rounds) {
    double[] medians = rounds.stream().mapToDouble(h -> h.getValueAtPercentile(50) / 1e3).sorted().toArray();
    return (medians[medians.length / 2 - 1] + medians[medians.length / 2]) / 2;
  }

  private static String shadow(String timeout) {
    return """
        compare: { y: { absolute: 0.001 } }
        steps:
          - shadow: 100%%
            until: { observations: 1000000 }
        stopRules:
          - error-rate: { limit: 1%% }
        fallback: { timeout: %s }
        """
        .formatted(timeout);
  }
}
