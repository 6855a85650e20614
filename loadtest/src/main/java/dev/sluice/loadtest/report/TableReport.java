package dev.sluice.loadtest.report;

import dev.sluice.loadtest.report.LoadReport.ErrorCount;
import java.nio.charset.Charset;
import java.util.Formatter;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// A report for people, with the percentiles drawn as bars on a logarithmic scale.
public final class TableReport {
  private static final int BAR_WIDTH = 40;

  private final LoadReport report;
  private final String bar;
  private final Formatter text = new Formatter(Locale.ROOT);

  private TableReport(LoadReport report, boolean unicode) {
    this.report = report;
    this.bar = unicode ? "█" : "#";
  }

  /// The report as text of several lines.
  ///
  /// @param charset of the place where the text will be shown; decides how bars are drawn
  public static String of(LoadReport report, Charset charset) {
    boolean unicode = charset.canEncode() && charset.newEncoder().canEncode("█µ");
    String text = new TableReport(report, unicode).build();
    return unicode ? text : text.replace("µ", "u");
  }

  private String build() {
    text.format("%s at %s%n", report.model(), report.target());
    text.format("%s loop, %s, %d connection%s, %.1f s measured after %.1f s of warm-up%n", report.mode(),
        report.askedPerSecond() == null
            ? "%d in flight".formatted(report.concurrency())
            : String.format(Locale.ROOT, "%s %.1f requests/s", report.arrivals(), report.askedPerSecond()),
        report.connections(), report.connections() == 1 ? "" : "s", report.measuredSeconds(), report.warmUpSeconds());
    text.format("%n");
    text.format("requests  sent %d, answered %d, failed %d, not sent %d%n",
        report.sent(), report.answered(), report.failed(), report.notSent());
    text.format("rate      sent %.1f/s, answered %.1f/s%n", report.sentPerSecond(), report.answeredPerSecond());
    text.format("bytes     requests %d, responses %d%n", report.requestBytes(), report.responseBytes());
    text.format("%n");
    latency();
    errors();
    labels("variants", report.variants());
    labels("fallbacks", report.fallbacks());
    for (String doubt : report.doubts()) {
      text.format("%n");
      text.format("DOUBT: %s%n", doubt);
    }
    return text.toString();
  }

  private void latency() {
    Percentiles latency = report.latencyMicros();
    if (latency == null) {
      text.format("latency   nothing was measured%n");
      return;
    }
    text.format("latency   %s, bars on a logarithmic scale%n",
        report.askedPerSecond() == null ? "from the send" : "from the planned send time");
    row("p50", latency.p50(), latency.max());
    row("p90", latency.p90(), latency.max());
    row("p99", latency.p99(), latency.max());
    row("p99.9", latency.p999(), latency.max());
    row("max", latency.max(), latency.max());
    text.format("  %-6s %s%n", "mean", shown(latency.mean()));
    summary("service   from the actual send:", report.serviceMicros());
    summary("lateness  of the generator:", report.latenessMicros());
  }

  private void row(String name, double micros, double maxMicros) {
    double share = maxMicros <= 1 ? 1 : Math.log(Math.max(micros, 1)) / Math.log(maxMicros);
    text.format("  %-6s %s  %s%n", name, shown(micros), bar.repeat(Math.max(1, (int) Math.round(share * BAR_WIDTH))));
  }

  private void summary(String title, @Nullable Percentiles times) {
    if (times != null) {
      text.format("%s p50 %s, p99 %s, max %s%n", title,
          shown(times.p50()).strip(), shown(times.p99()).strip(), shown(times.max()).strip());
    }
  }

  private void errors() {
    if (!report.errors().isEmpty()) {
      text.format("%n");
      text.format("errors%n");
      for (ErrorCount error : report.errors()) {
        text.format("  %-18s %8d  %s%n", error.code(), error.count(), error.example().lines().findFirst().orElse(""));
      }
    }
  }

  private void labels(String title, Map<String, Long> counts) {
    if (!counts.isEmpty()) {
      text.format("%n");
      text.format("%-9s %s%n", title, counts.entrySet().stream()
          .map(e -> String.format(Locale.ROOT, "%s %d (%.2f %%)",
              e.getKey(), e.getValue(), 100.0 * e.getValue() / report.answered()))
          .collect(Collectors.joining(", ")));
    }
  }

  private static String shown(double micros) {
    return micros < 1_000 ? String.format(Locale.ROOT, "%9.1f µs", micros)
        : micros < 1_000_000 ? String.format(Locale.ROOT, "%9.2f ms", micros / 1_000)
        : String.format(Locale.ROOT, "%9.3f s ", micros / 1_000_000);
  }
}
