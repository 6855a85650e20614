package dev.sluice.runtime.gpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.runtime.testing.FakeNvml;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A management library compiled here and now stands for the driver's; without a C compiler these tests are skipped.
class GpuMonitorTest {
  @TempDir private Path folder;

  @Test
  void aMachineWithoutTheLibraryHasNoMonitor() {
    assertThat(GpuMonitor.start(folder.resolve("libnvidia-ml.so.1").toString(), Duration.ofSeconds(1))).isNull();
    assertThat(GpuMonitor.start("libsluice-has-no-such-library.so.1", Duration.ofSeconds(1))).isNull();
  }

  @Test
  void eachGpuIsReadAndWhatItDoesNotTellIsMissing() throws Exception {
    try (GpuMonitor monitor = GpuMonitor.start(FakeNvml.compile(folder).toString(), Duration.ofMillis(20))) {
      List<GpuReading> first = Objects.requireNonNull(monitor, "no monitor").readings();
      assertThat(first).extracting(GpuReading::uuid).containsExactly("GPU-first", "GPU-second");
      GpuReading gpu = first.getFirst();
      assertThat(gpu.utilization()).isEqualTo(0.37);
      assertThat(gpu.memoryTotalBytes()).isEqualTo(150e9);
      assertThat(gpu.memoryUsedBytes()).isEqualTo(1e9);
      assertThat(gpu.powerWatts()).isEqualTo(120.5);
      assertThat(gpu.powerLimitWatts()).as("a function that this library does not have").isNaN();
      assertThat(gpu.energyJoules()).as("since the start").isEqualTo(2.5);
      assertThat(first.getLast().utilization()).isEqualTo(1);
      assertThat(first.getLast().powerWatts()).isNaN();
      assertThat(first.getLast().energyJoules()).isNaN();

      await().until(() -> monitor.readings().getFirst().energyJoules() >= 10);
    }
  }

  @Test
  void withoutADriverThereIsNoMonitor() throws Exception {
    Path library = FakeNvml.compile(folder, "-DNO_DRIVER");
    assertThat(GpuMonitor.start(library.toString(), Duration.ofSeconds(1))).isNull();
  }
}
