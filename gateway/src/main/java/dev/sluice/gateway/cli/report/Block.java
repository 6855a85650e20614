package dev.sluice.gateway.cli.report;

import java.util.List;

/// A part of a report, in the order in which people read. Texts are plain: how they are escaped is the writer's business.
public sealed interface Block {

  record Heading(int level, String text) implements Block {}

  record Paragraph(String text) implements Block {}

  record Items(List<String> items) implements Block {
    public Items {
      items = List.copyOf(items);
    }
  }

  /// The outcome, in one line.
  record Banner(Tone tone, String text) implements Block {}

  enum Tone {
    GOOD,
    BAD,
    OPEN
  }

  /// @param head as many cells as each row has
  record Table(List<String> head, List<List<String>> rows) implements Block {
    public Table {
      head = List.copyOf(head);
      rows = rows.stream().map(List::copyOf).toList();
    }

    /// Whether a column holds figures, which stand right-aligned.
    boolean isFigures(int column) {
      return rows.stream().allMatch(row -> row.get(column).matches("|-|[-+0-9.,]+ ?(%|µs|ms|s|min|h|d)?|[0-9.]+e[-+0-9]+"));
    }
  }

  /// A text that is shown as it is.
  record Verbatim(String summary, String text) implements Block {}

  /// @param svg a whole element
  /// @param text the same for where there are no pictures
  record Plot(String title, String svg, List<String> text, List<Key> keys) implements Block {
    public Plot {
      text = List.copyOf(text);
      keys = List.copyOf(keys);
    }
  }

  /// A line of a plot's legend.
  ///
  /// @param style the class that gives it its colour
  record Key(String style, String text) {}
}
