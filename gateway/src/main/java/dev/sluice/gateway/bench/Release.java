package dev.sluice.gateway.bench;

import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.GetRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutServiceGrpc;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceBlockingStub;
import dev.sluice.proto.control.v1.RolloutState;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.util.stream.Collectors;

/// The rollouts of a gateway under test: with everything on that a release has, and with a candidate so healthy that
/// nothing happens.
final class Release implements AutoCloseable {
  /// A tenth of the keys and a copy of every hundredth request; rules of every family.
  static final String CANARY = "{ canary: 10%, shadow: 1%, until: { observations: 1000000000, time: 24h } }";

  static final String SHADOW_OF_ALL = "{ shadow: 100%, until: { observations: 1000000000, time: 24h } }";

  private final ManagedChannel channel;
  private final RolloutServiceBlockingStub control;

  Release(int controlPort) {
    this.channel = Grpc.newChannelBuilder("127.0.0.1:" + controlPort, InsecureChannelCredentials.create()).build();
    this.control = RolloutServiceGrpc.newBlockingStub(channel);
  }

  void begin(BenchModel model, String step) {
    var _ = control.createRollout(CreateRolloutRequest.newBuilder().setNote(note(model, step)).setActor("bench").build());
  }

  /// What was measured with a rollout is worth nothing when it has ended meanwhile.
  void requireActive(BenchModel model) {
    Rollout rollout = control.getRollout(GetRolloutRequest.newBuilder().setName(name(model)).build());
    if (rollout.getState() != RolloutState.CANARY && rollout.getState() != RolloutState.SHADOW) {
      throw new BenchFailure("the rollout of '%s' is %s%s; expected it to run throughout".formatted(
          model.text(), rollout.getState(), rollout.hasStop() ? " by " + rollout.getStop().getRule() : ""));
    }
  }

  private static String name(BenchModel model) {
    return "bench-" + model.text();
  }

  private static String note(BenchModel model, String step) {
    String segments = Traffic.COUNTRIES.stream().map("country="::concat).collect(Collectors.joining(", "));
    boolean canary = step.contains("canary");
    return """
        rollout: %s
        model: %s
        owner: bench@example.com
        baseline: 1
        candidate: 2
        segments: [%s]
        compare: { y: { absolute: 0.01, relative: 0.01 } }
        steps: [%s]
        stopRules:
          - error-rate: { limit: 5%% }
          - disagreement-rate: { limit: 5%% }
          - latency: { over: 1s, limit: 5%% }
          - paired-errors: {}
          - max-failures: 100000
          - crash: {}
        %salpha: 0.001
        fallback: { deadlineShare: 50%%, timeout: 1s }
        blastRadius: { weight: 50%% }
        promotion: manual
        """.formatted(name(model), model.text(), segments, step, canary ? """
          - fallback-rate: { limit: 5% }
          - error-ratio: { margin: 2 }
          - latency-ratio: { margin: 8, quantiles: [50%, 90%] }
          - sample-ratio: {}
        """ : "");
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }
}
