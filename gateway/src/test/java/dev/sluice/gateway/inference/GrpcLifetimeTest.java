package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.routing.CallLifetime;
import dev.sluice.gateway.routing.InferenceFailure.Kind;
import io.grpc.Context;
import io.grpc.Deadline;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/// What the end of a call is called.
class GrpcLifetimeTest {

  private static final class Clock extends Deadline.Ticker {
    private long nanos;

    @Override
    public long nanoTime() {
      return nanos;
    }
  }

  private final Clock clock = new Clock();

  @Test
  void aCallerThatGivesUpAtItsDeadlineMayBeALittleAheadOfTheServersClock() {
    assertThat(kindWithLeft(-1)).isEqualTo(Kind.DEADLINE_EXCEEDED);
    assertThat(kindWithLeft(0)).isEqualTo(Kind.DEADLINE_EXCEEDED);
    assertThat(kindWithLeft(CallLifetime.CALLER_AHEAD_NANOS)).isEqualTo(Kind.DEADLINE_EXCEEDED);
    assertThat(kindWithLeft(CallLifetime.CALLER_AHEAD_NANOS + 1)).isEqualTo(Kind.CANCELLED);
  }

  @Test
  void whoHasNoDeadlineCancels() {
    assertThat(new GrpcLifetime(Context.ROOT).over().kind()).isEqualTo(Kind.CANCELLED);
  }

  private Kind kindWithLeft(long nanos) {
    long total = TimeUnit.SECONDS.toNanos(1);
    Deadline deadline = Deadline.after(total, TimeUnit.NANOSECONDS, clock);
    clock.nanos += total - nanos;
    try (ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        Context.CancellableContext context = Context.ROOT.withDeadline(deadline, timer)) {
      return new GrpcLifetime(context).over().kind();
    }
  }
}
