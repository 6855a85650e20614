package dev.sluice.gateway.metrics;

import dev.sluice.runtime.gpu.GpuMonitor;
import dev.sluice.runtime.gpu.GpuReading;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.MultiGauge;
import io.micrometer.core.instrument.Tags;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;

/// What runs on which device, and the GPUs themselves under the names that Triton gives them.
public final class GpuMeters {

  /// One row for each device of each version that is loaded.
  ///
  /// @param asked what it was to run on: `cpu`, `gpu` or `auto`
  /// @param device `cpu`, or a GPU as `gpu:0`; `none` when it can run nowhere any more
  public record DeviceRow(String model, long version, String asked, String device) {}

  private final MeterRegistry registry;
  private final MultiGauge devices;
  private Supplier<List<DeviceRow>> rows = List::of;

  GpuMeters(MeterRegistry registry) {
    this.registry = registry;
    this.devices =
        MultiGauge.builder("sluice.model.device")
            .description("1 for each device that a version runs on; asked for auto and on the cpu: no GPU could be used")
            .register(registry);
  }

  /// @param rows asked at each scrape
  public synchronized void bindDevices(Supplier<List<DeviceRow>> rows) {
    this.rows = rows;
  }

  /// Shows the GPUs of a machine that has some.
  public void bindGpus(GpuMonitor monitor) {
    List<GpuReading> gpus = monitor.readings();
    for (int i = 0; i < gpus.size(); i++) {
      GpuReading gpu = gpus.get(i);
      Place place = new Place(monitor, i);
      Tags tags = Tags.of("gpu_uuid", gpu.uuid());
      gauge("nv.gpu.utilization", "GPU utilization rate [0.0 - 1.0)", tags, place, GpuReading::utilization);
      gauge("nv.gpu.memory.total.bytes", "GPU total memory, in bytes", tags, place, GpuReading::memoryTotalBytes);
      gauge("nv.gpu.memory.used.bytes", "GPU used memory, in bytes", tags, place, GpuReading::memoryUsedBytes);
      gauge("nv.gpu.power.usage", "GPU power usage in watts", tags, place, GpuReading::powerWatts);
      gauge("nv.gpu.power.limit", "GPU power management limit in watts", tags, place, GpuReading::powerLimitWatts);
      gauge("nv.energy.consumption", "GPU energy consumption in joules since the start", tags, place,
          GpuReading::energyJoules);
    }
  }

  /// Brings the rows up to date, before a scrape.
  synchronized void refresh() {
    List<MultiGauge.Row<?>> gauges = new ArrayList<>();
    for (DeviceRow row : rows.get()) {
      gauges.add(
          MultiGauge.Row.of(
              Tags.of(
                  "model", row.model(),
                  "version", Long.toString(row.version()),
                  "asked", row.asked(),
                  "device", row.device()),
              1));
    }
    devices.register(gauges, true);
  }

  private record Place(GpuMonitor monitor, int index) {
    double read(ToDoubleFunction<GpuReading> value) {
      List<GpuReading> readings = monitor.readings();
      return index < readings.size() ? value.applyAsDouble(readings.get(index)) : Double.NaN;
    }
  }

  // What a GPU does not tell at the start, it never tells; such a line would say NaN for ever.
  private void gauge(
      String name, String description, Tags tags, Place place, ToDoubleFunction<GpuReading> value) {
    if (!Double.isNaN(place.read(value))) {
      Gauge.builder(name, () -> place.read(value)).description(description).tags(tags).register(registry);
    }
  }
}
