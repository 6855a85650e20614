package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.CallLifetime;
import io.grpc.Context;
import io.grpc.Deadline;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/// A gRPC call's deadline and cancellation.
record GrpcLifetime(Context context) implements CallLifetime {

  @Override
  public long remainingNanos() {
    Deadline deadline = context.getDeadline();
    return deadline == null ? Long.MAX_VALUE : deadline.timeRemaining(TimeUnit.NANOSECONDS);
  }

  @Override
  public boolean isOver() {
    return context.isCancelled();
  }

  @Override
  public Registration onOver(Runnable action) {
    AtomicBoolean registered = new AtomicBoolean(true);
    Context.CancellationListener listener =
        _ -> {
          if (registered.getAndSet(false)) {
            action.run();
          }
        };
    context.addListener(listener, Runnable::run);
    return () -> {
      registered.set(false);
      context.removeListener(listener);
    };
  }
}
