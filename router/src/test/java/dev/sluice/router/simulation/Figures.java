package dev.sluice.router.simulation;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/// Writes a table between its markers in `stop-rules.md`, and a plot of it beside.
final class Figures {

  /// One line of a plot with a logarithmic axis.
  ///
  /// @param dot a value, drawn as a dot; `low` to `high` is a line through it
  /// @param mark what to compare it with, drawn as a bar across; 0 for nothing
  record Bar(String label, double low, double dot, double high, double mark) {}

  private static final int LABEL_WIDTH = 430;
  private static final int WIDTH = 980;
  private static final int ROW = 22;
  private static final int TOP = 40;

  private Figures() {}

  static void write(Path docs, String name, String table, String title, List<Bar> bars) throws IOException {
    Path page = docs.resolve("stop-rules.md");
    String text = Files.readString(page);
    String begin = "<!-- " + name + ": generated -->\n";
    String end = "<!-- /" + name + " -->";
    int from = text.indexOf(begin);
    int to = text.indexOf(end);
    if (from < 0 || to < from) {
      throw new IllegalStateException("%s: no lines '%s' and '%s'".formatted(page, begin.strip(), end));
    }
    String picture = "\n![%s](stop-rules/%s.svg)\n".formatted(title, name);
    Files.writeString(page, text.substring(0, from) + begin + table + picture + text.substring(to));
    Files.createDirectories(docs.resolve("stop-rules"));
    Files.writeString(docs.resolve("stop-rules").resolve(name + ".svg"), svg(title, bars));
  }

  private static String svg(String title, List<Bar> bars) {
    double least = Double.POSITIVE_INFINITY;
    double most = 0;
    for (Bar bar : bars) {
      least = Math.min(least, bar.mark() > 0 ? Math.min(bar.low(), bar.mark()) : bar.low());
      most = Math.max(most, Math.max(bar.high(), bar.mark()));
    }
    int first = (int) Math.floor(Math.log10(least));
    int last = Math.max(first + 1, (int) Math.ceil(Math.log10(most)));
    int height = TOP + ROW * bars.size() + 30;
    StringBuilder svg = new StringBuilder();
    add(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", WIDTH, height, title);
    add(svg, "<style>text{font:12px sans-serif;fill:#222}.grid{stroke:#ccc}.range{stroke:#2a6fb0;stroke-width:4}.dot{fill:#2a6fb0}.mark{stroke:#c2410c;stroke-width:2}"
        + "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.range{stroke:#6cb2f0}.dot{fill:#6cb2f0}.mark{stroke:#fb923c}}</style>");
    add(svg, "<text x=\"8\" y=\"18\">%s</text>", title);
    for (int power = first; power <= last; power++) {
      double x = x(Math.pow(10, power), first, last);
      add(svg, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x, TOP - 8, x, height - 24);
      add(svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", x, height - 8, power < 0 ? "1e" + power : "%,d".formatted((long) Math.pow(10, power)));
    }
    int y = TOP;
    for (Bar bar : bars) {
      int middle = y + ROW / 2;
      add(svg, "<text x=\"8\" y=\"%d\">%s</text>", middle + 4, bar.label());
      add(svg, "<line class=\"range\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x(bar.low(), first, last), middle, x(bar.high(), first, last), middle);
      if (bar.dot() > 0) {
        add(svg, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%d\" r=\"5\"/>", x(bar.dot(), first, last), middle);
      }
      if (bar.mark() > 0) {
        add(svg, "<line class=\"mark\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x(bar.mark(), first, last), middle - 8, x(bar.mark(), first, last), middle + 8);
      }
      y += ROW;
    }
    return svg.append("</svg>\n").toString();
  }

  private static double x(double value, int first, int last) {
    return LABEL_WIDTH + (WIDTH - LABEL_WIDTH - 40) * (Math.log10(value) - first) / (last - first);
  }

  @SuppressWarnings("AnnotateFormatMethod")
  private static void add(StringBuilder svg, String format, Object... values) {
    svg.append(values.length == 0 ? format : String.format(Locale.ROOT, format, values)).append('\n');
  }
}
