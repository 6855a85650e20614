package dev.sluice.gateway.cli.picture;

import com.google.protobuf.Timestamp;
import dev.sluice.proto.control.v1.Bar;
import dev.sluice.proto.control.v1.Distribution;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.RuleEvidence;
import dev.sluice.proto.control.v1.SegmentReport;
import dev.sluice.proto.control.v1.Stop;
import dev.sluice.proto.control.v1.VariantReport;
import java.time.Instant;

/// Rollouts as a server would report them.
public final class Rollouts {
  private Rollouts() {}

  public static Rollout canary() {
    return Rollout.newBuilder()
        .setName("fraud-v2")
        .setModel("fraud")
        .setBaselineVersion(1)
        .setCandidateVersion(2)
        .setOwner("risk-team")
        .setState(RolloutState.CANARY)
        .setStep(1)
        .setStepCount(4)
        .setWeightBasisPoints(2_000)
        .setShadowBasisPoints(5_000)
        .setRevision(12)
        .setReason("step 2 began after 10,000 requests")
        .setWaitingFor("1,200 more requests in country=JP")
        .setAlpha(0.001)
        .setUpdateTime(Timestamp.newBuilder().setSeconds(Instant.parse("2026-11-20T09:30:00Z").getEpochSecond()))
        .addSegments(SegmentReport.newBuilder()
            .setBaseline(variant(80_000, 0, latency(80_000, 420, 1_900, 0, 60, 30, 8, 2, 0, 0, 0)))
            .setCandidate(variant(20_000, 3, latency(20_000, 610, 2_400, 0, 0, 30, 50, 15, 4, 1, 0)))
            .putFallbacks("late", 7)
            .putFallbacks("failed", 3)
            .setCompared(9_000)
            .setDisagreed(45))
        .addSegments(SegmentReport.newBuilder()
            .setSegment("country=JP")
            .setBaseline(variant(900, 0, latency(900, 430, 2_000, 0, 60, 30, 10, 0, 0, 0, 0)))
            .setCandidate(variant(210, 0, Distribution.getDefaultInstance())))
        .addRules(rule("failure-rate", "", 0.01, 3, 20_000, 8, 0.0002))
        .addRules(rule("disagreement-rate", "country=JP", 0.02, 4, 60, 39, 178.3))
        .setShadowsDropped(12)
        .build();
  }

  public static Rollout stopped() {
    return canary().toBuilder()
        .setState(RolloutState.STOPPED)
        .setWeightBasisPoints(0)
        .setShadowBasisPoints(0)
        .setRevision(13)
        .setReason("disagreement-rate fired in country=JP")
        .clearWaitingFor()
        .setStop(Stop.newBuilder()
            .setRule("disagreement-rate")
            .setSegment("country=JP")
            .setBad(5)
            .setDispatched(21)
            .setBoundary(39)
            .setFlipNanos(1_800)
            .setRequestId("req-7"))
        .build();
  }

  static Distribution latency(long count, double p50, double p99, int... barCounts) {
    Distribution.Builder latency = Distribution.newBuilder().setCount(count).setP50(p50).setP99(p99);
    for (int i = 0; i < barCounts.length; i++) {
      latency.addBars(Bar.newBuilder().setUpper(250.0 * (i + 1)).setCount(barCounts[i]));
    }
    return latency.build();
  }

  private static VariantReport variant(long answered, long failed, Distribution latency) {
    return VariantReport.newBuilder().setAnswered(answered).setFailed(failed).setLatencyMicros(latency).build();
  }

  private static RuleEvidence rule(
      String rule, String segment, double limit, long bad, long dispatched, long boundary, double evidence) {
    return RuleEvidence.newBuilder()
        .setRule(rule)
        .setSegment(segment)
        .setLimit(limit)
        .setBad(bad)
        .setDispatched(dispatched)
        .setBoundary(boundary)
        .setEvidence(evidence)
        .setThreshold(4_000)
        .build();
  }
}
