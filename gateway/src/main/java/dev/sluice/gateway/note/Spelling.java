package dev.sluice.gateway.note;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;

/// Finds what a misspelt name was meant to be.
final class Spelling {

  private Spelling() {}

  /// The nearest known name, if it is near: about a third of its letters may differ. Of two that are as near, the one of the
  /// same length: letters are swapped more often than lost.
  static Optional<String> nearest(String word, Collection<String> known) {
    String seen = word.toLowerCase(Locale.ROOT);
    return known.stream()
        .min(
            Comparator.comparingInt((String name) -> edits(seen, name.toLowerCase(Locale.ROOT)))
                .thenComparingInt(name -> Math.abs(name.length() - seen.length())))
        .filter(name -> edits(seen, name.toLowerCase(Locale.ROOT)) <= (name.length() + 1) / 3);
  }

  /// The distance of Damerau and Levenshtein, in which two neighbours that are swapped are one edit; a row at a time.
  private static int edits(String from, String to) {
    int[] beforeLast = new int[to.length() + 1];
    int[] last = new int[to.length() + 1];
    for (int j = 0; j <= to.length(); j++) {
      last[j] = j;
    }
    for (int i = 1; i <= from.length(); i++) {
      int[] row = new int[to.length() + 1];
      row[0] = i;
      for (int j = 1; j <= to.length(); j++) {
        int substituted = last[j - 1] + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
        row[j] = Math.min(substituted, 1 + Math.min(last[j], row[j - 1]));
        if (i > 1 && j > 1 && from.charAt(i - 1) == to.charAt(j - 2) && from.charAt(i - 2) == to.charAt(j - 1)) {
          row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
        }
      }
      beforeLast = last;
      last = row;
    }
    return last[to.length()];
  }
}
