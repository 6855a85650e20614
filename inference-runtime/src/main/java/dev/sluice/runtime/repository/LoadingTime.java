package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.RunControl;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/// An end to the runs that are made while a model is loaded: invented inputs may send it into a loop that real ones leave.
final class LoadingTime implements AutoCloseable {
  private final RunControl control = RunControl.create();
  private final CompletableFuture<Boolean> done;
  private final CompletableFuture<Void> guard;

  LoadingTime(long nanosMax) {
    done = new CompletableFuture<Boolean>().completeOnTimeout(false, nanosMax, TimeUnit.NANOSECONDS);
    guard =
        done.thenAccept(
            inTime -> {
              if (!inTime) {
                control.terminate();
              }
            });
  }

  /// For the runs: they end when the time is over.
  RunControl control() {
    return control;
  }

  @Override
  public void close() {
    done.complete(true);
    guard.join();
  }
}
