package dev.sluice.runtime.batching;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class StandingQueueTest {
  private static final long RUN_NANOS = TimeUnit.MILLISECONDS.toNanos(5);
  private static final long HURRIED_NANOS = TimeUnit.MILLISECONDS.toNanos(12);

  private final StandingQueue queue = new StandingQueue(new Pace(1, RUN_NANOS, 1), 1);

  @Test
  void aHurriedCallerThatWasRefusedShortensTheQueueOfALastingOverload() {
    queue.refused(HURRIED_NANOS, 0);
    waitsFor(TimeUnit.MILLISECONDS.toNanos(60), 0);

    assertThat(queue.limit()).isEqualTo(2);
  }

  /// Nobody else need have been refused meanwhile.
  @Test
  void itIsForgottenAfterAWhile() {
    queue.refused(HURRIED_NANOS, 0);
    waitsFor(TimeUnit.MILLISECONDS.toNanos(60), TimeUnit.HOURS.toNanos(1));

    assertThat(queue.limit()).isEqualTo(Integer.MAX_VALUE);
  }

  /// Requests leave for half a second, all of which have waited that long.
  private void waitsFor(long waitedNanos, long fromNanos) {
    for (long nanos = 0; nanos < TimeUnit.MILLISECONDS.toNanos(500); nanos += RUN_NANOS) {
      queue.left(waitedNanos, fromNanos + nanos);
    }
  }
}
