package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The one thread on which control state changes.
final class SingleWriter implements AutoCloseable {

  private static final Logger log = LoggerFactory.getLogger(SingleWriter.class);
  private static final long CLOSE_SECONDS_MAX = 10;

  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(
          task -> Thread.ofPlatform().daemon().name("sluice-control").unstarted(task));

  /// Waits until the work is done.
  <T> T call(Callable<T> work) throws ControlFailure {
    try {
      return thread.submit(work).get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ControlFailure(Kind.UNAVAILABLE, "the gateway is shutting down");
    } catch (RejectedExecutionException e) {
      throw new ControlFailure(Kind.UNAVAILABLE, "the gateway is shutting down");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof ControlFailure failure) {
        throw failure;
      }
      log.error("a control command failed in the gateway itself", e.getCause());
      throw new ControlFailure(Kind.UNAVAILABLE, "the command failed in the gateway itself: " + e.getCause());
    }
  }

  /// Waits for nothing; false when the gateway is shutting down.
  boolean offer(Runnable work) {
    try {
      thread.execute(work);
      return true;
    } catch (RejectedExecutionException e) {
      return false;
    }
  }

  /// Again and again; a failure is reported and does not end it.
  void every(long millis, Runnable work) {
    var _ =
        thread.scheduleWithFixedDelay(
            () -> {
              try {
                work.run();
              } catch (RuntimeException e) {
                log.error("the review of rollouts failed", e);
              }
            },
            millis,
            millis,
            TimeUnit.MILLISECONDS);
  }

  /// Lets work that has begun or waits finish.
  @Override
  public void close() {
    thread.shutdown();
    try {
      if (!thread.awaitTermination(CLOSE_SECONDS_MAX, TimeUnit.SECONDS)) {
        log.error("control commands were still waiting to be written down");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
