package dev.sluice.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.runtime.tensor.Tensor;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ModelVersionTest {
  private final FakeSession session = new FakeSession();

  @Test
  void anIdleVersionIsClosedWhenItIsRetired() {
    ModelVersion version = new ModelVersion("m", 1, session);
    assertThat(version.closed()).isNotDone();
    version.retire();
    version.closed().join();
    assertThat(session.closes).hasValue(1);
    assertThat(version.tryAcquire()).isFalse();
  }

  @Test
  void aRetiredVersionIsClosedWithItsLastLeaseAndNotBefore() {
    ModelVersion version = new ModelVersion("m", 1, session);
    assertThat(version.tryAcquire()).isTrue();
    assertThat(version.tryAcquire()).isTrue();
    version.retire();
    version.retire();
    version.release();
    assertThat(version.callsInFlight()).isEqualTo(1);
    assertThat(version.closed()).isNotDone();
    version.release();
    version.closed().join();
    assertThat(session.closes).hasValue(1);
  }

  @Test
  void returningALeaseTwiceIsAProgrammingError() {
    ModelVersion version = new ModelVersion("m", 1, session);
    assertThat(version.tryAcquire()).isTrue();
    version.release();
    assertThatIllegalStateException()
        .isThrownBy(version::release)
        .withMessage("a lease of model 'm' version 1 was returned more often than taken");
    version.retire();
    version.closed().join();
    assertThatIllegalStateException().isThrownBy(version::release);
  }

  @Test
  void aFailedCloseIsTold() {
    ModelVersion version = new ModelVersion("m", 1, session);
    session.failure = new IllegalStateException("stuck");
    version.retire();
    assertThat(version.closed()).failsWithin(Duration.ofSeconds(10)).withThrowableThat().withMessageContaining("stuck");
  }

  @Test
  void theTypicalRunFollowsWhatRunsTake() throws Exception {
    ModelVersion version = new ModelVersion("m", 1, session, ModelProfile.defaults(), 1_000_000_000);
    long before = version.typicalRunNanos();
    for (int i = 0; i < 100; i++) {
      version.run(List.of(), List.of("y"), RunControl.none());
    }
    assertThat(version.typicalRunNanos()).isPositive().isLessThan(before / 2);
  }

  @Test
  void oneRunThatLostItsProcessorHardlyChangesWhatIsTypical() throws Exception {
    ModelVersion version = new ModelVersion("m", 1, session, ModelProfile.defaults(), 1);
    version.run(List.of(), List.of("y"), RunControl.none()); // takes thousands of nanoseconds, after runs of one
    assertThat(version.typicalRunNanos()).isEqualTo(1); // 1 + (8 - 1) / 8
    ModelVersion slower = new ModelVersion("m", 2, session, ModelProfile.defaults(), 8);
    slower.run(List.of(), List.of("y"), RunControl.none());
    assertThat(slower.typicalRunNanos()).isEqualTo(8 + (64 - 8) / 8);
  }

  @Test
  void aStoppedRunCountsInFullForACallerAndAsAPauseForACopy() {
    session.stops = true;
    ModelVersion version = new ModelVersion("m", 1, session, ModelProfile.defaults(), 1);
    assertThatThrownBy(() -> version.runCopy(List.of(), List.of("y"), RunControl.none()))
        .isInstanceOf(ModelExecutionException.class);
    assertThat(version.typicalRunNanos()).isEqualTo(1); // 1 + (8 - 1) / 8
    assertThatThrownBy(() -> version.run(List.of(), List.of("y"), RunControl.none()))
        .isInstanceOf(ModelExecutionException.class);
    assertThat(version.typicalRunNanos()).isGreaterThan(8);
  }

  /// Threads take and return leases while one retires: no run on a closed session, exactly one close, no lease lost.
  @Test
  void leasesAndRetirementRaceSafely() throws Exception {
    int rounds = 300;
    int threads = 3;
    AtomicInteger runs = new AtomicInteger();
    try (ExecutorService pool = Executors.newFixedThreadPool(threads + 1)) {
      for (int round = 0; round < rounds; round++) {
        FakeSession fake = new FakeSession();
        ModelVersion version = new ModelVersion("m", round, fake);
        CyclicBarrier start = new CyclicBarrier(threads + 1);
        List<Future<?>> done = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
          done.add(
              pool.submit(
                  () -> {
                    start.await();
                    while (version.tryAcquire()) {
                      version.run(List.of(), List.of("y"), RunControl.none());
                      runs.incrementAndGet();
                      version.release();
                    }
                    return null;
                  }));
        }
        done.add(
            pool.submit(
                () -> {
                  start.await();
                  version.retire();
                  return null;
                }));
        for (Future<?> future : done) {
          future.get();
        }
        version.closed().join();
        assertThat(fake.closes).hasValue(1);
        assertThat(version.callsInFlight()).isZero();
      }
    }
    System.out.println(runs + " runs in " + rounds + " rounds");
  }

  private static final class FakeSession implements Session {
    private final AtomicInteger closes = new AtomicInteger();
    private @Nullable RuntimeException failure;
    private boolean stops;

    @Override
    public Signature signature() {
      return new Signature(List.of(), List.of(), List.of(), 0);
    }

    @Override
    public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
        throws ModelExecutionException {
      assertThat(closes).hasValue(0);
      if (stops) {
        throw new ModelExecutionException(ModelExecutionException.Kind.TERMINATED, "stopped");
      }
      return List.of();
    }

    @Override
    public DeviceUse devices() {
      return DeviceUse.cpu();
    }

    @Override
    public void close() {
      closes.incrementAndGet();
      RuntimeException thrown = failure;
      if (thrown != null) {
        throw thrown;
      }
    }
  }
}
