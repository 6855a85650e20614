package dev.sluice.gateway.note;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;

/// Finds what a misspelt name was meant to be.
final class Spelling {

  private Spelling() {}

  /// The nearest known name, if it is near: about a third of its letters may differ.
  static Optional<String> nearest(String word, Collection<String> known) {
    String seen = word.toLowerCase(Locale.ROOT);
    return known.stream()
        .min(Comparator.comparingInt(name -> edits(seen, name.toLowerCase(Locale.ROOT))))
        .filter(name -> edits(seen, name.toLowerCase(Locale.ROOT)) <= (name.length() + 1) / 3);
  }

  /// Levenshtein's distance, one row at a time.
  private static int edits(String from, String to) {
    int[] row = new int[to.length() + 1];
    for (int j = 0; j <= to.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= from.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= to.length(); j++) {
        int substituted = diagonal + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[to.length()];
  }
}
