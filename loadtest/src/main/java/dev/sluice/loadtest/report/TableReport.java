package dev.sluice.loadtest.report;

import dev.sluice.loadtest.report.LoadReport.ErrorCount;
import java.nio.charset.Charset;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// A report for people, with the percentiles drawn as bars on a logarithmic scale.
public final class TableReport {
  private static final int BAR_WIDTH = 40;

  private final LoadReport report;
  private final String bar;
  private final StringBuilder text = new StringBuilder();

  private TableReport(LoadReport report, boolean unicode) {
    this.report = report;
    this.bar = unicode ? "█" : "#";
  }

  /// @param charset of the place where the text will be shown; decides how bars are drawn
  public static String of(LoadReport report, Charset charset) {
    boolean unicode = charset.canEncode() && charset.newEncoder().canEncode("█µ");
    String text = new TableReport(report, unicode).build();
    return unicode ? text : text.replace("µ", "u");
  }

  private String build() {
    line("%s at %s", report.model(), report.target());
    line("%s loop, %s, %d connection%s, %.1f s measured after %.1f s of warm-up", report.mode(),
        report.askedPerSecond() == null
            ? "%d in flight".formatted(report.concurrency())
            : String.format(Locale.ROOT, "%s %.1f requests/s", report.arrivals(), report.askedPerSecond()),
        report.connections(), report.connections() == 1 ? "" : "s", report.measuredSeconds(), report.warmUpSeconds());
    line("");
    line("requests  sent %d, answered %d, failed %d, not sent %d",
        report.sent(), report.answered(), report.failed(), report.notSent());
    line("rate      sent %.1f/s, answered %.1f/s", report.sentPerSecond(), report.answeredPerSecond());
    line("bytes     requests %d, responses %d", report.requestBytes(), report.responseBytes());
    line("");
    latency();
    errors();
    labels("variants", report.variants());
    labels("fallbacks", report.fallbacks());
    for (String doubt : report.doubts()) {
      line("");
      line("DOUBT: %s", doubt);
    }
    return text.toString();
  }

  private void latency() {
    Percentiles latency = report.latencyMicros();
    if (latency == null) {
      line("latency   nothing was measured");
      return;
    }
    line("latency   %s, bars on a logarithmic scale",
        report.askedPerSecond() == null ? "from the send" : "from the planned send time");
    row("p50", latency.p50(), latency.max());
    row("p90", latency.p90(), latency.max());
    row("p99", latency.p99(), latency.max());
    row("p99.9", latency.p999(), latency.max());
    row("max", latency.max(), latency.max());
    line("  %-6s %s", "mean", shown(latency.mean()));
    summary("service   from the actual send:", report.serviceMicros());
    summary("lateness  of the generator:", report.latenessMicros());
  }

  private void row(String name, double micros, double maxMicros) {
    double share = maxMicros <= 1 ? 1 : Math.log(Math.max(micros, 1)) / Math.log(maxMicros);
    line("  %-6s %s  %s", name, shown(micros), bar.repeat(Math.max(1, (int) Math.round(share * BAR_WIDTH))));
  }

  private void summary(String title, @Nullable Percentiles times) {
    if (times != null) {
      line("%s p50 %s, p99 %s, max %s", title,
          shown(times.p50()).strip(), shown(times.p99()).strip(), shown(times.max()).strip());
    }
  }

  private void errors() {
    if (!report.errors().isEmpty()) {
      line("");
      line("errors");
      for (ErrorCount error : report.errors()) {
        line("  %-18s %8d  %s", error.code(), error.count(), error.example().lines().findFirst().orElse(""));
      }
    }
  }

  private void labels(String title, Map<String, Long> counts) {
    if (!counts.isEmpty()) {
      line("");
      line("%-9s %s", title, counts.entrySet().stream()
          .map(e -> String.format(Locale.ROOT, "%s %d (%.2f %%)", e.getKey(), e.getValue(), 100.0 * e.getValue() / report.answered()))
          .collect(Collectors.joining(", ")));
    }
  }

  private static String shown(double micros) {
    return micros < 1_000 ? String.format(Locale.ROOT, "%9.1f µs", micros)
        : micros < 1_000_000 ? String.format(Locale.ROOT, "%9.2f ms", micros / 1_000)
        : String.format(Locale.ROOT, "%9.3f s ", micros / 1_000_000);
  }

  private void line(String format, @Nullable Object... arguments) {
    text.append(String.format(Locale.ROOT, format, arguments)).append('\n');
  }
}
