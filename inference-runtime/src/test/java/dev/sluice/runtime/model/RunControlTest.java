package dev.sluice.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class RunControlTest {
  @Test
  void terminatingStopsTheRunsInProgressAndNoOthers() {
    RunControl control = RunControl.create();
    AtomicInteger first = new AtomicInteger();
    AtomicInteger second = new AtomicInteger();
    Runnable stopFirst = first::incrementAndGet;
    Runnable stopSecond = second::incrementAndGet;
    assertThat(control.begin(stopFirst)).isTrue();
    assertThat(control.begin(stopSecond)).isTrue();
    control.end(stopFirst);
    control.terminate();
    assertThat(first).hasValue(0);
    assertThat(second).hasValue(1);
    assertThat(control.isTerminated()).isTrue();
    assertThat(control.begin(stopFirst)).isFalse();
  }

  @Test
  void nobodyTerminatesTheRunsOfEverybody() {
    assertThatExceptionOfType(UnsupportedOperationException.class).isThrownBy(() -> RunControl.none().terminate());
    assertThat(RunControl.none().isTerminated()).isFalse();
  }

  /// What the stop touches is freed right after `end`; a stop that still came would touch freed memory.
  @Test
  void aStopIsNeverCalledAfterItsRunEnded() throws Exception {
    try (ExecutorService threads = Executors.newSingleThreadExecutor()) {
      for (int round = 0; round < 20_000; round++) {
        RunControl control = RunControl.create();
        AtomicBoolean freed = new AtomicBoolean();
        AtomicBoolean tooLate = new AtomicBoolean();
        Runnable stop = () -> tooLate.set(freed.get());
        Future<?> terminating = threads.submit(control::terminate);
        if (control.begin(stop)) {
          control.end(stop);
          freed.set(true);
        }
        terminating.get();
        assertThat(tooLate).isFalse();
      }
    }
  }
}
