package dev.sluice.gateway.metrics;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Cause;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.rollout.RolloutNote;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/// The meters of one rollout, made when it begins: their number is fixed by its note.
///
/// Gauges of a rollout that has ended are taken away; its counters and histograms stay until the process ends.
public final class RolloutMeters {

  private static final double[] DISTANCE_BUCKETS = {1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 10, 100};

  private final MeterRegistry registry;
  private final RolloutNote note;
  private final List<Map<Variant, CallMeters>> calls = new ArrayList<>();
  private final List<Map<FallbackReason, Counter>> fallbacks = new ArrayList<>();
  private final List<DistributionSummary> disagreement = new ArrayList<>();
  private final List<Map<Cause, Counter>> disagreed = new ArrayList<>();
  private final List<Map<Variant, Counter>> failures = new ArrayList<>();
  private final List<Meter> whileLive = new ArrayList<>();
  private LongSupplier shadowsDropped = () -> 0;

  RolloutMeters(MeterRegistry registry, GatewayMetrics metrics, RolloutNote note) {
    this.registry = registry;
    this.note = note;
    Segments segments = new Segments(note.segments());
    for (int segment = 0; segment < segments.count(); segment++) {
      String name = segments.name(segment);
      Map<Variant, CallMeters> byVariant = new EnumMap<>(Variant.class);
      byVariant.put(Variant.BASELINE, metrics.calls(note.model(), note.baselineVersion(), Variant.BASELINE, name));
      byVariant.put(Variant.CANDIDATE, metrics.calls(note.model(), note.candidateVersion(), Variant.CANDIDATE, name));
      calls.add(byVariant);
      Tags tags = Tags.of("model", note.model(), "rollout", note.name(), "segment", name);
      Map<FallbackReason, Counter> byReason = new EnumMap<>(FallbackReason.class);
      for (FallbackReason reason : FallbackReason.values()) {
        byReason.put(
            reason,
            Counter.builder("sluice.fallbacks")
                .description("Requests assigned to the candidate that the baseline answered")
                .tags(tags.and("reason", reason.label()))
                .register(registry));
      }
      fallbacks.add(byReason);
      Tags compared =
          tags.and("version", Long.toString(note.candidateVersion()), "variant", Variant.CANDIDATE.label());
      disagreement.add(
          DistributionSummary.builder("sluice.disagreement")
              .description("Distance between the two variants' answers to the same request")
              .serviceLevelObjectives(DISTANCE_BUCKETS)
              .tags(compared)
              .register(registry));
      Map<Cause, Counter> byCause = new EnumMap<>(Cause.class);
      for (Cause cause : Cause.values()) {
        if (cause != Cause.NONE) {
          byCause.put(
              cause,
              Counter.builder("sluice.disagreements")
                  .description("Compared requests whose answers were farther apart than the note allows")
                  .tags(compared.and("cause", cause.label()))
                  .register(registry));
        }
      }
      disagreed.add(byCause);
      Map<Variant, Counter> failed = new EnumMap<>(Variant.class);
      for (Variant variant : Variant.values()) {
        failed.put(
            variant,
            Counter.builder("sluice.variant.failures")
                .description("Runs of a variant that failed, live or as shadow")
                .tags(tags.and("variant", variant.label()))
                .register(registry));
      }
      failures.add(failed);
    }
  }

  public CallMeters calls(Variant variant, int segment) {
    CallMeters meters = calls.get(segment).get(variant);
    if (meters == null) {
      throw new IllegalStateException("no meters for " + variant);
    }
    return meters;
  }

  public void record(Observation observation) {
    switch (observation) {
      case Observation.Answered _ -> {} // counted where the caller was answered
      case Observation.Failed o -> increment(failures.get(o.segment()), o.variant());
      case Observation.FellBack o -> increment(fallbacks.get(o.segment()), o.reason());
      case Observation.Compared o -> {
        disagreement.get(o.segment()).record(o.disagreement().distance());
        increment(disagreed.get(o.segment()), o.disagreement().cause());
      }
    }
  }

  private static <K extends Enum<K>> void increment(Map<K, Counter> counters, K key) {
    Counter counter = counters.get(key);
    if (counter != null) {
      counter.increment();
    }
  }

  /// Shows the rollout's exposure and shadow queue for as long as it is live.
  ///
  /// @param exposure the rollout's [Exposure] word
  public void bind(LongSupplier exposure, LongSupplier shadowsWaiting, LongSupplier shadowsDropped) {
    Tags tags = Tags.of("model", note.model(), "rollout", note.name());
    gauge("weight.ratio", "Share of keys that the candidate answers", tags,
        () -> Exposure.weightBasisPoints(exposure.getAsLong()) / (double) Exposure.ALL);
    gauge("shadow.ratio", "Share of requests that both variants run", tags,
        () -> Exposure.shadowBasisPoints(exposure.getAsLong()) / (double) Exposure.ALL);
    gauge("epoch", "Grows by one at every flip and weight change", tags, () -> Exposure.epoch(exposure.getAsLong()));
    gauge("shadow.queue.depth", "Copies of requests that wait to be run", tags, shadowsWaiting::getAsLong);
    this.shadowsDropped = shadowsDropped;
    whileLive.add(
        FunctionCounter.builder("sluice.shadow.dropped", this, RolloutMeters::shadowsDropped)
            .description("Copies of requests that were shed")
            .tags(tags)
            .register(registry));
  }

  private double shadowsDropped() {
    return shadowsDropped.getAsLong();
  }

  private void gauge(String name, String description, Tags tags, Supplier<Number> value) {
    whileLive.add(
        Gauge.builder("sluice.rollout." + name, value).description(description).tags(tags).register(registry));
  }

  public void unbind() {
    whileLive.forEach(registry::remove);
  }
}
