package dev.sluice.router.observation;

import dev.sluice.router.comparison.Cause;
import java.util.EnumMap;
import java.util.Map;
import org.HdrHistogram.Histogram;

/// What a [SegmentRecorder] held at one moment. Snapshots of segments add up to the rollout's.
///
/// @param disagreedByCause every cause but none
/// @param repeated requests that the baseline ran twice, and `repeatDisagreed` those where it disagreed with itself
/// @param distanceMillionths distances between answers, in millionths of the comparison's unit
public record SegmentSnapshot(
    VariantSnapshot baseline,
    VariantSnapshot candidate,
    Map<FallbackReason, Long> fellBack,
    long compared,
    Map<Cause, Long> disagreedByCause,
    long repeated,
    long repeatDisagreed,
    Histogram distanceMillionths) {

  /// @param answered requests answered to callers
  /// @param shadowed copies run, compared and thrown away
  public record VariantSnapshot(long answered, long shadowed, long failed, Histogram latencyNanos) {

    VariantSnapshot plus(VariantSnapshot other) {
      return new VariantSnapshot(
          answered + other.answered,
          shadowed + other.shadowed,
          failed + other.failed,
          sum(latencyNanos, other.latencyNanos));
    }
  }

  /// Compared requests whose answers were farther apart than the note allows.
  public long disagreed() {
    return disagreedByCause.values().stream().mapToLong(count -> count).sum();
  }

  public SegmentSnapshot plus(SegmentSnapshot other) {
    Map<FallbackReason, Long> reasons = new EnumMap<>(fellBack);
    other.fellBack.forEach((reason, count) -> reasons.merge(reason, count, Long::sum));
    Map<Cause, Long> causes = new EnumMap<>(disagreedByCause);
    other.disagreedByCause.forEach((cause, count) -> causes.merge(cause, count, Long::sum));
    return new SegmentSnapshot(
        baseline.plus(other.baseline),
        candidate.plus(other.candidate),
        reasons,
        compared + other.compared,
        causes,
        repeated + other.repeated,
        repeatDisagreed + other.repeatDisagreed,
        sum(distanceMillionths, other.distanceMillionths));
  }

  private static Histogram sum(Histogram left, Histogram right) {
    Histogram sum = left.copy();
    sum.add(right);
    return sum;
  }
}
