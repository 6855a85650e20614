package dev.sluice.gateway.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// Rows under a header, each column as wide as its widest cell, for people and for `awk`.
final class Table {
  private final List<List<String>> rows = new ArrayList<>();

  Table(String... header) {
    rows.add(List.of(header));
  }

  Table row(Object... cells) {
    if (cells.length != rows.getFirst().size()) {
      throw new IllegalArgumentException(
          "a row of %d cells under %d columns".formatted(cells.length, rows.getFirst().size()));
    }
    rows.add(Stream.of(cells).map(Object::toString).map(Table::onOneLine).toList());
    return this;
  }

  void print(PrintWriter out) {
    int columns = rows.getFirst().size();
    int[] widths = IntStream.range(0, columns)
        .map(column -> rows.stream().mapToInt(row -> row.get(column).length()).max().orElse(0))
        .toArray();
    for (List<String> row : rows) {
      out.println(IntStream.range(0, columns)
          .mapToObj(column -> row.get(column) + " ".repeat(widths[column] - row.get(column).length()))
          .collect(Collectors.joining("  "))
          .stripTrailing());
    }
    out.flush();
  }

  /// Text from the server stays in its cell, and an empty cell stays visible.
  private static String onOneLine(String cell) {
    return cell.isEmpty() ? "-" : cell.replaceAll("\\p{Cntrl}", " ");
  }
}
