package dev.sluice.router.observation;

import static java.util.Objects.requireNonNull;

import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Cause;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.observation.SegmentSnapshot.VariantSnapshot;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/// Everything that people read about one segment of a rollout: latency of both variants, disagreement, outcomes, fallbacks.
///
/// Recording is wait-free. Snapshots are copies; a count that moves while
/// one is taken shows up in the next.
public final class SegmentRecorder {

  /// Latencies are kept up to one minute, to 1 %.
  private static final long LATENCY_NANOS_MAX = 60_000_000_000L;

  private static final long LATENCY_NANOS_MIN = 64;
  private static final double DISTANCE_UNIT = 1e-6;

  private final VariantRecorder baseline = new VariantRecorder();
  private final VariantRecorder candidate = new VariantRecorder();
  private final Map<FallbackReason, LongAdder> fellBack = new EnumMap<>(FallbackReason.class);
  private final LongAdder compared = new LongAdder();
  private final Map<Cause, LongAdder> disagreed = new EnumMap<>(Cause.class);
  private final LongAdder repeated = new LongAdder();
  private final LongAdder repeatDisagreed = new LongAdder();
  private final Cells distanceMillionths = new Cells(1, (long) (Disagreement.DISTANCE_MAX / DISTANCE_UNIT));

  public SegmentRecorder() {
    for (FallbackReason reason : FallbackReason.values()) {
      fellBack.put(reason, new LongAdder());
    }
    for (Cause cause : Cause.values()) {
      disagreed.put(cause, new LongAdder());
    }
  }

  public void record(Observation observation) {
    switch (observation) {
      case Observation.Answered o -> answered(o.variant(), o.shadow(), o.latencyNanos());
      case Observation.Failed o -> of(o.variant()).failed(o.latencyNanos());
      case Observation.FellBack o -> requireNonNull(fellBack.get(o.reason())).increment();
      case Observation.Compared o -> compared(o.disagreement());
      case Observation.Repeated o -> repeated(o.repeatDisagrees());
      case Observation.Measured _, Observation.Labelled _, Observation.Crashed _ -> {}
    }
  }

  /// As [#record] of an [Observation.Answered] of these values.
  public void answered(Variant variant, boolean shadow, long latencyNanos) {
    of(variant).answered(shadow, latencyNanos);
  }

  private void compared(Disagreement disagreement) {
    compared.increment();
    if (disagreement.disagrees()) {
      requireNonNull(disagreed.get(disagreement.cause())).increment();
    }
    distanceMillionths.add((long) (disagreement.distance() / DISTANCE_UNIT));
  }

  private void repeated(boolean disagrees) {
    repeated.increment();
    if (disagrees) {
      repeatDisagreed.increment();
    }
  }

  private VariantRecorder of(Variant variant) {
    return variant == Variant.BASELINE ? baseline : candidate;
  }

  /// Runs of a variant, well or badly, live and shadow: what a snapshot's latencies count.
  public long runs(Variant variant) {
    return of(variant).runs();
  }

  public SegmentSnapshot snapshot() {
    Map<FallbackReason, Long> reasons = new EnumMap<>(FallbackReason.class);
    fellBack.forEach((reason, count) -> reasons.put(reason, count.sum()));
    Map<Cause, Long> causes = new EnumMap<>(Cause.class);
    disagreed.forEach((cause, count) -> causes.put(cause, count.sum()));
    causes.remove(Cause.NONE);
    return new SegmentSnapshot(
        baseline.snapshot(), candidate.snapshot(), reasons, compared.sum(), causes, repeated.sum(), repeatDisagreed.sum(),
        distanceMillionths.snapshot());
  }

  private static final class VariantRecorder {
    private final LongAdder answered = new LongAdder();
    private final LongAdder shadowed = new LongAdder();
    private final LongAdder failed = new LongAdder();
    private final Cells latencyNanos = new Cells(LATENCY_NANOS_MIN, LATENCY_NANOS_MAX);

    void answered(boolean shadow, long nanos) {
      (shadow ? shadowed : answered).increment();
      latencyNanos.add(nanos);
    }

    void failed(long nanos) {
      failed.increment();
      latencyNanos.add(nanos);
    }

    long runs() {
      return answered.sum() + shadowed.sum() + failed.sum();
    }

    VariantSnapshot snapshot() {
      return new VariantSnapshot(answered.sum(), shadowed.sum(), failed.sum(), latencyNanos.snapshot());
    }
  }
}
