package dev.sluice.runtime.repository;

import dev.sluice.linux.LinuxCalls;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelLoadException.Kind;
import dev.sluice.runtime.model.ModelVersion;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// The threads that load and warm models, at the lowest priority, so that the requests of other models hardly notice.
///
/// They come in pairs: a throttled one that works, and an ordinary one that waits for it and then wakes who had asked.
/// A thread inherits the priority of the thread that starts it, and waking a virtual thread may start one more thread
/// for all virtual threads to run on: none may be started by a throttled one. For the same reason a session that starts
/// threads of its own is loaded on the ordinary thread, and all threads here are started when the pairs are made.
///
/// As many loads run at the same time as there are pairs; callers wait for their turn in the order in which they came.
final class LoaderThreads implements AutoCloseable {

  /// Something to be loaded.
  interface Load {
    ModelVersion run() throws ModelLoadException;
  }

  private static final long CLOSE_SECONDS_MAX = 10;

  private final ThreadPoolExecutor ordinary;
  private final ThreadPoolExecutor throttled;
  private volatile boolean closed;

  LoaderThreads(int pairs) {
    // Made here, by an ordinary thread, if it is not there yet: the timer of all futures, which warming up uses.
    CompletableFuture.runAsync(() -> {}, CompletableFuture.delayedExecutor(0, TimeUnit.NANOSECONDS)).join();
    ordinary = pool("sluice-load-", pairs, false);
    throttled = pool("sluice-load-throttled-", pairs, true);
  }

  private static ThreadPoolExecutor pool(String name, int threads, boolean nice) {
    AtomicInteger number = new AtomicInteger();
    ThreadPoolExecutor pool =
        new ThreadPoolExecutor(
            threads,
            threads,
            0,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(), // bounded by the callers, each of whom waits for its load
            work ->
                Thread.ofPlatform()
                    .daemon()
                    .name(name + number.incrementAndGet())
                    .unstarted(
                        () -> {
                          if (nice) {
                            LinuxCalls.lowerPriorityOfThisThread(LinuxCalls.NICEST);
                          }
                          work.run();
                        }));
    pool.prestartAllCoreThreads();
    return pool;
  }

  /// Waits until the work is done, and for its turn before; an interrupt does not end the waiting.
  ///
  /// @param startsThreads whether threads that the work starts outlive it
  ModelVersion load(Load work, boolean startsThreads) throws ModelLoadException {
    return await(submit(ordinary, startsThreads ? work : () -> await(submit(throttled, work))));
  }

  private Future<ModelVersion> submit(ExecutorService threads, Load work) throws ModelLoadException {
    try {
      return threads.submit(
          () -> {
            if (closed) {
              throw closed();
            }
            return work.run();
          });
    } catch (RejectedExecutionException e) {
      throw closed();
    }
  }

  private static ModelVersion await(Future<ModelVersion> load) throws ModelLoadException {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          return load.get();
        } catch (InterruptedException e) {
          // What is being loaded is nobody else's to close: who asked for it waits for it.
          interrupted = true;
        }
      }
    } catch (ExecutionException e) {
      if (e.getCause() instanceof ModelLoadException failure) {
        throw failure;
      }
      throw new ModelLoadException(Kind.FAILED, "loading failed in the server itself: " + e.getCause(), e.getCause());
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  static ModelLoadException closed() {
    return new ModelLoadException(Kind.UNAVAILABLE, "the model repository is closed");
  }

  /// Whoever waits for its turn is refused; a load that has begun is waited for, but not for ever.
  @Override
  public void close() {
    closed = true;
    ordinary.shutdown();
    try {
      var _ = ordinary.awaitTermination(CLOSE_SECONDS_MAX, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    throttled.shutdown();
  }
}
