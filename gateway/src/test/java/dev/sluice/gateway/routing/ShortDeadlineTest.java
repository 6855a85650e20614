package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.RuleEvidence;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Callers whose deadline no version could meet, and a release that must not suffer from them.
class ShortDeadlineTest {

  /// Some tens of milliseconds a run.
  private static final long TRIPS = 100_000;

  private static final String CANARY =
      """
      steps:
        - canary: 100%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 1% }
        - fallback-rate: { limit: 1% }
      """;

  @TempDir private Path models;
  @TempDir private Path data;

  @BeforeEach
  void twoVersionsThatAreTheSame() throws Exception {
    OnnxModels.slowLinear(2, 1, 1, TRIPS).writeTo(models, Calls.MODEL, 1);
    OnnxModels.slowLinear(2, 1, 1, TRIPS).writeTo(models, Calls.MODEL, 2);
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy: { specific: { versions: [1] } }\n");
  }

  @Test
  void aDeadlineThatNoVersionCanMeetIsNoEvidenceAgainstTheCandidate() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("hurried", CANARY));
      for (int call = 0; call < 30; call++) {
        int n = call;
        assertThatThrownBy(
                () -> {
                  var _ = gateway.inference().withDeadlineAfter(3, TimeUnit.MILLISECONDS).modelInfer(Calls.of(n).build());
                })
            .isInstanceOf(StatusRuntimeException.class)
            .satisfies(e -> assertThat(Status.fromThrowable(e).getCode()).isEqualTo(Status.Code.DEADLINE_EXCEEDED));
      }
      assertThat(Calls.variant(gateway.inference().modelInfer(Calls.of(1).build()))).isEqualTo("candidate");
      Rollout rollout = gateway.rollout("hurried");
      assertThat(rollout.getState()).isEqualTo(RolloutState.CANARY);
      assertThat(rollout.getRulesList()).extracting(RuleEvidence::getBad).containsOnly(0L);
    }
  }

  @Test
  void aDeadlineWithRoomForOneRunIsKeptByTheBaselineAlone() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("tight", CANARY));
      // On a busy machine the baseline may miss so tight a deadline as well; whoever answers, it is never the candidate.
      await()
          .ignoreException(StatusRuntimeException.class)
          .untilAsserted(() -> assertThat(Calls.variant(answerWithinTwoRuns(gateway))).isEqualTo("baseline"));
      assertThat(gateway.rollout("tight").getSegments(0).getCandidate().getAnswered()).isZero();
    }
  }

  private static ModelInferResponse answerWithinTwoRuns(RunningGateway gateway) throws InferenceFailure {
    long runNanos = gateway.gateway().routes().find(Calls.MODEL, "1").version().typicalRunNanos();
    return gateway
        .inference()
        .withDeadlineAfter(runNanos * 19 / 10, TimeUnit.NANOSECONDS)
        .modelInfer(Calls.of(1).build());
  }

  @Test
  void aVersionInARolloutIsNotReplaced() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("fixed", CANARY));
      for (long version = 1; version <= 2; version++) {
        LoadVersionRequest load = LoadVersionRequest.newBuilder().setModel(Calls.MODEL).setVersion(version).build();
        assertThatThrownBy(
                () -> {
                  var _ = gateway.models().loadVersion(load);
                })
            .isInstanceOf(StatusRuntimeException.class)
            .hasMessageContaining("FAILED_PRECONDITION")
            .hasMessageContaining("is in rollout 'fixed'");
      }
    }
  }
}
