package dev.sluice.gateway.cli.picture;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One line under construction: pieces of text with their colour, cut to the terminal only when it is complete.
final class Line {
  private record Piece(String text, @Nullable Ink ink) {}

  private final List<Piece> pieces = new ArrayList<>();

  Line add(String text) {
    pieces.add(new Piece(printable(text), null));
    return this;
  }

  Line add(String text, Ink ink) {
    pieces.add(new Piece(printable(text), ink));
    return this;
  }

  /// The text cut or filled to exactly `width` cells.
  Line left(String text, int width) {
    return add(cut(printable(text), width)).gap(width - printable(text).length());
  }

  Line right(String text, int width) {
    String cut = cut(printable(text), width);
    return gap(width - cut.length()).add(cut);
  }

  Line gap(int cells) {
    return add(" ".repeat(Math.max(0, cells)));
  }

  String drawn(int columns, boolean colour) {
    StringBuilder drawn = new StringBuilder();
    int room = columns;
    int last = lastInked();
    for (int i = 0; i <= last && room > 0; i++) {
      Piece piece = pieces.get(i);
      String text = i == last ? piece.text.stripTrailing() : piece.text;
      String shown = cut(text, room);
      drawn.append(piece.ink == null ? shown : piece.ink.on(shown, colour));
      room -= shown.length();
    }
    return drawn.toString();
  }

  /// Text from elsewhere cannot move the cursor or change colours here.
  static String printable(String text) {
    return text.codePoints().anyMatch(Character::isISOControl)
        ? text.codePoints()
            .map(c -> Character.isISOControl(c) ? ' ' : c)
            .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
            .toString()
        : text;
  }

  private static String cut(String text, int width) {
    return text.length() <= width ? text : text.substring(0, Math.max(0, width - 1)) + "…";
  }

  private int lastInked() {
    int last = pieces.size() - 1;
    while (last >= 0 && pieces.get(last).text.isBlank()) {
      last--;
    }
    return last;
  }
}
