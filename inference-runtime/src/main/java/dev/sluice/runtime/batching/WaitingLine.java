package dev.sluice.runtime.batching;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.OptionalLong;
import java.util.PriorityQueue;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// The requests that wait, in the order in which they are to run: those that were put behind everything else last,
/// before that the most urgent first, and among equals in turns between tenants.
///
/// Turns are those of start-time fair queueing (Goyal, Vin, Cheng 1996): a tenant's turn comes at its start, and each of its
/// rows that runs moves that start on by one; a tenant that comes anew starts where the last run did, or where its own last
/// run has moved it to, whichever is later. Tenants that always have something waiting, be it one large request at a time, get
/// equal shares of rows, one that comes now and then does not wait behind what another has piled up, and the requests of one
/// tenant keep the order in which they came. What leaves without a run costs no turn. A tenant is known while it has requests
/// here, so there are never more tenants than requests; of those that have gone ahead of their turn and left, some hundred
/// that are furthest ahead are remembered until the others have caught up, or nothing is left to do ([#rest]).
///
/// Any request can leave at any time, for the price of look-ups in balanced trees of tenants. Knows no clock and no lock.
final class WaitingLine {

  private static final Comparator<Tenant> IN_TURN =
      Comparator.<Tenant>comparingLong(tenant -> tenant.start).thenComparingLong(tenant -> tenant.oldest().sequence);

  /// Tenants of a rank that have left ahead of their turn; more than these are let off.
  static final int AHEAD_MAX = 256;

  private static final Comparator<Tenant> BY_START =
      Comparator.<Tenant>comparingLong(tenant -> tenant.start).thenComparingLong(tenant -> tenant.number);

  private static final Comparator<Tenant> BY_SIZE =
      Comparator.<Tenant>comparingInt(tenant -> tenant.size).thenComparingLong(tenant -> tenant.number);

  private static final Comparator<Tenant> BY_BYTES =
      Comparator.<Tenant>comparingLong(tenant -> tenant.bytes).thenComparingLong(tenant -> tenant.number);

  /// Times may wrap around, as those of [System#nanoTime] do.
  private static final Comparator<QueuedRequest> BY_EXPIRY =
      (one, other) -> {
        long difference = expiresNanos(one) - expiresNanos(other);
        return difference != 0 ? Long.signum(difference) : Long.compare(one.sequence, other.sequence);
      };

  /// The requests of one tenant that are equally urgent, from the oldest to the newest.
  private static final class Tenant {
    private final String name;
    private final long number;
    private @Nullable QueuedRequest oldest;
    private @Nullable QueuedRequest newest;
    private long start;
    private int size;
    private long bytes;

    Tenant(String name, long number) {
      this.name = name;
      this.number = number;
    }

    private QueuedRequest oldest() {
      QueuedRequest first = oldest;
      if (first == null) {
        throw new IllegalStateException("a tenant without requests is still in the line");
      }
      return first;
    }

    private void append(QueuedRequest request) {
      request.older = newest;
      if (newest == null) {
        oldest = request;
      } else {
        newest.newer = request;
      }
      newest = request;
      size++;
      bytes += request.bytes();
    }

    private void unlink(QueuedRequest request) {
      QueuedRequest older = request.older;
      QueuedRequest newer = request.newer;
      if (older == null) {
        oldest = newer;
      } else {
        older.newer = newer;
      }
      if (newer == null) {
        newest = older;
      } else {
        newer.older = older;
      }
      request.older = null;
      request.newer = null;
      size--;
      bytes -= request.bytes();
    }
  }

  /// What is equally urgent.
  private static final class Rank {
    private final Map<String, Tenant> tenants = new HashMap<>();
    private final TreeSet<Tenant> turns = new TreeSet<>(IN_TURN);

    // Whoever has most is found without a look at the others, of whom there may be as many as requests.
    private final TreeSet<Tenant> bySize = new TreeSet<>(BY_SIZE);
    private final TreeSet<Tenant> byBytes = new TreeSet<>(BY_BYTES);

    private final Map<String, Tenant> ahead = new HashMap<>();
    private final TreeSet<Tenant> aheadByStart = new TreeSet<>(BY_START);
    private int size;
    private long lastStart;
    private long tenantsSeen;

    /// One that has nothing here: where it begins.
    private Tenant comes(String name) {
      Tenant tenant = ahead.remove(name);
      if (tenant == null) {
        tenant = new Tenant(name, tenantsSeen++);
        tenant.start = lastStart;
      } else {
        aheadByStart.remove(tenant);
        tenant.start = Math.max(tenant.start, lastStart);
      }
      tenants.put(name, tenant);
      return tenant;
    }

    private void goes(Tenant tenant) {
      tenants.remove(tenant.name);
      if (tenant.start > lastStart) {
        ahead.put(tenant.name, tenant);
        aheadByStart.add(tenant);
      }
      while (!aheadByStart.isEmpty()
          && (aheadByStart.first().start <= lastStart || aheadByStart.size() > AHEAD_MAX)) {
        ahead.remove(aheadByStart.removeFirst().name);
      }
    }

    /// Its size is about to change.
    private void unweigh(Tenant tenant) {
      bySize.remove(tenant);
      byBytes.remove(tenant);
    }

    private void weigh(Tenant tenant) {
      bySize.add(tenant);
      byBytes.add(tenant);
    }
  }

  private final TreeMap<Integer, Rank> ranks = new TreeMap<>();

  /// Those in which nobody waits now.
  private final Map<Integer, Rank> emptyRanks = new HashMap<>();
  private final TreeSet<QueuedRequest> expiring = new TreeSet<>(BY_EXPIRY);
  private final Map<Integer, Integer> sizes = new HashMap<>();
  private long arrived;
  private int size;
  private long bytes;

  // --- coming and going -----------------------------------------------------------------------------------------------

  void add(QueuedRequest request) {
    request.sequence = arrived++;
    request.expires = request.timeoutNanos > 0;
    if (request.expires) {
      expiring.add(request);
    }
    sizes.merge(request.level, 1, Integer::sum);
    size++;
    bytes += request.bytes();
    enter(request);
  }

  private void enter(QueuedRequest request) {
    Rank rank = ranks.get(request.rank());
    if (rank == null) {
      Rank empty = emptyRanks.remove(request.rank());
      rank = empty == null ? new Rank() : empty;
      ranks.put(request.rank(), rank);
    }
    Tenant tenant = rank.tenants.get(request.tenant);
    if (tenant == null) {
      tenant = rank.comes(request.tenant);
      tenant.append(request);
      rank.turns.add(tenant);
    } else {
      rank.unweigh(tenant);
      tenant.append(request); // behind the one that its turn is for
    }
    rank.weigh(tenant);
    rank.size++;
  }

  /// It leaves without a run.
  void remove(QueuedRequest request) {
    forget(request);
    exit(request, false);
  }

  /// It runs.
  void removeForRun(QueuedRequest request) {
    forget(request);
    exit(request, true);
  }

  private void forget(QueuedRequest request) {
    if (request.expires) {
      expiring.remove(request);
    }
    sizes.computeIfPresent(request.level, (_, before) -> before == 1 ? null : before - 1);
    size--;
    bytes -= request.bytes();
  }

  private void exit(QueuedRequest request, boolean runs) {
    Rank rank = ranks.get(request.rank());
    Tenant tenant = rank == null ? null : rank.tenants.get(request.tenant);
    if (rank == null || tenant == null) {
      throw new IllegalStateException("a request left a line in which it did not wait");
    }
    rank.turns.remove(tenant);
    rank.unweigh(tenant);
    tenant.unlink(request);
    if (runs) {
      rank.lastStart = Math.max(rank.lastStart, tenant.start);
      tenant.start += request.rows();
    }
    if (tenant.size == 0) {
      rank.goes(tenant);
    } else {
      rank.turns.add(tenant);
      rank.weigh(tenant);
    }
    rank.size--;
    if (rank.size == 0) {
      ranks.remove(request.rank());
      emptyRanks.put(request.rank(), rank);
    }
  }

  /// Nothing waits and nothing runs: nobody has taken what another could have had, and all begin anew.
  void rest() {
    emptyRanks.clear();
  }

  /// Puts a request that has waited too long behind everything else, for as long as it takes.
  void delay(QueuedRequest request) {
    expiring.remove(request);
    request.expires = false;
    exit(request, false);
    request.delayed = true;
    enter(request);
  }

  // --- who goes first -------------------------------------------------------------------------------------------------

  Iterable<QueuedRequest> inOrder() {
    return InOrder::new;
  }

  /// Ranks one after the other; within one, whichever tenant's turn is next. The first request is found without a look at the
  /// other tenants: often nobody asks for more.
  private final class InOrder implements Iterator<QueuedRequest> {

    private static final class Place {
      private QueuedRequest request;
      private long start;

      Place(QueuedRequest request, long start) {
        this.request = request;
        this.start = start;
      }
    }

    private final Iterator<Rank> ahead = ranks.values().iterator();
    private final PriorityQueue<Place> places =
        new PriorityQueue<>(
            Comparator.<Place>comparingLong(place -> place.start).thenComparingLong(place -> place.request.sequence));
    private @Nullable Rank begun;
    private int left = size;

    @Override
    public boolean hasNext() {
      return left > 0;
    }

    @Override
    public QueuedRequest next() {
      if (left-- <= 0) {
        throw new NoSuchElementException();
      }
      Rank rank = begun;
      if (rank != null) {
        begun = null;
        for (Tenant tenant : rank.turns) {
          places.add(new Place(tenant.oldest(), tenant.start));
        }
        var _ = nextPlace(); // the one that was found first
      }
      if (places.isEmpty()) {
        begun = ahead.next();
        return begun.turns.first().oldest();
      }
      return nextPlace();
    }

    private QueuedRequest nextPlace() {
      Place place = places.remove();
      QueuedRequest request = place.request;
      QueuedRequest newer = request.newer;
      if (newer != null) {
        place.start += request.rows();
        place.request = newer;
        places.add(place);
      }
      return request;
    }
  }

  /// How many requests run before a new one of this tenant, at most: those that are more urgent, and at its level no more
  /// than wait there or than its turn lets pass.
  int ahead(int level, String tenantName) {
    long ahead = 0;
    for (Map.Entry<Integer, Rank> entry : ranks.headMap(level, true).entrySet()) {
      Rank rank = entry.getValue();
      if (entry.getKey() < level) {
        ahead += rank.size;
      } else {
        Tenant tenant = rank.tenants.get(tenantName);
        long turns = tenant == null ? 1 : tenant.size + 1;
        ahead += Math.min(rank.size, turns * rank.tenants.size());
      }
    }
    return (int) Math.min(Integer.MAX_VALUE, ahead);
  }

  // --- who goes without a run -----------------------------------------------------------------------------------------

  /// Who gives its place up when too many wait at the level of the one that came last: the newest of the tenant that has most
  /// there. The one that came last itself, unless another tenant has more than its own.
  QueuedRequest shedAtLevelOf(QueuedRequest last) {
    return shed(ranks.get(last.level), last, false);
  }

  /// The same among the least urgent that wait.
  QueuedRequest shed(QueuedRequest last) {
    return shed(leastUrgent(), last, false);
  }

  /// The same by the bytes that tenants have waiting.
  QueuedRequest shedByBytes(QueuedRequest last) {
    return shed(leastUrgent(), last, true);
  }

  private @Nullable Rank leastUrgent() {
    return ranks.isEmpty() ? null : ranks.lastEntry().getValue();
  }

  private static QueuedRequest shed(@Nullable Rank rank, QueuedRequest last, boolean byBytes) {
    if (rank == null) {
      return last;
    }
    Tenant heaviest = byBytes ? rank.byBytes.last() : rank.bySize.last();
    Tenant own = rank.tenants.get(last.tenant);
    if (own != null
        && own.newest == last // it may wait among others
        && (byBytes ? own.bytes >= heaviest.bytes : own.size >= heaviest.size)) {
      return last;
    }
    QueuedRequest newest = heaviest.newest;
    return newest == null ? last : newest;
  }

  // --- times ----------------------------------------------------------------------------------------------------------

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

  private static long expiresNanos(QueuedRequest request) {
    return request.queuedNanos + request.timeoutNanos;
  }

  // --- sizes ----------------------------------------------------------------------------------------------------------

  boolean isEmpty() {
    return size == 0;
  }

  int size() {
    return size;
  }

  /// The requests of one level that wait, those put behind everything else included.
  int size(int level) {
    return sizes.getOrDefault(level, 0);
  }

  /// Of the inputs of all requests that wait.
  long bytes() {
    return bytes;
  }

  /// Tenants of all ranks.
  int tenants() {
    return ranks.values().stream().mapToInt(rank -> rank.tenants.size()).sum();
  }
}
