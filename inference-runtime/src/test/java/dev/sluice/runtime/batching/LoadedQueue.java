package dev.sluice.runtime.batching;

import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.Priorities;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.Tensors;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.LongUnaryOperator;
import org.jspecify.annotations.Nullable;

/// A version's queue with one instance under an open loop, in virtual time: runs take time, and callers come meanwhile.
final class LoadedQueue {

  static final long MILLIS = 1_000_000;
  static final long SECONDS = 1_000_000_000;

  /// Requests of one kind, by chance at a rate.
  ///
  /// @param perSecond how many come, at a time since the start
  /// @param deadlineNanos that each has, [Long#MAX_VALUE]: none
  /// @param batch how many come at once
  record Callers(String tenant, LongUnaryOperator perSecond, long deadlineNanos, int batch) {
    static Callers steady(String tenant, long perSecond, long deadlineNanos) {
      return new Callers(tenant, _ -> perSecond, deadlineNanos, 1);
    }
  }

  /// How a request ended.
  ///
  /// @param why null: it was answered
  record End(String tenant, long cameNanos, long endedNanos, long deadlineNanos, @Nullable NoAnswer why) {
    boolean isGood() {
      return why == null && endedNanos - cameNanos <= deadlineNanos;
    }
  }

  final QueueRig rig;
  final List<End> ends = new ArrayList<>();

  /// How long a run takes that begins at this time.
  LongUnaryOperator runNanos = _ -> 5 * MILLIS;

  private final Random random;
  private final long startNanos;
  private final Tensor input = Tensors.floats("x", Shape.of(1, 1), 1);
  private long runs;

  LoadedQueue(long seed, @Nullable Batching batching, Priorities priorities) {
    this.random = new Random(seed);
    this.rig = new QueueRig(1, batching, priorities);
    this.startNanos = rig.time.nanos();
    rig.model = this::run;
  }

  static LoadedQueue of(long seed) {
    return new LoadedQueue(seed, null, Priorities.none());
  }

  private List<Tensor> run(List<Tensor> inputs, RunControl control) {
    rig.runs.clear();
    runs++;
    rig.time.advance(runNanos.applyAsLong(now()));
    return inputs;
  }

  /// Since the start.
  long now() {
    return rig.time.nanos() - startNanos;
  }

  long runs() {
    return runs;
  }

  /// Lets the time pass in which these callers come, and no more; what waits then goes on waiting.
  void serve(long nanos, Callers... callers) {
    long end = now() + nanos;
    for (Callers some : callers) {
      comeNext(some, end);
    }
    while (now() < end) {
      if (rig.threads.isEmpty()) {
        rig.time.advance(Math.min(MILLIS / 10, end - now()));
      } else {
        // One run after the other, for as long as any waits: the time may pass the end.
        rig.runThread();
      }
    }
  }

  private void comeNext(Callers callers, long endNanos) {
    long rate = callers.perSecond().applyAsLong(now());
    double gap = -Math.log(1 - random.nextDouble()) * SECONDS * callers.batch() / rate;
    long at = now() + (long) gap;
    if (at >= endNanos) {
      return;
    }
    rig.time.alarm(
        startNanos + at,
        () -> {
          for (int i = 0; i < callers.batch(); i++) {
            ask(callers);
          }
          comeNext(callers, endNanos);
        });
  }

  private void ask(Callers callers) {
    if (!rig.version.tryAcquire()) {
      throw new IllegalStateException("the version is retired");
    }
    long came = now();
    QueuedRequest request =
        rig.queue.request(
            List.of(input),
            List.of("y"),
            0,
            0,
            rig.time.nanos(),
            new QueuedRequest.Completion() {
              @Override
              public boolean isWanted() {
                return now() - came < callers.deadlineNanos();
              }

              @Override
              public void succeeded(List<Tensor> outputs) {
                ends.add(new End(callers.tenant(), came, now(), callers.deadlineNanos(), null));
              }

              @Override
              public void failed(NoAnswer why) {
                ends.add(new End(callers.tenant(), came, now(), callers.deadlineNanos(), why));
              }
            });
    request.submit(callers.tenant(), callers.deadlineNanos());
    if (callers.deadlineNanos() != Long.MAX_VALUE) {
      rig.time.alarm(rig.time.nanos() + callers.deadlineNanos(), request::cancel);
    }
  }

  // --- what came of it ------------------------------------------------------------------------------------------------

  long good(long fromNanos, long untilNanos) {
    return ends.stream()
        .filter(end -> end.cameNanos() >= fromNanos && end.cameNanos() < untilNanos && end.isGood())
        .count();
  }

  Map<String, Long> goodByTenant() {
    Map<String, Long> good = new HashMap<>();
    ends.stream().filter(End::isGood).forEach(end -> good.merge(end.tenant(), 1L, Long::sum));
    return good;
  }

  long refused(Class<? extends NoAnswer> why) {
    return ends.stream().filter(end -> why.isInstance(end.why())).count();
  }

  /// Of those that were answered.
  long latencyNanos(double quantile) {
    long[] sorted =
        ends.stream().filter(end -> end.why() == null).mapToLong(end -> end.endedNanos() - end.cameNanos()).sorted().toArray();
    return sorted.length == 0 ? 0 : sorted[(int) Math.min(sorted.length - 1, (long) (quantile * sorted.length))];
  }
}
