package dev.sluice.gateway.metrics;

import com.sun.management.OperatingSystemMXBean;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.runtime.model.ModelVersion;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MultiGauge;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.binder.jvm.ClassLoaderMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.core.instrument.config.MeterFilter;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;

/// All meters of one gateway. Labels come from the repository and from notes, never from callers, so their number is bounded.
public final class GatewayMetrics implements AutoCloseable {

  private record CallKey(String model, long version, String variant, String segment) {}

  private final PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final JvmGcMetrics gc = new JvmGcMetrics();
  private final Map<CallKey, CallMeters> calls = new ConcurrentHashMap<>();
  private final Map<String, Counter> refused = new ConcurrentHashMap<>();
  private final GpuMeters gpus = new GpuMeters(registry);
  private final MultiGauge stages =
      MultiGauge.builder("sluice.rollout.stage").description("1 for the stage that a rollout is in").register(registry);

  public GatewayMetrics() {
    // Named against Prometheus' rules; the processor's time follows under the name that dashboards look for.
    registry.config().meterFilter(MeterFilter.denyNameStartsWith("process.cpu.time"));
    registry.config().meterFilter(MeterFilter.denyNameStartsWith("system.cpu.count"));
    if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
      FunctionCounter.builder("process.cpu", system, s -> s.getProcessCpuTime() / 1e9)
          .description("Processor time of this process, user and system")
          .baseUnit("seconds")
          .register(registry);
    }
    new ClassLoaderMetrics().bindTo(registry);
    new JvmMemoryMetrics().bindTo(registry);
    new JvmThreadMetrics().bindTo(registry);
    new ProcessorMetrics().bindTo(registry);
    new UptimeMetrics().bindTo(registry);
    new FileDescriptorMetrics().bindTo(registry);
    gc.bindTo(registry);
  }

  /// Prometheus' text format.
  public String scrape() {
    gpus.refresh();
    return registry.scrape();
  }

  public GpuMeters gpus() {
    return gpus;
  }

  /// The meters of a version outside a rollout.
  public CallMeters calls(String model, long version) {
    return calls(model, version, "", "");
  }

  CallMeters calls(String model, long version, Variant variant, String segment) {
    return calls(model, version, variant.label(), segment);
  }

  private CallMeters calls(String model, long version, String variant, String segment) {
    return calls.computeIfAbsent(
        new CallKey(model, version, variant, segment),
        key ->
            new CallMeters(
                registry,
                Tags.of(
                    "model", key.model(),
                    "version", Long.toString(key.version()),
                    "variant", key.variant(),
                    "segment", key.segment())));
  }

  /// @param segmentNames by number, those found on the way included
  public RolloutMeters rollout(RolloutNote note, IntFunction<String> segmentNames) {
    return new RolloutMeters(registry, this, note, segmentNames);
  }

  /// A dry run's rules would have flipped it.
  public void stopRuleWouldHaveFired(RolloutNote note, String rule, String segment) {
    Counter.builder("sluice.stop.rule.would.have.fired")
        .description("Verdicts of dry runs, by the rule that would have flipped to the baseline")
        .tags("model", note.model(), "rollout", note.name(), "rule", rule, "segment", segment)
        .register(registry)
        .increment();
  }

  public void stopRuleFired(RolloutNote note, String rule, String segment) {
    Counter.builder("sluice.stop.rule.fired")
        .description("Flips to the baseline, by the rule that fired")
        .tags("model", note.model(), "rollout", note.name(), "rule", rule, "segment", segment)
        .register(registry)
        .increment();
  }

  /// One row for each rollout: name, model, stage.
  public record StageRow(String rollout, String model, String stage) {}

  public void stages(List<StageRow> rows) {
    List<MultiGauge.Row<?>> gauges = new ArrayList<>();
    for (StageRow row : rows) {
      gauges.add(
          MultiGauge.Row.of(Tags.of("rollout", row.rollout(), "model", row.model(), "stage", row.stage()), 1));
    }
    stages.register(gauges, true);
  }

  public void bind(Supplier<Number> waiting, Supplier<Number> versionsReady) {
    Gauge.builder("sluice.queue.depth", waiting)
        .description("Live requests that wait for a thread")
        .register(registry);
    Gauge.builder("sluice.model.versions.ready", versionsReady)
        .description("Model versions that are ready")
        .register(registry);
  }

  public void bytesInFlight(Supplier<Number> bytes) {
    Gauge.builder("sluice.bytes.in.flight", bytes)
        .description("Bytes of large requests and answers in memory")
        .baseUnit("bytes")
        .register(registry);
  }

  /// Shows what these versions do under Triton's names too.
  ///
  /// @param ready the versions that are ready now
  /// @return to be run when versions have come or gone
  public Runnable showVersions(Supplier<List<ModelVersion>> ready) {
    TritonMetrics versions = new TritonMetrics(ready);
    registry.getPrometheusRegistry().register(versions);
    versions.look();
    return versions::look;
  }

  /// A request that never reached a version.
  ///
  /// @param code the kind of failure, one of a fixed few; what the caller wrote is no label
  public void refused(String code) {
    refused
        .computeIfAbsent(
            code,
            c ->
                Counter.builder("sluice.requests.refused")
                    .description("Requests refused before they reached a version")
                    .tag("code", c)
                    .register(registry))
        .increment();
  }

  /// Whether the control state could be read; 0 means that every model is served by its baseline and no rollout can run.
  public void storeReadable(boolean readable) {
    Gauge.builder("sluice.store.readable", () -> readable ? 1 : 0)
        .description("Whether the control state could be read")
        .register(registry);
  }

  @Override
  public void close() {
    gc.close();
    registry.close();
  }
}
