package dev.sluice.runtime.batching;

import dev.sluice.linux.LinuxCalls;
import dev.sluice.runtime.model.ModelVersion;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// The queue of every version that has had a request, and the threads that they share.
///
/// There are as many threads as runs in progress, and those that ended less than ten seconds ago: the versions'
/// instances bound them, and a version that nobody asks costs none. They give way to threads that do not compute. A queue goes with its version: when the version is
/// closed its last request has ended.
public final class VersionQueues implements AutoCloseable {

  private static final long IDLE_SECONDS = 10;

  private final ConcurrentMap<ModelVersion, VersionQueue> queues = new ConcurrentHashMap<>();
  private final ThreadPoolExecutor threads;
  private final Timekeeper time;

  /// @param timer rings the queues' alarms; it stays the caller's
  public VersionQueues(ScheduledExecutorService timer) {
    this.time = Timekeeper.of(timer);
    AtomicInteger number = new AtomicInteger();
    this.threads =
        new ThreadPoolExecutor(
            0,
            Integer.MAX_VALUE,
            IDLE_SECONDS,
            TimeUnit.SECONDS,
            new SynchronousQueue<>(),
            task ->
                Thread.ofPlatform()
                    .daemon()
                    .name("sluice-model-" + number.incrementAndGet())
                    .unstarted(
                        () -> {
                          LinuxCalls.lowerPriorityOfThisThread(LinuxCalls.COMPUTING);
                          task.run();
                        }));
  }

  /// @param leased by the caller
  public VersionQueue of(ModelVersion leased) {
    VersionQueue queue = queues.get(leased);
    return queue != null ? queue : queues.computeIfAbsent(leased, this::open);
  }

  /// Null if it has had no request.
  public @Nullable VersionQueue find(ModelVersion version) {
    return queues.get(version);
  }

  private VersionQueue open(ModelVersion version) {
    VersionQueue queue = new VersionQueue(version, threads, time);
    // The lease in the caller's hand keeps this from happening before the queue is in the map.
    var _ =
        version
            .closed()
            .whenComplete(
                (_, _) -> {
                  queues.remove(version);
                  queue.close();
                });
    return queue;
  }

  /// Requests that wait, all versions together.
  public int waiting() {
    int waiting = 0;
    for (VersionQueue queue : queues.values()) {
      waiting += queue.waiting();
    }
    return waiting;
  }

  /// Whether requests of any version wait because all its instances are busy.
  public boolean isBackedUp() {
    for (VersionQueue queue : queues.values()) {
      if (queue.isBackedUp()) {
        return true;
      }
    }
    return false;
  }

  @Override
  public void close() {
    threads.shutdownNow();
  }
}
