package dev.sluice.loadtest.paired;

import dev.sluice.loadtest.paired.GoalRow.Check;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// The goal table for a terminal: a line for each figure, its verdict at the end, and notes below each row.
public final class GoalTable {
  private GoalTable() {}

  /// Lines without a line break.
  public static List<String> lines(List<GoalRow> rows) {
    List<String[]> cells = new ArrayList<>();
    cells.add(new String[] {"goal", "asked", "measured", "from .. to", ""});
    for (GoalRow row : rows) {
      cells.add(new String[] {row.goal(), row.bound(), "", "", row.verdict().text()});
      for (Check check : row.checks()) {
        Estimate estimate = check.estimate();
        cells.add(new String[] {
          "  " + check.what(), check.goal().toString(), number(estimate.median(), check.goal().unit()),
          "%s .. %s of %d".formatted(number(estimate.low(), ""), number(estimate.high(), ""), estimate.count()),
          row.checks().size() > 1 ? "(" + check.verdict().text() + ")" : ""
        });
      }
      row.notes().forEach(note -> cells.add(new String[] {"  " + note}));
    }
    var widths = new int[5];
    for (String[] line : cells) {
      for (int i = 0; i < line.length && line.length > 1; i++) {
        widths[i] = Math.max(widths[i], line[i].length());
      }
    }
    List<String> lines = new ArrayList<>();
    for (String[] line : cells) {
      var text = new StringBuilder();
      for (int i = 0; i < line.length; i++) {
        text.append(line[i]).repeat(' ', Math.max(0, widths[i] - line[i].length())).append("  ");
      }
      lines.add(text.toString().stripTrailing());
    }
    return lines;
  }

  /// Three figures that count, and the unit.
  public static String number(double value, String unit) {
    double size = Math.abs(value);
    String number = String.format(Locale.ROOT, size >= 100 || value == Math.rint(value) ? "%,.0f" : size >= 10 ? "%.1f" : size >= 0.1 ? "%.2f" : "%.2g", value);
    return unit.isEmpty() ? number : number + " " + unit;
  }
}
