package dev.sluice.gateway.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The whole way with real processes, for moments: that figures are there and make sense, not what they are.
class BenchCommandTest {

  @TempDir Path folder;

  @Test
  void contendersAreStartedDrivenAndCompared() throws Exception {
    Path json = folder.resolve("bench.json");
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();

    int exit = bench(out, err, "--quick", "--rows", "alone", "--json", json.toString());

    assertThat(exit).as(err.toString()).isZero();
    assertThat(out.toString()).contains("p50 at 1 in flight", "≤ 1.2 x (raw echo + raw ONNX Runtime)");
    JsonNode report = JsonMapper.shared().readTree(Files.readString(json));
    JsonNode row = report.at("/goals/0");
    assertThat(row.at("/checks/0/median").asDouble()).as(row.toString()).isPositive();
    assertThat(row.at("/verdict").asString()).isIn("pass", "falls short", "too noisy");
    JsonNode contenders = report.at("/comparisons/0/contenders");
    assertThat(contenders.findValuesAsString("name"))
        .containsExactly("raw gRPC", "protobuf", "ONNX Runtime", "Sluice", "Sluice, rollout");
    for (JsonNode contender : contenders) {
      assertThat(contender.at("/requestsPerSecond").asDouble()).as(contender.toString()).isPositive();
      assertThat(contender.at("/cpuMicros").asDouble()).as(contender.toString()).isPositive();
      assertThat(contender.at("/p50").asDouble()).isLessThanOrEqualTo(contender.at("/p99").asDouble());
      assertThat(contender.at("/failed").asLong()).as(contender.toString()).isZero();
    }
  }

  @Test
  void aRowThatDoesNotExistIsRefusedWithThoseThatDo() {
    StringWriter err = new StringWriter();
    assertThat(bench(new StringWriter(), err, "--rows", "tiny,nonsense")).isEqualTo(2);
    assertThat(err.toString()).contains("'nonsense'").contains("tiny, rollout, routing");
  }

  private static int bench(StringWriter out, StringWriter err, String... arguments) {
    return new CommandLine(new BenchCommand())
        .setOut(new PrintWriter(out, true))
        .setErr(new PrintWriter(err, true))
        .execute(arguments);
  }
}
