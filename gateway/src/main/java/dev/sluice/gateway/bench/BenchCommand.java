package dev.sluice.gateway.bench;

import ch.qos.logback.classic.Level;
import dev.sluice.loadtest.paired.GoalRow;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `sluice bench`: measures Sluice beside bare gRPC and bare ONNX Runtime, and prints the table of goals.
@Command(
    name = "bench",
    sortOptions = false,
    description = {
      "Measure Sluice beside bare gRPC and bare ONNX Runtime on this machine, and print the goals with 'pass' or",
      "'falls short'. Every contender is a process of its own; they take turns, and figures are ratios within a turn.",
      "A figure whose interval is wide and holds its goal is 'too noisy', which is not a pass."
    })
public final class BenchCommand implements Callable<Integer> {

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @Option(names = "--rows", split = ",", paramLabel = "ROW",
      description = "Measure these rows only (default: all): ${COMPLETION-CANDIDATES}.",
      completionCandidates = RowNames.class)
  private List<String> rows = new ArrayList<>();

  @Option(names = "--json", paramLabel = "FILE", description = "Write the figures to a file.")
  private @Nullable Path json;

  @Option(names = "--html", paramLabel = "FILE",
      description = "Write a page with curves, for which more loads are measured (a minute).")
  private @Nullable Path html;

  @Option(names = "--quick", description = "Short rounds: shows that everything runs, and tells little about speed.")
  private boolean quick;

  @Option(names = "--target", paramLabel = "HOST:PORT",
      description = "Another server of the Open Inference Protocol that serves the same models, as a further contender.")
  private @Nullable String target;

  @Option(names = "--target-pid", paramLabel = "PID",
      description = "The process of --target on this machine, for its processor time.")
  private long targetPid;

  @Option(names = "--models", paramLabel = "DIR",
      description = {
        "The models of this folder. When it has none they are written there and nothing is measured, so that the",
        "server of --target can be given the same ones."
      })
  private @Nullable Path models;

  @Option(names = "--seed", defaultValue = "1",
      description = "Of weights, payloads, keys and arrivals (default: ${DEFAULT-VALUE}).")
  private long seed;

  static final class RowNames extends ArrayList<String> {
    RowNames() {
      super(Goals.ids());
    }
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    List<Goals> chosen = chosen();
    PrintWriter err = spec.commandLine().getErr();
    ((ch.qos.logback.classic.Logger) LoggerFactory.getLogger(Logger.ROOT_LOGGER_NAME)).setLevel(Level.ERROR);
    long start = System.nanoTime();
    Bench.Foreign foreign = target == null ? null : new Bench.Foreign(target, targetPid);
    boolean writing = models != null && !Files.exists(BenchModel.file(models, BenchModel.SLOW, 2));
    try (Bench bench = new Bench(quick ? Pace.QUICK : Pace.FULL, seed, models, foreign, line -> err.printf(
        Locale.ROOT, "%4d s  %s%n", (System.nanoTime() - start) / 1_000_000_000, line))) {
      if (writing) {
        bench.writeModels();
        return 0;
      }
      List<GoalRow> measured = new ArrayList<>();
      for (Goals goal : chosen) {
        bench.say(goal.goal());
        measured.add(goal.row(bench));
      }
      if (html != null) {
        bench.fillCurve();
      }
      BenchReport report =
          new BenchReport(bench.pace(), measured, bench.comparisons(), Duration.ofNanos(System.nanoTime() - start));
      PrintWriter out = spec.commandLine().getOut();
      report.lines().forEach(out::println);
      out.flush();
      if (json != null) {
        Files.writeString(json, report.json());
      }
      if (html != null) {
        Files.writeString(html, report.html());
      }
    }
    return 0;
  }

  private List<Goals> chosen() {
    if (rows.isEmpty()) {
      return List.of(Goals.values());
    }
    return rows.stream()
        .map(row -> Goals.of(row).orElseThrow(() -> new ParameterException(
            spec.commandLine(), "--rows: '%s'; expected some of %s".formatted(row, String.join(", ", Goals.ids())))))
        .toList();
  }
}
