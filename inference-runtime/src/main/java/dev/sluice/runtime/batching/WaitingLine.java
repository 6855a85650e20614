package dev.sluice.runtime.batching;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeSet;

/// The requests that wait, in the order in which they are to run: those that were put behind everything else last,
/// before that the most urgent first, and in the order of their arrival.
///
/// Any of them can leave at any time, for the price of a look-up in a balanced tree. Knows no clock and no lock.
final class WaitingLine {

  private static final Comparator<QueuedRequest> IN_ORDER =
      Comparator.<QueuedRequest>comparingInt(QueuedRequest::rank).thenComparingLong(request -> request.sequence);

  /// Times may wrap around, as those of [System#nanoTime] do.
  private static final Comparator<QueuedRequest> BY_EXPIRY =
      (one, other) -> {
        long difference = expiresNanos(one) - expiresNanos(other);
        return difference != 0 ? Long.signum(difference) : Long.compare(one.sequence, other.sequence);
      };

  private final TreeSet<QueuedRequest> inOrder = new TreeSet<>(IN_ORDER);
  private final TreeSet<QueuedRequest> expiring = new TreeSet<>(BY_EXPIRY);
  private final Map<Integer, Integer> sizes = new HashMap<>();
  private long arrived;

  void add(QueuedRequest request) {
    request.sequence = arrived++;
    request.expires = request.timeoutNanos > 0;
    inOrder.add(request);
    if (request.expires) {
      expiring.add(request);
    }
    sizes.merge(request.level, 1, Integer::sum);
  }

  void remove(QueuedRequest request) {
    inOrder.remove(request);
    if (request.expires) {
      expiring.remove(request);
    }
    sizes.computeIfPresent(request.level, (_, size) -> size == 1 ? null : size - 1);
  }

  /// Puts a request that has waited too long behind everything else, for as long as it takes.
  void delay(QueuedRequest request) {
    inOrder.remove(request);
    expiring.remove(request);
    request.expires = false;
    request.delayed = true;
    inOrder.add(request);
  }

  /// Those whose time is up; they are still in the line.
  List<QueuedRequest> expired(long nowNanos) {
    if (expiring.isEmpty() || expiresNanos(expiring.first()) - nowNanos > 0) {
      return List.of();
    }
    List<QueuedRequest> expired = new ArrayList<>();
    for (QueuedRequest request : expiring) {
      if (expiresNanos(request) - nowNanos > 0) {
        break;
      }
      expired.add(request);
    }
    return expired;
  }

  /// When the next one's time is up.
  OptionalLong nextExpiry() {
    return expiring.isEmpty() ? OptionalLong.empty() : OptionalLong.of(expiresNanos(expiring.first()));
  }

  Iterable<QueuedRequest> inOrder() {
    return inOrder;
  }

  boolean isEmpty() {
    return inOrder.isEmpty();
  }

  int size() {
    return inOrder.size();
  }

  /// The requests of one level that wait, those put behind everything else included.
  int size(int level) {
    return sizes.getOrDefault(level, 0);
  }

  private static long expiresNanos(QueuedRequest request) {
    return request.queuedNanos + request.timeoutNanos;
  }
}
