package dev.sluice.runtime.model;

import java.util.List;

/// How waiting requests are put together into one run.
///
/// @param rowsMax rows of one run, at least 1; a request of more rows runs alone
/// @param preferredRows ascending sizes at which a run need not wait for more; empty: every size is as good
/// @param delayNanos how long a request may wait for others while an instance is free; 0: not at all
/// @param preserveOrdering whether answers leave in the order in which requests came
public record Batching(int rowsMax, List<Integer> preferredRows, long delayNanos, boolean preserveOrdering) {

  public Batching {
    preferredRows = preferredRows.stream().sorted().distinct().toList();
    if (rowsMax < 1) {
      throw new IllegalArgumentException("the largest batch is %d rows; expected at least 1".formatted(rowsMax));
    }
    if (delayNanos < 0) {
      throw new IllegalArgumentException("queue delay is %d ns; expected at least 0".formatted(delayNanos));
    }
    for (int rows : preferredRows) {
      if (rows < 1 || rows > rowsMax) {
        throw new IllegalArgumentException(
            "preferred batch size is %d; expected 1 to max_batch_size, which is %d".formatted(rows, rowsMax));
      }
    }
  }
}
