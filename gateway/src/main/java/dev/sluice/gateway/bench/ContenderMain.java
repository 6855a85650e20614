package dev.sluice.gateway.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import ai.onnxruntime.OrtException;
import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.StartFailure;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.loadtest.server.BareServer;
import dev.sluice.runtime.model.ModelLoadException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import org.slf4j.bridge.SLF4JBridgeHandler;

/// Where a contender's process begins. It says `ready` and its ports, then answers questions until its input ends.
final class ContenderMain {
  /// Questions and answers belong to the bench alone; whatever else is printed goes to the log.
  private static final PrintStream ANSWERS = new PrintStream(System.out, true, UTF_8);

  private ContenderMain() {}

  /// Arguments: `raw COLUMNS`, `protobuf COLUMNS`, `onnx`, `generator SEED`, `routing FOLDER` or `sluice REPOSITORY
  /// DATA`.
  public static void main(String[] arguments)
      throws IOException, StartFailure, OrtException, InterruptedException, ModelLoadException {
    SLF4JBridgeHandler.removeHandlersForRootLogger();
    SLF4JBridgeHandler.install();
    System.setOut(System.err);
    switch (arguments[0]) {
      case "raw" -> {
        try (BareServer server = BareServer.raw(Integer.parseInt(arguments[1]))) {
          answer("ready " + server.port());
          usageUntilTheEnd();
        }
      }
      case "protobuf" -> {
        try (BareServer server = BareServer.protobuf(Integer.parseInt(arguments[1]))) {
          answer("ready " + server.port());
          usageUntilTheEnd();
        }
      }
      case "sluice" -> {
        GatewayConfig config = GatewayConfig.onFreePorts(Path.of(arguments[1]), Path.of(arguments[2]));
        try (Gateway gateway = Gateway.start(config)) {
          answer("ready " + gateway.grpcPort() + " " + gateway.controlPort());
          usageUntilTheEnd();
        }
      }
      case "onnx" -> {
        try (BareOnnx onnx = new BareOnnx()) {
          answer("ready");
          BufferedReader questions = questions();
          for (String line; (line = questions.readLine()) != null;) {
            answer(line.startsWith("run ") ? "run " + onnx.run(line.split(" ", -1)).words() : usage());
          }
        }
      }
      case "generator" -> {
        answer("ready");
        Traffic traffic = new Traffic(Long.parseLong(arguments[1]));
        BufferedReader questions = questions();
        for (String line; (line = questions.readLine()) != null;) {
          answer(line.startsWith("drive ") ? "drive " + drive(line.split(" ", -1), traffic).words() : usage());
        }
      }
      case "routing" -> {
        answer("ready");
        BufferedReader questions = questions();
        for (String line; (line = questions.readLine()) != null;) {
          answer(routing(line.split(" ", -1), Path.of(arguments[1])));
        }
      }
      default -> throw new IllegalArgumentException(arguments[0]);
    }
    System.exit(0);
  }

  /// Words: `drive HOST:PORT MODEL calls|rate N LEAD-MILLIS MILLIS`.
  private static Round drive(String[] words, Traffic traffic) throws IOException, InterruptedException {
    Load load =
        words[3].equals("calls")
            ? new Load.InFlight(Integer.parseInt(words[4]))
            : new Load.Rate(Double.parseDouble(words[4]));
    return new WireContender(words[1], words[1], () -> new Usage(-1, -1, 0), traffic, 1)
        .round(
            BenchModel.valueOf(words[2]), load, Duration.ofMillis(Long.parseLong(words[5])),
            Duration.ofMillis(Long.parseLong(words[6])));
  }

  /// Words: `one FOLDER REQUESTS ROUNDS` or `many FOLDER REQUESTS ROUNDS MODELS ROLLOUTS`.
  private static String routing(String[] words, Path folder) throws IOException, ModelLoadException {
    Path scratch = folder.resolve(words[1]);
    int requests = Integer.parseInt(words[2]);
    int rounds = Integer.parseInt(words[3]);
    if (words[0].equals("one")) {
      RoutingProbe.OneRollout one =
          new RoutingProbe(scratch, RoutingProbe.RULES_OF_ALL_NEWS, requests, rounds).oneRollout();
      return "one %s %s %s %s".formatted(
          one.without().nanos(), one.with().nanos(), one.without().bytes(), one.with().bytes());
    }
    RoutingProbe.ManyRollouts many =
        new RoutingProbe(scratch, RoutingProbe.RULES_OF_BAD_NEWS, requests, rounds)
            .manyRollouts(Integer.parseInt(words[4]), Integer.parseInt(words[5]));
    return "many %s %s %s %s %d %d".formatted(
        many.one().nanos(), many.same().nanos(), many.spread().nanos(), many.spreadWithout().nanos(), many.heapBytes(),
        many.residentBytes());
  }

  private static void usageUntilTheEnd() throws IOException {
    BufferedReader questions = questions();
    while (questions.readLine() != null) {
      answer(usage());
    }
  }

  private static BufferedReader questions() {
    return new BufferedReader(new InputStreamReader(System.in, UTF_8));
  }

  private static String usage() {
    Usage usage = ProcessUsage.own();
    return "usage %d %d %d".formatted(usage.cpuNanos(), usage.allocatedBytes(), usage.residentBytes());
  }

  private static void answer(String line) {
    ANSWERS.println(line);
  }
}
