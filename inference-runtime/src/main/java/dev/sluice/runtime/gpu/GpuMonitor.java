package dev.sluice.runtime.gpu;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Watches the machine's NVIDIA GPUs, on one thread that nobody waits for.
///
/// A driver that hangs stops that thread and nothing else; readings that have become old are then no longer shown.
public final class GpuMonitor implements AutoCloseable {
  /// How often the GPUs are asked.
  public static final Duration INTERVAL = Duration.ofSeconds(1);

  private static final Logger log = LoggerFactory.getLogger(GpuMonitor.class);
  private static final String LIBRARY = "libnvidia-ml.so.1";
  private static final int INTERVALS_MAX_AGE = 10;

  private final Nvml nvml;
  private final List<Gpu> gpus;
  private final long ageNanosMax;
  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(
          task -> Thread.ofPlatform().daemon().name("sluice-gpus").unstarted(task));
  private volatile Snapshot latest;

  private record Gpu(long device, String uuid, double energyAtStart) {}

  private record Snapshot(long takenNanos, List<GpuReading> readings) {}

  private GpuMonitor(Nvml nvml, List<Gpu> gpus, Duration interval) {
    this.nvml = nvml;
    this.gpus = gpus;
    this.ageNanosMax = interval.toNanos() * INTERVALS_MAX_AGE;
    this.latest = read();
    var _ = thread.scheduleWithFixedDelay(this::readAgain, interval.toNanos(), interval.toNanos(), TimeUnit.NANOSECONDS);
  }

  /// Starts watching; null on a machine without GPUs, driver or the driver's management library.
  public static @Nullable GpuMonitor start() {
    return start(LIBRARY, INTERVAL);
  }

  static @Nullable GpuMonitor start(String library, Duration interval) {
    Nvml nvml = Nvml.open(library);
    if (nvml == null) {
      return null;
    }
    List<Gpu> gpus = new ArrayList<>();
    for (long device : nvml.devices()) {
      String uuid = device == 0 ? null : nvml.uuid(device);
      if (uuid != null) {
        gpus.add(new Gpu(device, uuid, nvml.energyJoules(device)));
      }
    }
    if (gpus.isEmpty()) {
      nvml.close();
      return null;
    }
    log.info("watching the GPUs {}", gpus.stream().map(Gpu::uuid).toList());
    return new GpuMonitor(nvml, gpus, interval);
  }

  /// The GPUs as they were lately, in the machine's order; empty when the driver has not answered for long.
  public List<GpuReading> readings() {
    Snapshot snapshot = latest;
    return System.nanoTime() - snapshot.takenNanos() > ageNanosMax ? List.of() : snapshot.readings();
  }

  @Override
  public void close() {
    thread.shutdownNow();
    try {
      // A thread that hangs in the driver keeps the library: freeing it under the thread would end the process.
      if (thread.awaitTermination(1, TimeUnit.SECONDS)) {
        nvml.close();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void readAgain() {
    try {
      latest = read();
    } catch (RuntimeException e) {
      // The next time may be better; what was read grows old meanwhile.
      log.debug("the GPUs could not be read", e);
    }
  }

  private Snapshot read() {
    List<GpuReading> readings = new ArrayList<>(gpus.size());
    for (Gpu gpu : gpus) {
      double[] memory = nvml.memory(gpu.device());
      readings.add(
          new GpuReading(
              gpu.uuid(),
              nvml.utilization(gpu.device()),
              memory[0],
              memory[1],
              nvml.powerWatts(gpu.device()),
              nvml.powerLimitWatts(gpu.device()),
              nvml.energyJoules(gpu.device()) - gpu.energyAtStart()));
    }
    return new Snapshot(System.nanoTime(), List.copyOf(readings));
  }
}
