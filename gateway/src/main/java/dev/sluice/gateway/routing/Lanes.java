package dev.sluice.gateway.routing;

import dev.sluice.runtime.model.ModelVersion;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// The threads that live requests run on.
///
/// A model of microseconds runs on the event loop that brought the request: handing it to another thread would cost several
/// times what the model does. A slower one runs on a pool, so that it does not stall the other requests of its loop. The
/// model's own recent run time decides, call by call, and [InlineWatch] corrects it where a request takes longer than its like.
public final class Lanes implements AutoCloseable {

  /// Models faster than this run where the request arrived.
  static final long INLINE_NANOS_MAX = 100_000;

  /// Requests that wait for a thread, all models together; one more is refused.
  static final int WAITING_MAX = 1024;

  private final ThreadPoolExecutor pool;
  private final ScheduledThreadPoolExecutor timer;
  private final InlineWatch inlineWatch;

  public Lanes(int threads) {
    this.pool = pool("sluice-model", threads, WAITING_MAX);
    this.timer = new ScheduledThreadPoolExecutor(1, named("sluice-timer"));
    timer.setRemoveOnCancelPolicy(true);
    this.inlineWatch = new InlineWatch(timer);
  }

  /// A bounded pool of named daemon threads that refuses what does not fit.
  static ThreadPoolExecutor pool(String name, int threads, int waitingMax) {
    ThreadPoolExecutor pool =
        new ThreadPoolExecutor(
            threads, threads, 10, TimeUnit.SECONDS, new ArrayBlockingQueue<>(waitingMax), named(name));
    pool.allowCoreThreadTimeOut(true);
    return pool;
  }

  static ThreadFactory named(String name) {
    AtomicInteger number = new AtomicInteger();
    return task -> Thread.ofPlatform().daemon().name(name + "-" + number.incrementAndGet()).unstarted(task);
  }

  static boolean runsInline(ModelVersion version) {
    long typical = version.typicalRunNanos();
    return typical > 0 && typical < INLINE_NANOS_MAX; // 0: never run yet, so nothing is known
  }

  /// @throws RejectedExecutionException when as many requests wait as may
  void execute(Runnable task) {
    pool.execute(task);
  }

  InlineWatch inlineWatch() {
    return inlineWatch;
  }

  /// For deadlines only: nothing that takes time may run on it.
  ScheduledThreadPoolExecutor timer() {
    return timer;
  }

  /// Live requests that wait for a thread.
  public int waiting() {
    return pool.getQueue().size();
  }

  @Override
  public void close() {
    timer.shutdownNow();
    pool.shutdownNow();
  }
}
