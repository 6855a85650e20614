package dev.sluice.runtime.batching;

import static dev.sluice.runtime.batching.LoadedQueue.MILLIS;
import static dev.sluice.runtime.batching.LoadedQueue.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import com.netflix.concurrency.limits.Limit;
import com.netflix.concurrency.limits.limit.AIMDLimit;
import com.netflix.concurrency.limits.limit.Gradient2Limit;
import com.netflix.concurrency.limits.limit.VegasLimit;
import com.netflix.concurrency.limits.limit.WindowedLimit;
import dev.sluice.runtime.batching.LoadedQueue.Callers;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.LongUnaryOperator;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/// Why the queue's bound is its own: the same load in virtual time, once through the version's queue and once through a plain
/// queue behind each limit of Netflix's concurrency-limits, which learn how many requests may be in flight from how long they
/// take. One instance, runs of 5 ms with a spread of 20 %.
class LimitComparisonTest {

  private static final long NONE = Long.MAX_VALUE;

  /// @param perSecond that come
  /// @param batch that come at once
  private record Load(String name, long perSecond, int batch, long deadlineNanos, long nanos, LongUnaryOperator runNanos) {}

  /// @param goodShare of what was offered or could be done, whichever is less
  private record Result(double goodShare, long p99Nanos, long refused, long offered) {}

  private static long even(long now) {
    return 5 * MILLIS;
  }

  private static final List<Load> LOADS =
      List.of(
          new Load("5 x capacity, deadline 100 ms", 1_000, 1, 100 * MILLIS, 60 * SECONDS, LimitComparisonTest::even),
          new Load("5 x capacity, no deadline", 1_000, 1, NONE, 60 * SECONDS, LimitComparisonTest::even),
          new Load("90 % of capacity, deadline 100 ms", 180, 1, 100 * MILLIS, 60 * SECONDS, LimitComparisonTest::even),
          new Load("bursts of 50 at half of capacity, deadline 1 s", 100, 50, SECONDS, 60 * SECONDS, LimitComparisonTest::even),
          new Load(
              "runs of 50 us that take 50 ms after 20 s and 50 us again after 40 s, deadline 200 ms", 500, 1, 200 * MILLIS,
              60 * SECONDS, now -> now < 20 * SECONDS || now >= 40 * SECONDS ? MILLIS / 20 : 50 * MILLIS));

  private static Map<String, Supplier<Limit>> limits() {
    Map<String, Supplier<Limit>> limits = new LinkedHashMap<>();
    limits.put("Gradient2", Gradient2Limit::newDefault);
    limits.put("Gradient2, windowed", () -> WindowedLimit.newBuilder().build(Gradient2Limit.newDefault()));
    limits.put("Vegas", VegasLimit::newDefault);
    limits.put("AIMD at 100 ms", () -> AIMDLimit.newBuilder().timeout(100, TimeUnit.MILLISECONDS).build());
    return limits;
  }

  @Test
  void noLimitOnRequestsInFlightDoesBetterThanTheQueuesOwn() {
    for (Load load : LOADS) {
      Result own = own(load);
      print(load, "own", own);
      limits()
          .forEach(
              (name, limit) -> {
                Result other = behind(limit.get(), load);
                print(load, name, other);
                assertThat(own.goodShare()).as("%s against %s", load.name(), name).isGreaterThan(0.98 * other.goodShare());
              });
      assertThat(own.goodShare()).as(load.name()).isGreaterThan(0.9);
    }
  }

  private static void print(Load load, String name, Result result) {
    System.out.printf(
        "FIGURE limits | %s | %s | good %.1f %% | p99 of answers %d ms | refused %.1f %%%n",
        load.name(), name, 100 * result.goodShare(), result.p99Nanos() / MILLIS,
        100.0 * result.refused() / result.offered());
  }

  private static LongUnaryOperator spread(LongUnaryOperator runNanos, Random random) {
    return now -> (long) (runNanos.applyAsLong(now) * Math.max(0.2, 1 + 0.2 * random.nextGaussian()));
  }

  /// What a server that wastes no moment would do.
  private static double possible(Load load) {
    double possible = 0;
    for (long second = 0; second < load.nanos() / SECONDS; second++) {
      possible += Math.min((double) load.perSecond(), (double) SECONDS / load.runNanos().applyAsLong(second * SECONDS));
    }
    return possible;
  }

  private static Result own(Load load) {
    LoadedQueue queue = LoadedQueue.of(1);
    queue.runNanos = spread(load.runNanos(), new Random(2));
    queue.serve(load.nanos(), new Callers("", _ -> load.perSecond(), load.deadlineNanos(), load.batch()));
    queue.rig.runAllThreads();
    long refused = queue.ends.stream().filter(end -> end.why() != null).count();
    return new Result(
        Math.min(1, queue.good(0, NONE) / possible(load)), queue.latencyNanos(0.99), refused, queue.ends.size());
  }

  /// First come, first served, as many as the limit says; who is too late at its turn is not run, and the limit is told.
  private static Result behind(Limit limit, Load load) {
    record Waiting(long cameNanos, int inFlight) {}
    Random arrivals = new Random(1);
    LongUnaryOperator runNanos = spread(load.runNanos(), new Random(2));
    ArrayDeque<Waiting> waiting = new ArrayDeque<>();
    List<Long> latencies = new ArrayList<>();
    long offered = 0;
    long refused = 0;
    long good = 0;
    long nextArrival = 0;
    long freeAt = 0;
    Waiting running = null;
    while (nextArrival < load.nanos() || running != null) {
      if (running != null && freeAt <= nextArrival) {
        long latency = freeAt - running.cameNanos();
        limit.onSample(running.cameNanos(), latency, running.inFlight(), latency > load.deadlineNanos());
        latencies.add(latency);
        good += latency <= load.deadlineNanos() ? 1 : 0;
        running = null;
        while (running == null && !waiting.isEmpty()) {
          Waiting next = waiting.remove();
          if (freeAt - next.cameNanos() >= load.deadlineNanos()) {
            limit.onSample(next.cameNanos(), freeAt - next.cameNanos(), next.inFlight(), true);
            refused++;
          } else {
            running = next;
            freeAt += runNanos.applyAsLong(freeAt);
          }
        }
        continue;
      }
      for (int i = 0; i < load.batch(); i++) {
        offered++;
        int inFlight = waiting.size() + (running == null ? 0 : 1);
        if (inFlight >= limit.getLimit()) {
          refused++;
        } else if (running == null) {
          running = new Waiting(nextArrival, inFlight + 1);
          freeAt = nextArrival + runNanos.applyAsLong(nextArrival);
        } else {
          waiting.add(new Waiting(nextArrival, inFlight + 1));
        }
      }
      nextArrival += (long) (-Math.log(1 - arrivals.nextDouble()) * SECONDS * load.batch() / load.perSecond());
      if (nextArrival >= load.nanos()) {
        nextArrival = NONE;
      }
    }
    long[] sorted = latencies.stream().mapToLong(Long::longValue).sorted().toArray();
    return new Result(Math.min(1, good / possible(load)), sorted[(int) (sorted.length * 0.99)], refused, offered);
  }
}
