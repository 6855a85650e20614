package dev.sluice.loadtest;

import static dev.sluice.loadtest.OipServer.input;
import static dev.sluice.loadtest.OipServer.model;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.loadtest.OipServer.Behaviour;
import dev.sluice.loadtest.OipServer.Reply;
import dev.sluice.proto.inference.ModelMetadataResponse;
import io.grpc.Status;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

@Timeout(60)
class LoadTestCommandTest {
  private static final ModelMetadataResponse MODEL = model("fraud", input("x", "FP32", -1, 4));
  private static final Behaviour OK = (n, request, headers) -> Reply.saying("sluice_variant", "baseline");

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private OipServer server = new OipServer(MODEL, OK);

  @TempDir
  Path folder;

  @AfterEach
  void closeServer() {
    server.close();
  }

  @Test
  void jsonOutputHasTheDocumentedFields() {
    assertThat(load("-m fraud --rate 400 --arrivals constant --duration 500ms --warmup 0s -o json")).isZero();

    JsonNode report = JsonMapper.shared().readTree(out.toString());
    assertThat(report.propertyNames()).containsExactly(
        "target", "model", "mode", "arrivals", "askedPerSecond", "concurrency", "connections", "warmUpSeconds",
        "measuredSeconds", "sent", "answered", "failed", "notSent", "sentPerSecond", "answeredPerSecond",
        "requestBytes", "responseBytes", "latencyMicros", "serviceMicros", "latenessMicros", "errors", "variants",
        "fallbacks", "doubts");
    assertThat(report.at("/latencyMicros").propertyNames())
        .containsExactly("count", "mean", "p50", "p90", "p99", "p999", "max");
    assertThat(report.at("/mode").asString()).isEqualTo("open");
    assertThat(report.at("/sent").asLong()).isEqualTo(200);
    assertThat(report.at("/latencyMicros/p99").asDouble()).isPositive();
    assertThat(report.at("/variants/baseline").asLong()).isEqualTo(200);
    assertThat(report.at("/concurrency").isNull()).isTrue();
    assertThat(report.at("/requestBytes").asLong()).isGreaterThan(200 * 16);
  }

  @Test
  void theTableShowsPercentilesAsBars() {
    assertThat(load("-m fraud --concurrency 2 --requests 2000 --warmup 0s")).isZero();
    assertThat(out.toString())
        .contains("model 'fraud' at " + server.target(), "closed loop, 2 in flight, 1 connection")
        .contains("sent 2000, answered 2000")
        .containsPattern("p99\\.9 +[0-9.]+ (ms|[µu]s) +[█#]+")
        .contains("baseline 2000 (100.00 %)");
  }

  @Test
  void payloadsOfAFileAreSent() throws Exception {
    Path file = Files.writeString(folder.resolve("p.json"), "{\"data\": [{\"x\": [1, 2, 3, 4, 5, 6, 7, 8]}]}");
    server.close();
    server = new OipServer(MODEL, (n, request, headers) -> request.getInputs(0).getShapeList().equals(List.of(2L, 4L))
        ? Reply.AT_ONCE
        : Reply.failure(Status.INVALID_ARGUMENT));
    assertThat(load("-m fraud --concurrency 1 --requests 10 --warmup 0s --payloads " + file)).isZero();
    assertThat(out.toString()).contains("answered 10, failed 0");
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "-m fraud                                            | neither --rate nor --concurrency; expected exactly one",
      "-m fraud --rate 5 --concurrency 5                   | both --rate and --concurrency; expected exactly one",
      "-m fraud --rate 0                                   | --rate 0.0: expected more than 0",
      "-m fraud --rate -3                                  | --rate -3.0: expected more than 0",
      "-m fraud --concurrency 0                            | --concurrency 0: expected 1 to",
      "-m fraud --rate 1 --connections 0                   | --connections 0: expected 1 to 256",
      "-m fraud --rate 1 --requests 0                      | --requests 0: expected 1 to",
      "-m fraud --rate 1 --deadline 0s                     | --deadline 0 ms: expected 1 ms to 30 days",
      "-m fraud --rate 1 --keys -1                         | keys: -1; expected 0",
      "-m fraud --rate 1 --batch 0                         | --batch 0: expected 1 to",
      "-m fraud --rate 1 --batch 2 --payloads x.json       | --batch with --payloads",
      "-m fraud --rate 1 --payloads none.json              | payload file none.json: cannot be read",
      "-m fraud --rate 1 --shape x                         | --shape 'x': expected INPUT:d1,d2",
      "-m fraud --rate 1 --shape q:4                       | shape for input 'q': model 'fraud' has inputs [x]",
      "-m fraud --rate 1 --shape x:5   | shape [5] does not fit input 'x': the model declares [-1, 4]",
      "-m fraud --rate 1 --segment country=DE:no           | segment 'country': weight 'no'",
      "-m fraud --rate 1 --metadata grpc-x=1               | metadata 'grpc-x'",
      "-m fraud --rate 1 --target localhost                | --target 'localhost': expected host:port",
      "-m fraud --rate 1 --target localhost:99999          | --target 'localhost:99999': expected host:port",
  })
  void aWrongCommandLineIsOneClearLineAndExitCodeTwo(String arguments, String complaint) {
    assertThat(load(arguments)).isEqualTo(2);
    assertThat(err.toString()).contains(complaint).startsWith("loadtest: ").hasLineCount(1);
    assertThat(out.toString()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
      "-m fraud --rate 1 --duration 30      | '30' is not a time: expected a number and ms, s, m or h",
      "-m fraud --rate fast                 | 'fast'",
      "--rate 1                             | --model",
      "-m fraud --rate 1 -o xml             | expected one of [table, json]",
  })
  void anOptionThatCannotBeReadIsNamedAndExitCodeTwo(String arguments, String complaint) {
    assertThat(load(arguments)).isEqualTo(2);
    assertThat(err.toString()).contains(complaint).doesNotContain("\tat ");
  }

  @Test
  void anUnknownModelIsExitCodeThree() {
    assertThat(load("-m spam --rate 10")).isEqualTo(3);
    assertThat(err.toString()).hasLineCount(1).contains("model 'spam' is not served at " + server.target());
  }

  @Test
  void anUnreachableTargetIsExitCodeSeven() {
    server.close();
    assertThat(load("-m fraud --rate 10")).isEqualTo(7);
    assertThat(err.toString()).hasLineCount(1).contains(server.target() + " is unreachable").contains("refused");
  }

  @Test
  void aRunWithoutAnyAnswerIsExitCodeOneWithTheFirstFailure() {
    server.close();
    server = new OipServer(MODEL, (n, request, headers) -> Reply.failure(Status.INTERNAL.withDescription("boom")));
    assertThat(load("-m fraud --concurrency 1 --requests 5 --warmup 0s -o json")).isEqualTo(1);
    assertThat(err.toString()).contains("no request was answered; the first failure was INTERNAL: boom");
    assertThat(JsonMapper.shared().readTree(out.toString()).at("/errors/0/count").asLong()).isEqualTo(5);
    assertThat(JsonMapper.shared().readTree(out.toString()).at("/latencyMicros").isNull()).isTrue();
  }

  private int load(String arguments) {
    String withTarget = arguments.contains("--target") ? arguments : "--target " + server.target() + " " + arguments;
    String patient = arguments.contains("--deadline") ? withTarget : withTarget + " --deadline 10s";
    return new CommandLine(new LoadTestCommand())
        .setOut(new PrintWriter(out, true))
        .setErr(new PrintWriter(err, true))
        .execute(patient.split(" +"));
  }
}
