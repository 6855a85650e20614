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
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/// The meters of one rollout, made when it begins: their number is fixed by its note.
///
/// Gauges of a rollout that has ended are taken away; its counters and histograms stay until the process ends.
public final class RolloutMeters {

  private static final double[] DISTANCE_BUCKETS = {1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 10, 100};

  private final MeterRegistry registry;
  private final GatewayMetrics metrics;
  private final RolloutNote note;
  private final IntFunction<String> segmentNames;

  /// Made when a segment is first met: some are found on the way.
  private final AtomicReferenceArray<SegmentMeters> segments;

  private final List<Meter> whileLive = new ArrayList<>();
  private LongSupplier shadowsDropped = () -> 0;
  private LongSupplier leftOut = () -> 0;

  RolloutMeters(
      MeterRegistry registry, GatewayMetrics metrics, RolloutNote note, IntFunction<String> segmentNames) {
    this.registry = registry;
    this.metrics = metrics;
    this.note = note;
    this.segmentNames = segmentNames;
    Segments all = note.allSegments();
    this.segments = new AtomicReferenceArray<>(all.capacity());
    for (int segment = 0; segment < all.declaredAndOther(); segment++) {
      segments.set(segment, new SegmentMeters(segmentNames.apply(segment)));
    }
  }

  private SegmentMeters of(int segment) {
    SegmentMeters meters = segments.get(segment);
    if (meters == null) {
      segments.compareAndSet(segment, null, new SegmentMeters(segmentNames.apply(segment)));
      meters = segments.get(segment);
    }
    return meters;
  }

  /// The meters of one segment.
  private final class SegmentMeters {
    private final Map<Variant, CallMeters> calls = new EnumMap<>(Variant.class);
    private final Map<FallbackReason, Counter> fallbacks = new EnumMap<>(FallbackReason.class);
    private final DistributionSummary disagreement;
    private final Map<Cause, Counter> disagreed = new EnumMap<>(Cause.class);
    private final Map<Variant, Counter> failures = new EnumMap<>(Variant.class);
    private final Counter repeated;
    private final Counter repeatDisagreed;

    SegmentMeters(String name) {
      calls.put(Variant.BASELINE, metrics.calls(note.model(), note.baselineVersion(), Variant.BASELINE, name));
      calls.put(Variant.CANDIDATE, metrics.calls(note.model(), note.candidateVersion(), Variant.CANDIDATE, name));
      Tags tags = Tags.of("model", note.model(), "rollout", note.name(), "segment", name);
      for (FallbackReason reason : FallbackReason.values()) {
        fallbacks.put(
            reason,
            Counter.builder("sluice.fallbacks")
                .description("Requests assigned to the candidate that the baseline answered")
                .tags(tags.and("reason", reason.label()))
                .register(registry));
      }
      Tags compared =
          tags.and("version", Long.toString(note.candidateVersion()), "variant", Variant.CANDIDATE.label());
      disagreement =
          DistributionSummary.builder("sluice.disagreement")
              .description("Distance between the two variants' answers to the same request")
              .serviceLevelObjectives(DISTANCE_BUCKETS)
              .tags(compared)
              .register(registry);
      for (Cause cause : Cause.values()) {
        if (cause != Cause.NONE) {
          disagreed.put(
              cause,
              Counter.builder("sluice.disagreements")
                  .description("Compared requests whose answers were farther apart than the note allows")
                  .tags(compared.and("cause", cause.label()))
                  .register(registry));
        }
      }
      for (Variant variant : Variant.values()) {
        failures.put(
            variant,
            Counter.builder("sluice.variant.failures")
                .description("Runs of a variant that failed, live or as shadow")
                .tags(tags.and("variant", variant.label()))
                .register(registry));
      }
      repeated =
          Counter.builder("sluice.repeats")
              .description("Shadowed requests that the baseline ran a second time")
              .tags(tags)
              .register(registry);
      repeatDisagreed =
          Counter.builder("sluice.repeat.disagreements")
              .description("Of those, where the baseline disagreed with itself")
              .tags(tags)
              .register(registry);
    }

    void record(Observation observation) {
      switch (observation) {
        case Observation.Failed o -> increment(failures, o.variant());
        case Observation.FellBack o -> increment(fallbacks, o.reason());
        case Observation.Compared o -> {
          disagreement.record(o.disagreement().distance());
          increment(disagreed, o.disagreement().cause());
        }
        case Observation.Repeated o -> {
          repeated.increment();
          if (o.repeatDisagrees()) {
            repeatDisagreed.increment();
          }
        }
        // Answers are counted where the caller was answered.
        case Observation.Answered _,
            Observation.Measured _,
            Observation.Labelled _,
            Observation.Crashed _ -> {}
      }
    }
  }

  public CallMeters calls(Variant variant, int segment) {
    CallMeters meters = of(segment).calls.get(variant);
    if (meters == null) {
      throw new IllegalStateException("no meters for " + variant);
    }
    return meters;
  }

  public void record(Observation observation) {
    of(observation.segment()).record(observation);
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
  /// @param leftOut lines of evidence for which there was no room
  public void bind(
      LongSupplier exposure, LongSupplier shadowsWaiting, LongSupplier shadowsDropped, LongSupplier leftOut) {
    Tags tags = Tags.of("model", note.model(), "rollout", note.name());
    gauge("weight.ratio", "Share of keys that the candidate answers", tags,
        () -> Exposure.weightBasisPoints(exposure.getAsLong()) / (double) Exposure.ALL);
    gauge("shadow.ratio", "Share of requests that both variants run", tags,
        () -> Exposure.shadowBasisPoints(exposure.getAsLong()) / (double) Exposure.ALL);
    gauge("epoch", "Grows by one at every flip and weight change", tags, () -> Exposure.epoch(exposure.getAsLong()));
    gauge("shadow.queue.depth", "Copies of requests that wait to be run", tags, shadowsWaiting::getAsLong);
    this.shadowsDropped = shadowsDropped;
    this.leftOut = leftOut;
    whileLive.add(
        FunctionCounter.builder("sluice.evidence.left.out", this, RolloutMeters::leftOut)
            .description("Lines of evidence for which the log had no room: they can delay a stop")
            .tags(tags)
            .register(registry));
    whileLive.add(
        FunctionCounter.builder("sluice.shadow.dropped", this, RolloutMeters::shadowsDropped)
            .description("Copies of requests that were shed")
            .tags(tags)
            .register(registry));
  }

  private double leftOut() {
    return leftOut.getAsLong();
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
