package dev.sluice.gateway.bench;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import org.HdrHistogram.Histogram;

/// The figures of every contender under every load, for a terminal: medians of the rounds, percentiles over all of them.
final class ContenderTable {
  private ContenderTable() {}

  static List<String> lines(Collection<Comparison> comparisons) {
    List<String> lines = new ArrayList<>();
    for (Comparison comparison : comparisons) {
      lines.add("%s, %s".formatted(comparison.model().text(), comparison.load()));
      lines.add(String.format(
          Locale.ROOT, "  %-24s%12s%12s%9s%12s%11s%11s%11s%9s", "", "requests/s", "CPU µs/req", "± %", "B/req", "p50 µs",
          "p99 µs", "p99.9 µs", "failed"));
      for (String contender : comparison.rounds().keySet()) {
        Histogram latency = comparison.latency(contender);
        boolean known = comparison.rounds().get(contender).getFirst().cpuNanos() >= 0;
        lines.add(String.format(
            Locale.ROOT, "  %-24s%,12.0f%12s%9s%12s%,11.1f%,11.1f%,11.1f%,9d",
            contender,
            comparison.of(contender, Round::perSecond).median(),
            known ? String.format(Locale.ROOT, "%.2f", comparison.of(contender, Round::cpuMicros).median()) : "-",
            known ? String.format(Locale.ROOT, "%.0f", comparison.of(contender, Round::cpuMicros).spread() * 50) : "-",
            comparison.rounds().get(contender).getFirst().allocatedBytes() < 0
                ? "-"
                : String.format(Locale.ROOT, "%,.0f", comparison.of(contender, Round::bytes).median()),
            latency.getValueAtPercentile(50) / 1e3,
            latency.getValueAtPercentile(99) / 1e3,
            latency.getValueAtPercentile(99.9) / 1e3,
            comparison.failed(contender)));
      }
    }
    return lines;
  }
}
