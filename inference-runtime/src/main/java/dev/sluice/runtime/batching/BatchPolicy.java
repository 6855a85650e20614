package dev.sluice.runtime.batching;

import dev.sluice.runtime.model.Batching;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Which of the requests that wait run together, and when.
///
/// The first request in the queue leads; those behind it that fit into its run form a group with it. Without a delay
/// the group runs at once, and requests meet only because they came while every instance was busy. With one, it waits
/// until it has a preferred size, cannot grow, or its oldest request has waited for the delay; preferred sizes mean
/// what they mean to Triton's dynamic batcher. Requests that do not fit are passed over by others of their own
/// priority only, and by none where answers keep their order; the group does not wait for more then, so nobody is
/// held up by a request of another shape.
final class BatchPolicy {

  /// A run's inputs are gathered in one piece; this many bytes at most.
  static final long BYTES_MAX = 256L << 20;

  /// So far a decision looks: one for a queue of ten thousand takes no longer than this.
  static final int LOOKED_AT_MAX = 1024;

  /// A request as the policy sees it.
  interface Waiting {
    long rows();

    long bytes();

    /// Requests pass one another within a rank only.
    int rank();

    long waitingSinceNanos();

    /// False for a request that no other can share a run with.
    boolean canShare();

    boolean canShareWith(Waiting other);
  }

  sealed interface Decision<W> {
    /// These run now, together.
    record Cut<W>(List<W> requests) implements Decision<W> {}

    /// Nothing runs before this time, unless another request comes.
    record WaitUntil<W>(long nanos) implements Decision<W> {}

    record Idle<W>() implements Decision<W> {}
  }

  private final @Nullable Batching batching;
  private final Set<Long> preferred;
  private final long preferredMax;

  /// @param batching null: each request runs alone, at once
  BatchPolicy(@Nullable Batching batching) {
    this.batching = batching;
    if (batching == null) {
      this.preferred = Set.of();
      this.preferredMax = 1;
    } else if (batching.preferredRows().isEmpty()) {
      this.preferred = Set.of((long) batching.rowsMax());
      this.preferredMax = batching.rowsMax();
    } else {
      this.preferred = Set.copyOf(batching.preferredRows().stream().map(Integer::longValue).toList());
      this.preferredMax = batching.preferredRows().getLast();
    }
  }

  /// What a free instance does.
  ///
  /// @param waiting in the order in which they are to run
  <W extends Waiting> Decision<W> decide(Iterable<W> waiting, long nowNanos) {
    Iterator<W> queue = waiting.iterator();
    if (!queue.hasNext()) {
      return new Decision.Idle<>();
    }
    W first = queue.next();
    if (batching == null || first.rows() >= batching.rowsMax() || !first.canShare()) {
      return new Decision.Cut<>(List.of(first));
    }
    return group(first, queue, batching, nowNanos);
  }

  private <W extends Waiting> Decision<W> group(W first, Iterator<W> queue, Batching batching, long nowNanos) {
    List<W> group = new ArrayList<>();
    group.add(first);
    long rows = first.rows();
    long bytes = first.bytes();
    long oldest = first.waitingSinceNanos();
    int best = preferred.contains(rows) ? 1 : 0; // requests of the largest preferred size so far
    @Nullable W passedOver = null;
    for (int seen = 1; queue.hasNext() && rows < batching.rowsMax(); seen++) {
      W next = queue.next();
      if (passedOver != null && passedOver.rank() != next.rank()) {
        break;
      }
      if (!first.canShareWith(next)) {
        passedOver = next;
        if (batching.preserveOrdering() || seen >= LOOKED_AT_MAX) {
          break;
        }
        continue;
      }
      if (rows + next.rows() > batching.rowsMax() || bytes + next.bytes() > BYTES_MAX) {
        passedOver = next;
        break;
      }
      if (rows + next.rows() > preferredMax && best == 0) {
        best = group.size();
      }
      group.add(next);
      rows += next.rows();
      bytes += next.bytes();
      if (oldest - next.waitingSinceNanos() > 0) {
        oldest = next.waitingSinceNanos();
      }
      if (preferred.contains(rows)) {
        best = group.size();
      }
    }
    boolean waited = nowNanos - oldest >= batching.delayNanos();
    if (best > 0 && (batching.delayNanos() == 0 || !waited)) {
      return new Decision.Cut<>(List.copyOf(group.subList(0, best)));
    }
    if (waited || passedOver != null || rows >= preferredMax) {
      return new Decision.Cut<>(group);
    }
    return new Decision.WaitUntil<>(oldest + batching.delayNanos());
  }
}
