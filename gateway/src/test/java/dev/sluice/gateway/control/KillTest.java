package dev.sluice.gateway.control;

import static dev.sluice.gateway.testing.Notes.note;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.gateway.store.SqliteStore;
import dev.sluice.gateway.store.Store;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.GatewayProcess;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.GetRolloutRequest;
import dev.sluice.proto.control.v1.PauseRolloutRequest;
import dev.sluice.proto.control.v1.ResumeRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.SetWeightRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.rollout.Stage;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A gateway is killed at random moments, under callers and commands and rules that fire, and started again where it left off.
///
/// Every rollout tries a version of its own, so that the number in an answer tells for ever whether a stopped candidate gave it.
class KillTest {

  /// The word of a ledger file that says who is exposed to the candidate.
  private static final int EXPOSURE_AT = 16 * Long.BYTES;

  @TempDir Path models;
  @TempDir Path data;

  /// Candidates that anybody may know to be stopped: told by the gateway, or seen in the ledger's file.
  private final Set<String> stopped = ConcurrentHashMap.newKeySet();

  /// Acknowledged revisions of rollouts.
  private final TreeMap<Long, String> acknowledged = new TreeMap<>();

  private final ConcurrentLinkedQueue<String> wrong = new ConcurrentLinkedQueue<>();
  private final LongAdder answers = new LongAdder();
  private final LongAdder candidateAnswers = new LongAdder();

  /// The newest rollout as the killed process left it.
  private @Nullable StoredRollout left;

  private volatile int rollouts;
  private int goneOn;
  private int foundFlipped;

  @Test
  void whatWasDecidedSurvivesFiveKills() throws Exception {
    surviveKills(5);
  }

  @Test
  @Tag("long")
  void whatWasDecidedSurvivesTwentyKills() throws Exception {
    surviveKills(20);
  }

  private void surviveKills(int kills) throws Exception {
    long seed = System.nanoTime();
    System.out.println("KillTest seed " + seed);
    Random random = new Random(seed);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy: { specific { versions: [1] } }\n");
    for (int kill = 1; kill <= kills; kill++) {
      String when = "seed %d, kill %d".formatted(seed, kill);
      try (GatewayProcess gateway = GatewayProcess.start(models, data)) {
        work(gateway, random, kill % 2 == 0, when);
      }
      examine(when);
    }
    try (GatewayProcess gateway = GatewayProcess.start(models, data)) {
      assertGoesOn(gateway, "seed %d, at the end".formatted(seed));
    }
    System.out.printf(
        "FIGURE %d kills: %d answers, %d by candidates; %d rollouts, %d went on after a kill, %d flips found at start%n",
        kills, answers.sum(), candidateAnswers.sum(), rollouts, goneOn, foundFlipped);
    assertThat(candidateAnswers.sum()).as("seed %d", seed).isPositive();
  }

  /// Callers call and an owner commands until the process is killed in the middle of it.
  ///
  /// @param atAFlip as soon as a stop rule's flip shows in the ledger's file, most likely before it is written down
  private void work(GatewayProcess gateway, Random random, boolean atAFlip, String when) throws Exception {
    assertGoesOn(gateway, when);
    KilledFlag killed = new KilledFlag();
    List<Thread> callers = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      callers.add(Thread.ofVirtual().start(() -> call(gateway, killed)));
    }
    Random commands = new Random(random.nextLong());
    Thread owner = Thread.ofVirtual().start(() -> command(gateway, commands, killed));
    long enough = answers.sum() + random.nextInt(3_000);
    long patience = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while ((answers.sum() < enough || rollouts == 0) && System.nanoTime() - patience < 0) {
      LockSupport.parkNanos(1_000_000);
    }
    if (atAFlip) {
      awaitFlip(patience);
    } else {
      long killAt = System.nanoTime() + random.nextLong(3_000_000);
      while (System.nanoTime() - killAt < 0) {
        Thread.onSpinWait(); // at a moment of its own, in the middle of whatever goes on
      }
    }
    killed.flag = true;
    gateway.kill();
    for (Thread caller : callers) {
      caller.join();
    }
    owner.join();
    assertThat(wrong).as(when).isEmpty();
  }

  private void awaitFlip(long patience) throws IOException {
    while (System.nanoTime() - patience < 0) {
      int watched = rollouts;
      Path file = data.resolve("ledgers/r-" + watched + ".ledger");
      try (FileChannel channel = FileChannel.open(file)) {
        ByteBuffer ledger = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()).order(ByteOrder.nativeOrder());
        boolean before = Exposure.isFlipped(ledger.getLong(EXPOSURE_AT));
        while (rollouts == watched && System.nanoTime() - patience < 0) {
          if (!before && Exposure.isFlipped(ledger.getLong(EXPOSURE_AT))) {
            return;
          }
          LockSupport.parkNanos(50_000);
        }
      }
    }
  }

  private static final class KilledFlag {
    volatile boolean flag;
  }

  private void call(GatewayProcess gateway, KilledFlag killed) {
    for (int i = 0; !killed.flag; i++) {
      Set<String> stoppedBefore = Set.copyOf(stopped);
      try {
        ModelInferResponse response = gateway.inference().modelInfer(Calls.of(i % 10, "user-" + i % 300).build());
        answers.increment();
        if (!response.getModelVersion().equals("1")) {
          candidateAnswers.increment();
        }
        if (stoppedBefore.contains(response.getModelVersion())) {
          wrong.add("answered by version %s, stopped before the call".formatted(response.getModelVersion()));
        }
      } catch (StatusRuntimeException e) {
        if (!killed.flag) {
          wrong.add(e.getStatus().toString());
        }
      }
    }
  }

  private void command(GatewayProcess gateway, Random random, KilledFlag killed) {
    try {
      while (!killed.flag) {
        Rollout rollout = rollouts == 0 ? create(gateway) : look(gateway);
        if (rollout.getState() == RolloutState.STOPPED) {
          stopped.add(Long.toString(rollout.getCandidateVersion()));
          rollout = create(gateway);
        }
        acknowledge(
            switch (random.nextInt(3)) {
              case 0 ->
                  gateway
                      .rollouts()
                      .setWeight(
                          SetWeightRequest.newBuilder()
                              .setName(rollout.getName())
                              .setWeightBasisPoints(random.nextInt(10_001))
                              .build());
              case 1 ->
                  gateway.rollouts().pauseRollout(PauseRolloutRequest.newBuilder().setName(rollout.getName()).build());
              default ->
                  gateway
                      .rollouts()
                      .resumeRollout(ResumeRolloutRequest.newBuilder().setName(rollout.getName()).build());
            });
      }
    } catch (StatusRuntimeException e) {
      // Killed meanwhile, or the rollout has ended between looking and commanding, or was flipped and that is being written down.
      String said = e.getStatus().getDescription();
      if (!killed.flag && said != null && !said.contains("has ended") && !said.contains("has just been flipped")) {
        wrong.add(e.getStatus().toString());
      }
      if (!killed.flag) {
        command(gateway, random, killed);
      }
    } catch (IOException e) {
      wrong.add(e.toString());
    }
  }

  private Rollout look(GatewayProcess gateway) {
    return gateway.rollouts().getRollout(GetRolloutRequest.newBuilder().setName("r-" + rollouts).build());
  }

  /// Its candidate disagrees now and then: some shadow out of hundreds of calls trips the rule.
  private Rollout create(GatewayProcess gateway) throws IOException {
    int number = rollouts + 1;
    OnnxModels.linear(2, 1.5f, 1).writeTo(models, Calls.MODEL, number + 1);
    Rollout created =
        gateway
            .rollouts()
            .createRollout(
                CreateRolloutRequest.newBuilder()
                    .setNote(
                        note(
                                "r-" + number,
                                """
                                compare: { y: { absolute: 0.1 } }
                                steps:
                                  - canary: 30%
                                    shadow: 0.5%
                                    until: { observations: 100000000 }
                                stopRules:
                                  - error-rate: { limit: 50% }
                                  - disagreement-rate: { limit: 30% }
                                blastRadius: { weight: 100% }
                                """)
                            .replace("candidate: 2", "candidate: " + (number + 1)))
                    .build());
    rollouts = number;
    acknowledge(created);
    return created;
  }

  private void acknowledge(Rollout rollout) {
    acknowledged.put(rollout.getRevision(), rollout.getName());
  }

  /// While nobody runs: the history is whole, and holds all that was acknowledged.
  private void examine(String when) throws Exception {
    try (SqliteStore store = SqliteStore.open(data.resolve("sluice.db"))) {
      store.verify();
      List<AuditEvent> events = store.events(null, 0, Store.EVENTS_MAX);
      for (int i = 0; i < events.size(); i++) {
        assertThat(events.get(i).revision()).as(when).isEqualTo(i + 1L);
      }
      acknowledged.forEach(
          (revision, name) -> assertThat(events.get((int) (revision - 1)).rollout()).as(when).isEqualTo(name));
      // A create that was written down but not acknowledged.
      rollouts = store.rollouts().size();
      for (StoredRollout rollout : store.rollouts()) {
        left = rollout;
        if (rollout.state().stage().isEnded() || flipped(rollout)) {
          stopped.add(candidateOf(rollout.name()));
        }
      }
    }
  }

  private boolean flipped(StoredRollout rollout) throws Exception {
    return Exposure.isFlipped(exposure(rollout));
  }

  private long exposure(StoredRollout rollout) throws Exception {
    byte[] bytes = Files.readAllBytes(data.resolve("ledgers").resolve(rollout.name() + ".ledger"));
    return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getLong(EXPOSURE_AT);
  }

  private static String candidateOf(String rollout) {
    return Integer.toString(Integer.parseInt(rollout.substring(2)) + 1);
  }

  /// What history says is what the gateway says, and what its callers meet.
  private void assertGoesOn(GatewayProcess gateway, String when) throws Exception {
    if (rollouts == 0) {
      return;
    }
    Rollout last = look(gateway);
    if (stopped.contains(Long.toString(last.getCandidateVersion()))) {
      assertThat(last.getState()).as(when).isEqualTo(RolloutState.STOPPED);
      if (last.getReason().contains("found at start")) {
        foundFlipped++;
        assertThat(last.getStop().getRule()).as(when).isEqualTo("disagreement-rate");
      }
    } else {
      goneOn++;
      assertThat(last.getState()).as("%s: %s", when, last.getReason()).isIn(RolloutState.CANARY, RolloutState.PAUSED);
      StoredRollout before = requireNonNull(left);
      assertThat(last.getRevision()).as(when).isEqualTo(before.revision());
      assertThat(last.getWeightBasisPoints()).as(when).isEqualTo(before.state().weightBasisPoints());
      assertThat(last.getEpoch()).as(when).isEqualTo(before.state().epoch());
      assertThat(last.getState() == RolloutState.PAUSED).as(when).isEqualTo(before.state().stage() instanceof Stage.Paused);
    }
    for (int i = 0; i < 50; i++) {
      assertThat(stopped)
          .as(when)
          .doesNotContain(gateway.inference().modelInfer(Calls.of(1, "user-" + i).build()).getModelVersion());
    }
  }
}
