package dev.sluice.gateway.cli;

import static dev.sluice.gateway.cli.Typed.sluice;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.util.JsonFormat;
import dev.sluice.gateway.cli.picture.RolloutPicture;
import dev.sluice.gateway.cli.picture.Rollouts;
import dev.sluice.gateway.cli.picture.Terminal;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.PauseRolloutRequest;
import dev.sluice.proto.control.v1.PromoteRolloutRequest;
import dev.sluice.proto.control.v1.RemoveLabelRequest;
import dev.sluice.proto.control.v1.ResumeRolloutRequest;
import dev.sluice.proto.control.v1.SetLabelRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.SetWeightRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class RolloutCommandTest {
  private final CannedServer server = new CannedServer();

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void getDrawsThePictureWithoutEscapesWhereNobodyWatches() {
    Typed typed = sluice(server, "rollout", "get", "fraud-v2");

    assertThat(typed.exitCode()).isZero();
    assertThat(typed.lines()).isEqualTo(new RolloutPicture(100, false).lines(Rollouts.canary()));
    assertThat(typed.err()).isEmpty();
  }

  @Test
  void getUsesTheWidthAndColourOfTheTerminal() {
    Typed typed = sluice(
        new Terminal(true, true, 80, 30), "rollout", "get", "fraud-v2", "--server", server.address());

    assertThat(typed.lines()).isEqualTo(new RolloutPicture(80, true).lines(Rollouts.canary()));
  }

  @Test
  void jsonIsTheMessageItself() throws IOException {
    Typed typed = sluice(server, "rollout", "get", "fraud-v2", "-o", "json");

    Rollout.Builder read = Rollout.newBuilder();
    JsonFormat.parser().merge(typed.out(), read);
    assertThat(read.build()).isEqualTo(Rollouts.canary());
  }

  @Test
  void optionsMayStandBeforeTheCommandToo() {
    Typed typed = sluice("rollout", "-o", "json", "--server", server.address(), "get", "fraud-v2");

    assertThat(typed.exitCode()).isZero();
    assertThat(typed.out()).startsWith("{");
  }

  @Test
  void listIsATable() {
    assertThat(sluice(server, "rollout", "list").lines()).containsExactly(
        "NAME      MODEL  VERSIONS  STATE   STEP  WEIGHT  REVISION  UPDATED               REASON",
        "fraud-v2  fraud  1 → 2     CANARY  2/4   20 %    12        2026-11-20T09:30:00Z"
            + "  step 2 began after 10,000 requests");
  }

  @Test
  void createSendsTheNoteAsItIs(@TempDir Path folder) throws IOException {
    Path note = Files.writeString(folder.resolve("note.yaml"), "model: fraud # Größe\n");

    Typed typed = sluice(server, "rollout", "create", "-f", note.toString(), "--validate-only", "--actor", "ada");

    assertThat(typed.exitCode()).isZero();
    assertThat(typed.err().lines()).containsExactly("sluice: " + note + " is valid; nothing was changed");
    assertThat(server.lastRequest()).isEqualTo(
        CreateRolloutRequest.newBuilder()
            .setNote("model: fraud # Größe\n")
            .setValidateOnly(true)
            .setActor("ada")
            .build());
  }

  @Test
  void aChangeCarriesItsActorReasonAndExpectedRevision() {
    String[] why = {"r", "--reason", "looks good", "--actor", "mia"};
    String[] whySeen = {"r", "--reason", "looks good", "--actor", "mia", "--expected-revision", "12"};

    assertThat(asked(
            "set-weight", "r", "0.5%", "--reason", "looks good", "--actor", "mia", "--expected-revision", "12"))
        .isEqualTo(SetWeightRequest.newBuilder().setName("r").setWeightBasisPoints(50)
            .setReason("looks good").setActor("mia").setExpectedRevision(12).build());
    assertThat(asked("pause", whySeen)).isEqualTo(PauseRolloutRequest.newBuilder()
        .setName("r").setReason("looks good").setActor("mia").setExpectedRevision(12).build());
    assertThat(asked("resume", whySeen)).isEqualTo(ResumeRolloutRequest.newBuilder()
        .setName("r").setReason("looks good").setActor("mia").setExpectedRevision(12).build());
    assertThat(asked("promote", whySeen)).isEqualTo(PromoteRolloutRequest.newBuilder()
        .setName("r").setReason("looks good").setActor("mia").setExpectedRevision(12).build());
    assertThat(asked("abort", why)).isEqualTo(AbortRolloutRequest.newBuilder()
        .setName("r").setReason("looks good").setActor("mia").build());
  }

  @Test
  void theActorIsTheUserOfTheMachineUnlessSaid() {
    assertThat(asked("abort", "r")).isEqualTo(
        AbortRolloutRequest.newBuilder().setName("r").setActor(System.getProperty("user.name")).build());
  }

  @Test
  void watchFollowsUntilTheRolloutHasEnded() {
    server.changes = List.of(Rollouts.canary(), Rollouts.stopped());

    Typed typed = sluice(server, "rollout", "watch", "fraud-v2");

    assertThat(typed.exitCode()).isZero();
    assertThat(typed.lines()).hasSize(2).first().asString().contains("CANARY");
    assertThat(typed.lines()).last().asString().contains("STOPPED");
  }

  @Test
  void watchRedrawsInPlaceOnATerminal() {
    server.changes = List.of(Rollouts.canary(), Rollouts.stopped());

    Typed typed = sluice(
        new Terminal(true, false, 100, 40), "rollout", "watch", "fraud-v2", "--server", server.address());

    assertThat(typed.out()).containsPattern("\u001b\\[\\d+A\rfraud-v2  fraud 1 → 2  STOPPED");
  }

  @Test
  void watchInJsonIsOneMessagePerLine() throws IOException {
    server.changes = List.of(Rollouts.canary(), Rollouts.stopped());

    Typed typed = sluice(server, "rollout", "watch", "fraud-v2", "-o", "json");

    assertThat(typed.lines()).hasSize(2);
    Rollout.Builder last = Rollout.newBuilder();
    JsonFormat.parser().merge(typed.lines().getLast(), last);
    assertThat(last.build()).isEqualTo(Rollouts.stopped());
  }

  @Test
  void historyPrintsTheAuditTrail() {
    Typed typed = sluice(server, "rollout", "history", "fraud-v2", "--after", "3");

    assertThat(typed.lines()).containsExactly(
        "REVISION  TIME                  ROLLOUT   KIND     ACTOR  HASH          REASON",
        "1         2026-11-20T09:30:00Z  fraud-v2  created  mia    0123456789ab  new features");
    assertThat(server.lastRequest())
        .isEqualTo(ListEventsRequest.newBuilder().setRollout("fraud-v2").setAfterRevision(3).build());
  }

  @Test
  void explainTellsWhyAStoppedRolloutStopped() {
    server.rollout = Rollouts.stopped();

    assertThat(sluice(server, "rollout", "explain", "fraud-v2").lines()).containsExactly(
        "fraud-v2 (fraud 1 → 2) was STOPPED by a rule: version 1 answers everything.",
        "disagreement-rate in country=JP: 5 of the first 21 compared requests disagreed;"
            + " the rule fires when the 5th comes within the first 39.",
        "No other rule had come a tenth of its way.",
        "The flip came 1.8µs after that observation (request req-7);"
            + " requests assigned to the candidate after it: 0.",
        "Reason: disagreement-rate fired in country=JP");
  }

  @Test
  void explainTellsWhatARunningRolloutWaitsForAndHowFarItsRulesAre() {
    assertThat(sluice(server, "rollout", "explain", "fraud-v2").lines()).containsExactly(
        "fraud-v2 (fraud 1 → 2) is in CANARY, step 2 of 4: version 2 answers 20 % of the keys.",
        "Reason: step 2 began after 10,000 requests",
        "It waits for: 1,200 more requests in country=JP",
        "A healthy candidate is stopped with probability at most 0.001. The stop rules, nearest first:",
        "  disagreement-rate in country=JP (limit 0.02): 4 of 60 compared requests disagreed;"
            + " evidence 178, fires at 4,000.",
        "  failure-rate overall (limit 0.01): 3 of 20,000 requests failed;"
            + " evidence 0.0002, fires at 4,000.");
  }

  @Test
  void explainTellsWhyAnswersDisagreed() {
    Rollout.Builder rollout = Rollouts.canary().toBuilder();
    rollout.getSegmentsBuilder(0)
        .setCompared(2_000).setDisagreed(1_234)
        .putDisagreementsByCause("not_a_number", 30).putDisagreementsByCause("distance", 1_203)
        .putDisagreementsByCause("something_new", 1);

    assertThat(Explanation.of(rollout.build()))
        .contains(
            "Of 2,000 compared requests, 1,234 disagreed: too far apart 1,203, not a number on one side 30, something_new 1.");
  }

  @Test
  void explainSaysWhenOneMoreBadRequestWouldStopTheRollout() {
    Rollout.Builder near = Rollouts.canary().toBuilder();
    near.getRulesBuilder(1).setDispatched(38);

    assertThat(Explanation.of(near.build()))
        .anyMatch(sentence -> sentence.contains("; one more within the first 39 fires the rule; "));
  }

  @ParameterizedTest
  @EnumSource(value = RolloutState.class, names = "UNRECOGNIZED", mode = EnumSource.Mode.EXCLUDE)
  void explainKnowsEveryState(RolloutState state) {
    Rollout rollout = Rollouts.canary().toBuilder().setState(state).build();

    assertThat(Explanation.of(rollout).getFirst()).startsWith("fraud-v2 (fraud 1 → 2) ").endsWith(".");
  }

  @ParameterizedTest
  @CsvSource({"10%, 1000", "0.5%, 50", "0.01%, 1", "100%, 10000", "0%, 0", "12.34 %, 1234", "007%, 700"})
  void aWeightIsReadAsBasisPoints(String text, int basisPoints) {
    assertThat(new WeightText().convert(text)).isEqualTo(basisPoints);
  }

  @ParameterizedTest
  @ValueSource(strings = {"10", "0.5", "-1%", "101%", "100.01%", "0.001%", "%", "1e1%", "10%%", " 10%", "ten%", ""})
  void aWeightWithoutItsSignOrOutsideItsRangeIsRefused(String text) {
    assertThatThrownBy(() -> new WeightText().convert(text))
        .isInstanceOf(TypeConversionException.class).hasMessageContaining("'" + text + "'");
  }

  @Test
  void modelsAreListedLoadedAndUnloaded() {
    String header = "MODEL  VERSION  STATE  DEFAULT  LABELS       IN FLIGHT  REASON";
    String version = "fraud  2        READY  yes      next stable  3          -";

    assertThat(sluice(server, "models", "list").lines()).containsExactly(header, version);
    assertThat(sluice(server, "models", "load", "fraud", "2").lines()).containsExactly(header, version);
    assertThat(sluice(server, "models", "unload", "fraud", "2", "-o", "json").out()).contains("\"READY\"");
  }

  @Test
  void versionsAreLabelledAndUnlabelled() {
    assertThat(sluice(server, "models", "label", "fraud", "stable=2", "--actor", "ann", "--reason", "tested").exitCode())
        .isZero();
    assertThat(server.lastRequest())
        .isEqualTo(
            SetLabelRequest.newBuilder()
                .setModel("fraud").setLabel("stable").setVersion(2).setActor("ann").setReason("tested").build());
    assertThat(sluice(server, "models", "unlabel", "fraud", "stable", "--actor", "ann").exitCode()).isZero();
    assertThat(server.lastRequest())
        .isEqualTo(RemoveLabelRequest.newBuilder().setModel("fraud").setLabel("stable").setActor("ann").build());
    for (String wrong : List.of("stable", "stable=", "stable=x", "stable=0", "=2")) {
      assertThat(sluice(server, "models", "label", "fraud", wrong).exitCode()).as(wrong).isEqualTo(2);
    }
  }

  private Object asked(String command, String... arguments) {
    String[] line = new String[arguments.length + 2];
    line[0] = "rollout";
    line[1] = command;
    System.arraycopy(arguments, 0, line, 2, arguments.length);
    assertThat(sluice(server, line).exitCode()).isZero();
    return server.lastRequest();
  }
}
