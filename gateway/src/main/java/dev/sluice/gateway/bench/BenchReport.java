package dev.sluice.gateway.bench;

import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.cli.report.Block;
import dev.sluice.gateway.cli.report.HtmlWriter;
import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.GoalRow;
import dev.sluice.loadtest.paired.GoalTable;
import dev.sluice.loadtest.paired.Verdict;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/// What was found: for a terminal, as JSON, and as one HTML page with curves that needs nothing else.
final class BenchReport {
  private static final double[] PERCENTILES = {50, 90, 99, 99.9};

  private static final JsonMapper JSON = JsonMapper.builder()
      .enable(SerializationFeature.INDENT_OUTPUT)
      .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
      .build();

  private final boolean quick;
  private final List<GoalRow> rows;
  private final Collection<Comparison> comparisons;
  private final Duration took;
  private final Instant when = Instant.now().truncatedTo(ChronoUnit.SECONDS);

  BenchReport(Pace pace, List<GoalRow> rows, Collection<Comparison> comparisons, Duration took) {
    this.quick = pace.equals(Pace.QUICK);
    this.rows = List.copyOf(rows);
    this.comparisons = List.copyOf(comparisons);
    this.took = took;
  }

  // --- terminal -------------------------------------------------------------------------------------------------------

  List<String> lines() {
    List<String> lines = new ArrayList<>(GoalTable.lines(rows));
    lines.add("");
    lines.addAll(ContenderTable.lines(comparisons));
    lines.add("");
    lines.add(circumstances());
    lines.add(summary());
    return lines;
  }

  private String circumstances() {
    return String.format(
        Locale.ROOT, "%s, Sluice %s, Java %s, %s %s, %d processors, %d s; others used %s of the machine%s",
        when, Gateway.version(), Runtime.version(), System.getProperty("os.name"), System.getProperty("os.arch"),
        Runtime.getRuntime().availableProcessors(), took.toSeconds(), share(others()), isNoisy() ? " (NOT QUIET)" : "");
  }

  private String summary() {
    List<String> counts = new ArrayList<>();
    for (Verdict verdict : Verdict.values()) {
      long count = rows.stream().filter(row -> row.verdict() == verdict).count();
      if (count > 0) {
        counts.add(count + " " + verdict.text());
      }
    }
    return "%d goals: %s%s".formatted(
        rows.size(), String.join(", ", counts), quick ? " (a quick run: no verdict is worth anything)" : "");
  }

  private boolean isNoisy() {
    Estimate others = others();
    return others != null && others.median() > Row.OTHERS_MAX;
  }

  private @Nullable Estimate others() {
    double[] shares = comparisons.stream()
        .flatMap(comparison -> comparison.rounds().values().stream())
        .flatMap(List::stream)
        .mapToDouble(Round::othersShare)
        .toArray();
    return shares.length == 0 ? null : Estimate.of(shares);
  }

  private static String share(@Nullable Estimate others) {
    return others == null ? "an unknown share" : String.format(Locale.ROOT, "%.0f %%", 100 * others.median());
  }

  // --- JSON -----------------------------------------------------------------------------------------------------------

  /// Times in microseconds. `null` is not known.
  record Document(
      String when, String version, String java, String system, int processors, long seconds, @Nullable Double othersShare,
      List<RowDocument> goals, List<ComparisonDocument> comparisons) {}

  record RowDocument(
      String id, String goal, String bound, String verdict, List<CheckDocument> checks, List<String> notes) {}

  record CheckDocument(
      String what, String goal, double median, double low, double high, int count, String unit, String verdict) {}

  record ComparisonDocument(String model, String load, List<ContenderDocument> contenders) {}

  record ContenderDocument(
      String name, double requestsPerSecond, @Nullable Double cpuMicros, @Nullable Double cpuMicrosLow,
      @Nullable Double cpuMicrosHigh, @Nullable Double bytes, double p50, double p90, double p99, double p999,
      long failed) {}

  String json() {
    Estimate others = others();
    return JSON.writeValueAsString(new Document(
        when.toString(), Gateway.version(), Runtime.version().toString(),
        System.getProperty("os.name") + " " + System.getProperty("os.arch"), Runtime.getRuntime().availableProcessors(),
        took.toSeconds(), others == null ? null : others.median(),
        rows.stream().map(BenchReport::document).toList(),
        comparisons.stream().map(BenchReport::document).toList()));
  }

  private static RowDocument document(GoalRow row) {
    return new RowDocument(
        row.id(), row.goal(), row.bound(), row.verdict().text(),
        row.checks().stream()
            .map(check -> new CheckDocument(
                check.what(), check.goal().toString(), check.estimate().median(), check.estimate().low(),
                check.estimate().high(), check.estimate().count(), check.goal().unit(), check.verdict().text()))
            .toList(),
        row.notes());
  }

  private static ComparisonDocument document(Comparison comparison) {
    return new ComparisonDocument(
        comparison.model().text(), comparison.load().toString(),
        comparison.rounds().keySet().stream().map(name -> document(comparison, name)).toList());
  }

  private static ContenderDocument document(Comparison comparison, String name) {
    Round first = comparison.rounds().getOrDefault(name, List.of()).getFirst();
    Estimate cpu = first.cpuNanos() < 0 ? null : comparison.of(name, Round::cpuMicros);
    double[] micros = micros(comparison.latency(name));
    return new ContenderDocument(
        name, comparison.of(name, Round::perSecond).median(),
        cpu == null ? null : cpu.median(), cpu == null ? null : cpu.low(), cpu == null ? null : cpu.high(),
        first.allocatedBytes() < 0 ? null : comparison.of(name, Round::bytes).median(),
        micros[0], micros[1], micros[2], micros[3], comparison.failed(name));
  }

  private static double[] micros(Histogram latency) {
    return Arrays.stream(PERCENTILES).map(p -> latency.getValueAtPercentile(p) / 1e3).toArray();
  }

  // --- HTML -----------------------------------------------------------------------------------------------------------

  String html() {
    List<Block> page = new ArrayList<>();
    page.add(new Block.Heading(1, "Sluice beside bare gRPC and bare ONNX Runtime"));
    boolean reached = rows.stream().allMatch(row -> row.verdict() == Verdict.PASS);
    boolean missed = rows.stream().anyMatch(row -> row.verdict() == Verdict.FALLS_SHORT);
    page.add(new Block.Banner(reached ? Block.Tone.GOOD : missed ? Block.Tone.BAD : Block.Tone.OPEN, summary()));
    page.add(new Block.Paragraph(circumstances()));
    page.add(new Block.Heading(2, "Goals"));
    page.add(goals());
    page.add(new Block.Paragraph(
        "Contenders take turns, forwards and backwards; a figure is the median over the passes, and from - to holds the true"
            + " median with at least 90 %. A wide one with the goal inside is too noisy to tell, which is not a pass."));
    List<String> notes = new ArrayList<>();
    rows.forEach(row -> row.notes().forEach(note -> notes.add(row.goal() + ": " + note)));
    page.add(new Block.Items(notes));
    page.add(new Block.Heading(2, "Curves"));
    page.addAll(BenchPlots.throughput(comparisons));
    page.addAll(BenchPlots.percentiles(comparisons));
    page.add(new Block.Heading(2, "Contenders"));
    comparisons.forEach(comparison -> {
      page.add(new Block.Heading(3, "%s model, %s".formatted(comparison.model().text(), comparison.load())));
      page.add(contenders(comparison));
    });
    return HtmlWriter.write("sluice bench, " + when, page);
  }

  private Block.Table goals() {
    List<List<String>> cells = new ArrayList<>();
    for (GoalRow row : rows) {
      cells.add(List.of(row.goal(), row.bound(), "", "", row.verdict().text()));
      for (GoalRow.Check check : row.checks()) {
        Estimate estimate = check.estimate();
        cells.add(List.of(
            "\u2003" + check.what(), check.goal().toString(), GoalTable.number(estimate.median(), check.goal().unit()),
            GoalTable.number(estimate.low(), "") + " - " + GoalTable.number(estimate.high(), ""),
            row.checks().size() == 1 ? "" : "(" + check.verdict().text() + ")"));
      }
    }
    return new Block.Table(List.of("goal", "asked", "measured", "from - to", ""), cells);
  }

  private static Block.Table contenders(Comparison comparison) {
    List<List<String>> cells = new ArrayList<>();
    for (String name : comparison.rounds().keySet()) {
      ContenderDocument it = document(comparison, name);
      cells.add(List.of(
          name, figure(it.requestsPerSecond()), figure(it.cpuMicros()), figure(it.bytes()), figure(it.p50()),
          figure(it.p99()), figure(it.p999()), figure((double) it.failed())));
    }
    return new Block.Table(
        List.of("", "requests/s", "CPU, µs", "allocated, B", "p50, µs", "p99, µs", "p99.9, µs", "failed"), cells);
  }

  private static String figure(@Nullable Double value) {
    return value == null ? "-" : GoalTable.number(value, "");
  }
}
