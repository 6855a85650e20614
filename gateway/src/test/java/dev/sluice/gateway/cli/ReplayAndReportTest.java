package dev.sluice.gateway.cli;

import static dev.sluice.gateway.cli.Typed.sluice;
import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.GetReportRequest;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.ReplayRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutReport;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.runtime.testing.OnnxModels;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What is left of a rollout: its decision can be reached again, and its report be had, from a running gateway, from the next one
/// and from the files alone.
class ReplayAndReportTest {

  private static final String SHADOWED =
      """
      segments: [country=DE, country=JP]
      compare: { y: { absolute: 0.1 } }
      repeat: 50%
      steps:
        - shadow: 100%
          until: { observations: 1000000 }
      stopRules:
        - paired-errors: {}
        - score-difference: { limit: 5% }
        - disagreement-over-noise: {}
      successMetrics: [<script>alert(1)</script>]
      """;

  @TempDir Path models;
  @TempDir Path data;

  @BeforeEach
  void aCandidateThatIsOff() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1.5f, 1).writeTo(models, Calls.MODEL, 2);
  }

  @Test
  void aDecisionIsReachedAgainByTheGatewayByTheNextOneAndFromTheFilesAlone() throws Exception {
    Replay first;
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      Rollout stopped = stopped(gateway);
      first = replay(gateway);
      assertThat(first.getIdentical()).isTrue();
      assertThat(first.getNow()).isEqualTo(first.getThen()).isEqualTo(first.getWritten());
      assertThat(first.getNow().getEvidenceBits())
          .isEqualTo(stopped.getStop().getEvidenceBits())
          .isEqualTo("%016x".formatted(Double.doubleToRawLongBits(stopped.getStop().getEvidence())));
      assertThat(first.getNow().getLine()).isEqualTo(first.getFirstLine() + first.getLines() - 1);
      assertThat(first.getWeightsCompared()).isPositive();

      Typed inUse = sluice("rollout", "replay", "off", "--data", data.toString());
      assertThat(inUse.exitCode()).isEqualTo(Failures.UNREACHABLE);
      assertThat(inUse.err()).contains("is in use by");
    }
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      Replay again = replay(gateway);
      assertThat(again.getIdentical()).isTrue();
      assertThat(again.getNow()).isEqualTo(first.getNow());
      Rollout rollout = gateway.rollout("off");
      assertThat(rollout.getRulesList()).as("kept").isNotEmpty();
      assertThat(rollout.getStop().getAlphaShare()).isPositive();
    }
    Typed offline = sluice("rollout", "replay", "off", "--data", data.toString());
    assertThat(offline.exitCode()).as(offline.err()).isZero();
    assertThat(offline.out()).contains("Identical, to the last bit.", first.getNow().getEvidenceBits());
  }

  @Test
  void aLedgerThatWasTamperedWithDamagedOrLostIsTold() throws Exception {
    Replay replay;
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      var _ = stopped(gateway);
      replay = replay(gateway);
    }
    Path ledger = data.resolve("ledgers/off.ledger");
    byte[] sound = Files.readAllBytes(ledger);

    // The verdict's evidence, one bit of it, in the ledger's own memory.
    write(ledger, 36 * Long.BYTES, Double.doubleToRawLongBits(replay.getNow().getEvidence()) ^ 1);
    Typed other = sluice("rollout", "replay", "off", "--data", data.toString());
    assertThat(other.exitCode()).isEqualTo(Failures.FAILED);
    assertThat(other.out()).contains("NOT identical.");

    // The tripping line's number: it was never written, or written over.
    Files.write(ledger, sound);
    int lineBytes = 16 * Long.BYTES;
    long logAt = sound.length - 4_096L * lineBytes;
    write(ledger, (int) (logAt + replay.getNow().getLine() % 4_096 * lineBytes), 0);
    refused("line %d of the log is damaged".formatted(replay.getNow().getLine()));

    Files.write(ledger, java.util.Arrays.copyOf(sound, sound.length - 8));
    refused("bytes; the ledger of rollout 'off' has");

    Files.write(ledger, sound);
    write(ledger, 0, 4711);
    refused("belongs to another rollout, to another Sluice, or is damaged");

    Files.delete(ledger);
    refused("its evidence ledger is missing");
    Typed report = sluice("rollout", "report", "off", "--data", data.toString());
    assertThat(report.exitCode()).isZero();
    assertThat(report.out()).contains("its evidence ledger is missing");
  }

  private void refused(String why) {
    Typed typed = sluice("rollout", "replay", "off", "--data", data.toString());
    assertThat(typed.exitCode()).as(typed.err()).isEqualTo(Failures.REFUSED);
    assertThat(typed.err()).contains("rollout 'off' cannot be replayed: ").contains(why);
  }

  @Test
  void aReportHasItsCourseAndDistributionsAlsoAfterARestart() throws Exception {
    RolloutReport before;
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      var _ = stopped(gateway);
      before = report(gateway);
      assertThat(before.getReplay().getIdentical()).isTrue();
      assertThat(before.getCourse().getPointsCount()).isBetween(1, 240);
      assertThat(before.getCourse().getTracksList())
          .anySatisfy(
              track -> {
                assertThat(track.getRule()).isEqualTo(before.getRollout().getStop().getRule());
                double last = track.getEvidence(track.getEvidenceCount() - 1);
                assertThat(track.getAlphaShare() * last).isGreaterThan(100);
              });
      assertThat(before.getRollout().getBaselineExposed().getRequests()).isPositive();
      assertThat(before.getRollout().getCandidateExposed().getRequests()).as("nobody was exposed").isZero();
      assertThat(before.getRollout().getCandidateExposed().getCopies()).isPositive();
      assertThat(before.getRollout().getSegments(0).getBaseline().getLatencyMicros().getBarsCount()).isEqualTo(48);
    }
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      RolloutReport after = report(gateway);
      assertThat(after.getCourse()).isEqualTo(before.getCourse());
      assertThat(after.getEventsList()).isEqualTo(before.getEventsList());
      assertThat(after.getRollout().getRulesList()).isNotEmpty();
      assertThat(after.getRollout().getSegments(0).getCompared()).isPositive();
    }
    Path page = data.resolve("off.html");
    assertThat(sluice("rollout", "report", "off", "--data", data.toString(), "-f", page.toString()).exitCode()).isZero();
    String html = Files.readString(page);
    assertThat(html).contains("<svg", "stops at", "Replayed from its log: identical", "Audit trail");
    assertThat(html).as("what a note says is text").doesNotContain("<script").contains("&lt;script&gt;");
    assertThat(html).as("nothing is fetched").doesNotContain("http://", "https://", "src=", "@import", "url(");
    Typed markdown = sluice("rollout", "report", "off", "--data", data.toString(), "--format", "md");
    assertThat(markdown.out()).startsWith("# Rollout off: m 1 → 2\n").contains("## Evidence over time", "## Audit trail");
  }

  @Test
  void whatCannotBeLookedAtIsRefusedByName() {
    Typed nothing = sluice("rollout", "replay", "off", "--data", data.toString());
    assertThat(nothing.exitCode()).isEqualTo(Failures.USAGE);
    assertThat(nothing.err()).contains("sluice.db: there is no such file");
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private static Rollout stopped(RunningGateway gateway) {
    gateway.create(note("off", SHADOWED));
    try (Traffic traffic = Traffic.start(gateway, 2, null, n -> Calls.of((int) (n % 7)).build(), _ -> Double.NaN)) {
      await().atMost(Duration.ofSeconds(20)).until(() -> gateway.rollout("off").getState() == RolloutState.STOPPED);
      assertThat(traffic.failures()).isEmpty();
    }
    return gateway.rollout("off");
  }

  private static Replay replay(RunningGateway gateway) {
    return gateway.rollouts().replayRollout(ReplayRolloutRequest.newBuilder().setName("off").build());
  }

  private static RolloutReport report(RunningGateway gateway) {
    return gateway.rollouts().getReport(GetReportRequest.newBuilder().setName("off").build());
  }

  private static void write(Path file, int at, long word) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.nativeOrder()).putLong(word).flip();
      var _ = channel.write(bytes, at);
    }
  }
}
