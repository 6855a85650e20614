package dev.sluice.gateway.cli;

import static dev.sluice.gateway.cli.Typed.sluice;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.proto.control.v1.CreateRolloutRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class NoteCommandTest {

  private static final String NOTE =
      """
      rollout: short
      model: fraud
      owner: me
      baseline: 1
      candidate: 2
      segments: [country=DE]
      steps:
        - shadow: 100%
          until: { observations: 500 }
      stopRules:
        - error-rate: { limit: 1% }
      coolDown: 1s
      """;

  @TempDir
  private Path folder = Path.of("");

  private String note = "";

  @BeforeEach
  void write() throws IOException {
    note = Files.writeString(folder.resolve("note.yaml"), NOTE).toString();
  }

  @Test
  void checkPrintsThePlanTheBoundariesAndWhatIsDetected() {
    Typed typed = sluice("note", "check", note, "--traffic", "600/min", "--share", "country=DE=10%");

    assertThat(typed.err()).isEmpty();
    assertThat(typed.exitCode()).isZero();
    assertThat(typed.out())
        .contains("short: a healthy candidate is stopped with probability at most 0.00095 in this attempt:")
        .contains("1     0 %     100 %   50s   500 observations")
        .contains("RULE        IN")
        .contains("error-rate in country=DE: stops at evidence ")
        .containsPattern("100 % bad +\\d +\\d ")
        .contains("What the plan leaves no time to see:");
  }

  @Test
  void checkSaysTheSameAsJson() {
    JsonNode report = JsonMapper.shared().readTree(sluice("note", "check", note, "-o", "json", "--traffic", "10/s").out());

    assertThat(report.get("rollout").stringValue()).isEqualTo("short");
    assertThat(report.get("planMillis").longValue()).isEqualTo(50_000);
    assertThat(report.get("rules").get(0).get("boundaries").get(3).get("bad").intValue()).isEqualTo(5);
  }

  @Test
  void everyProblemIsALineWithItsPlace() throws IOException {
    Files.writeString(folder.resolve("note.yaml"), NOTE.replace("limit: 1%", "limit: 0%").replace("[country=DE]", "[DE]"));

    Typed typed = sluice("note", "check", note);

    assertThat(typed.exitCode()).isEqualTo(2);
    assertThat(typed.out()).isEmpty();
    assertThat(typed.err().lines())
        .containsExactly(
            note + ":6:12: segments[0]: 'DE' is not a segment: expected attribute=value with a lower-case attribute name, such as"
                + " country=DE",
            note + ":11:5: stopRules[0]: limit: 0.0 % is not above 0 % and at most 50.0 %");
  }

  @Test
  void aServerIsAskedTheSameQuestionAsByRolloutCreate() {
    try (CannedServer server = new CannedServer()) {
      Typed typed = sluice("note", "check", note, "--control", server.address());

      assertThat(typed.exitCode()).isZero();
      assertThat(server.lastRequest())
          .isEqualTo(CreateRolloutRequest.newBuilder().setNote(NOTE).setValidateOnly(true).build());
    }
  }

  @Test
  void simulatePrintsWhoWasStoppedByWhat() {
    Typed typed =
        sluice("note", "simulate", note, "--traffic", "100/s", "--candidate", "error=20%", "--runs", "20", "--seed", "3");

    assertThat(typed.exitCode()).isZero();
    assertThat(typed.lines().getFirst())
        .isEqualTo("short: of 20 rollouts 20 stopped (100 %), 0 promoted (0 %), 0 unfinished; seed 3");
    assertThat(typed.out()).contains("STOPPED BY").contains("error-rate").contains("cool-down  100 %   -       never reached");
  }

  @Test
  void whatCannotBeUsedIsOneLineAndExitCodeTwo() throws IOException {
    Path stream = Files.writeString(folder.resolve("stream.jsonl"), "{\"t\":0}\n");

    assertThat(refused("simulate", note)).isEqualTo("sluice: --traffic: expected the model's requests, such as 600/min");
    assertThat(refused("simulate", note, "--traffic", "600")).isEqualTo(
        "sluice: --traffic: '600' is not traffic such as 50/s, 600/min or 1000/h");
    assertThat(refused("simulate", note, "--traffic", "6/s", "--segment", "country=FR:error=20%")).isEqualTo(
        "sluice: --share: segment 'country=FR' is not in the note, which has [country=DE]");
    assertThat(refused("simulate", note, "--traffic", "6/s", "--runs", "0")).isEqualTo(
        "sluice: --runs: runs: 0 is not between 1 and 100,000");
    assertThat(refused("simulate", note, "--stream", stream.toString())).isEqualTo(
        "sluice: " + stream + ": line 1: baseline is missing");
    assertThat(refused("check", note, "--repository", folder.resolve("none").toString())).isEqualTo(
        "sluice: " + folder.resolve("none") + ": there is no such folder");
    assertThat(refused("check", folder.resolve("none.yaml").toString())).isEqualTo(
        "sluice: " + folder.resolve("none.yaml") + ": there is no such file");
  }

  private static String refused(String command, String... arguments) {
    String[] all = new String[arguments.length + 2];
    all[0] = "note";
    all[1] = command;
    System.arraycopy(arguments, 0, all, 2, arguments.length);
    Typed typed = sluice(all);
    assertThat(typed.exitCode()).isEqualTo(2);
    return typed.err().strip();
  }
}
