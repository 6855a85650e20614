package dev.sluice.gateway.cli.report;

import java.util.List;

/// Markdown as the common renderers read it, and as a person reads it without one: plots are drawn in characters.
final class MarkdownWriter {

  private MarkdownWriter() {}

  static String write(List<Block> blocks) {
    StringBuilder page = new StringBuilder(1 << 14);
    for (Block block : blocks) {
      write(block, page);
      page.append('\n');
    }
    return page.toString();
  }

  private static void write(Block block, StringBuilder page) {
    switch (block) {
      case Block.Heading(int level, String text) -> page.append("#".repeat(level)).append(' ').append(escape(text)).append('\n');
      case Block.Paragraph(String text) -> page.append(escape(text)).append('\n');
      case Block.Banner(Block.Tone _, String text) -> page.append("**").append(escape(text)).append("**\n");
      case Block.Items(List<String> items) -> items.forEach(item -> page.append("- ").append(escape(item)).append('\n'));
      case Block.Table table -> table(table, page);
      case Block.Verbatim(String summary, String text) -> {
        page.append(escape(summary)).append(":\n\n");
        fenced(text, page);
      }
      case Block.Plot plot -> {
        page.append(escape(plot.title())).append(":\n\n");
        fenced(String.join("\n", plot.text()), page);
      }
    }
  }

  private static void table(Block.Table table, StringBuilder page) {
    row(table.head(), page);
    page.append('|');
    for (int column = 0; column < table.head().size(); column++) {
      page.append(table.isFigures(column) ? "---:|" : "---|");
    }
    page.append('\n');
    table.rows().forEach(row -> row(row, page));
  }

  private static void row(List<String> cells, StringBuilder page) {
    page.append('|');
    cells.forEach(cell -> page.append(' ').append(escape(cell)).append(" |"));
    page.append('\n');
  }

  /// With a fence longer than any run of its sign in the text.
  private static void fenced(String text, StringBuilder page) {
    String fence = "```";
    while (text.contains(fence)) {
      fence += "`";
    }
    page.append(fence).append('\n').append(text.strip()).append('\n').append(fence).append('\n');
  }

  /// One line of plain text: nothing in it begins a link, a tag, a table cell or an emphasis.
  static String escape(String text) {
    StringBuilder escaped = new StringBuilder(text.length() + 16);
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '\\', '`', '*', '_', '[', ']', '|', '#', '~' -> escaped.append('\\').append(c);
        case '<' -> escaped.append("&lt;");
        case '>' -> escaped.append("&gt;");
        case '&' -> escaped.append("&amp;");
        default -> escaped.append(c < ' ' || (c >= 0x7f && c < 0xa0) ? ' ' : c);
      }
    }
    return escaped.toString();
  }
}
