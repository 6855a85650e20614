package dev.sluice.loadtest.paired;

import dev.sluice.loadtest.paired.GoalRow.Check;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// The goal table for a terminal: each row with its verdict, what was asked, a line for each figure, and notes.
public final class GoalTable {
  private static final String INDENT = "  ";

  private GoalTable() {}

  /// Lines without a line break.
  public static List<String> lines(List<GoalRow> rows) {
    int goalWidth = rows.stream().mapToInt(row -> row.goal().length()).max().orElse(0);
    int whatWidth =
        rows.stream()
            .flatMap(row -> row.checks().stream())
            .mapToInt(check -> check.what().length())
            .max()
            .orElse(0);
    List<String> lines = new ArrayList<>();
    for (GoalRow row : rows) {
      lines.add(padded(row.goal(), goalWidth) + INDENT + row.verdict().text());
      lines.add(INDENT + "asked: " + row.bound());
      for (Check check : row.checks()) {
        Estimate estimate = check.estimate();
        String unit = check.goal().unit();
        lines.add((INDENT + padded(check.what(), whatWidth) + INDENT + padded(number(estimate.median(), unit), 11)
            + INDENT + padded(range(estimate), 22) + INDENT + padded(check.goal().toString(), 12)
            + (row.checks().size() > 1 ? INDENT + check.verdict().text() : "")).stripTrailing());
      }
      row.notes().forEach(note -> lines.add(INDENT + "- " + note));
    }
    return lines;
  }

  private static String range(Estimate estimate) {
    return estimate.count() == 1
        ? "measured once"
        : "%s .. %s of %d".formatted(number(estimate.low(), ""), number(estimate.high(), ""), estimate.count());
  }

  private static String padded(String text, int width) {
    return text + " ".repeat(Math.max(0, width - text.length()));
  }

  /// Three figures that count, and the unit.
  public static String number(double value, String unit) {
    double size = Math.abs(value);
    String format =
        size >= 100 || value == Math.rint(value) ? "%,.0f" : size >= 10 ? "%.1f" : size >= 0.1 ? "%.2f" : "%.2g";
    String number = String.format(Locale.ROOT, format, value);
    return unit.isEmpty() ? number : number + " " + unit;
  }
}
