package dev.sluice.gateway.control;

import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Timestamps;
import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.gateway.store.StoredRollout.Firing;
import dev.sluice.proto.control.v1.Bar;
import dev.sluice.proto.control.v1.CoursePoint;
import dev.sluice.proto.control.v1.Distribution;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.Exposed;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.RuleEvidence;
import dev.sluice.proto.control.v1.SegmentReport;
import dev.sluice.proto.control.v1.Stop;
import dev.sluice.proto.control.v1.VariantReport;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.observation.SegmentSnapshot;
import dev.sluice.router.observation.SegmentSnapshot.VariantSnapshot;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.rollout.Step;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import java.util.Comparator;
import java.util.List;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/// Rollouts in the words of the control API.
final class RolloutMessages {

  /// Bars of a distribution: enough to see a shape, few enough for a line.
  private static final int BARS = 16;

  /// As many as a plot of some hundred pixels can show.
  private static final int BARS_IN_REPORT = 48;

  /// Segments and rules in a report: those with the most traffic, and those nearest to firing. It stays below 2 MiB.
  private static final int SEGMENTS_IN_REPORT = 40;
  private static final int RULES_IN_REPORT = 256;

  private RolloutMessages() {}

  static Rollout rollout(RolloutView view, long nowMillis) {
    return rollout(view, nowMillis, BARS);
  }

  /// With distributions to be drawn, and bounded in size.
  static Rollout forReport(RolloutView view, long nowMillis) {
    Rollout rollout = rollout(view, nowMillis, BARS_IN_REPORT);
    List<SegmentReport> busiest =
        rollout.getSegmentsList().stream()
            .filter(segment -> !segment.getSegment().isEmpty())
            .sorted(Comparator.comparingLong(RolloutMessages::runs).reversed())
            .limit(SEGMENTS_IN_REPORT - 1)
            .toList();
    String stoppedIn = rollout.getStop().getSegment();
    List<RuleEvidence> nearest =
        rollout.getRulesList().stream()
            .sorted(Comparator.comparingDouble(RolloutMessages::nearness).reversed())
            .limit(RULES_IN_REPORT)
            .toList();
    Rollout.Builder bounded = rollout.toBuilder().clearSegments().clearRules();
    rollout.getSegmentsList().stream()
        .filter(s -> s.getSegment().isEmpty() || s.getSegment().equals(stoppedIn) || busiest.contains(s))
        .forEach(bounded::addSegments);
    rollout.getRulesList().stream().filter(nearest::contains).forEach(bounded::addRules);
    return bounded.build();
  }

  private static long runs(SegmentReport segment) {
    return segment.getBaseline().getLatencyMicros().getCount() + segment.getCandidate().getLatencyMicros().getCount();
  }

  /// 1 at what fires the rule alone.
  private static double nearness(RuleEvidence rule) {
    return rule.getThreshold() <= 1 ? 0 : Math.log(Math.max(1, rule.getEvidence())) / Math.log(rule.getThreshold());
  }

  private static Rollout rollout(RolloutView view, long nowMillis, int bars) {
    StoredRollout stored = view.stored();
    Rollout.Builder rollout =
        Rollout.newBuilder()
            .setName(stored.name())
            .setState(state(stored.state(), view.note()))
            .setWeightBasisPoints(stored.state().weightBasisPoints())
            .setShadowBasisPoints(stored.state().shadowBasisPoints())
            .setEpoch(stored.state().epoch())
            .setRevision(stored.revision())
            .setReason(stored.reason())
            .setAttempt(stored.attempt())
            .setWaitingFor(view.waitingFor(nowMillis))
            .setCooledDown(stored.state().stage() instanceof Stage.Promoted)
            .setCreateTime(timestamp(stored.createdMillis()))
            .setUpdateTime(timestamp(stored.updatedMillis()))
            .setNote(stored.noteYaml())
            .setNoteSha256(stored.noteSha256());
    RolloutNote note = view.note();
    if (note != null) {
      rollout
          .setModel(note.model())
          .setOwner(note.owner())
          .setBaselineVersion(note.baselineVersion())
          .setCandidateVersion(note.candidateVersion())
          .setStep(step(stored.state().stage(), note))
          .setStepCount(note.steps().size())
          .setDryRun(note.mode() == RolloutNote.Mode.DRY_RUN)
          .setAlpha(ArmedRules.alphaOfAttempt(note.alpha(), stored.attempt()));
    }
    LiveRollout live = view.live();
    Firing firing = stored.firing();
    if (firing != null) {
      rollout.setStop(stop(firing, live, note));
    }
    if (live != null) {
      addEvidence(live, rollout, bars);
    }
    return rollout.build();
  }

  /// Where a rollout stands; the time is the caller's to give.
  static CoursePoint.Builder coursePoint(StoredRollout stored, @Nullable RolloutNote note) {
    return CoursePoint.newBuilder()
        .setState(state(stored.state(), note))
        .setStep(note == null ? 0 : step(stored.state().stage(), note))
        .setWeightBasisPoints(stored.state().weightBasisPoints())
        .setShadowBasisPoints(stored.state().shadowBasisPoints());
  }

  static RolloutState state(dev.sluice.router.rollout.RolloutState state, @Nullable RolloutNote note) {
    return switch (state.stage()) {
      case Stage.Running running ->
          note != null && note.steps().get(running.step()) instanceof Step.Shadow
              ? RolloutState.SHADOW
              : RolloutState.CANARY;
      case Stage.Paused _ -> RolloutState.PAUSED;
      case Stage.CoolingDown _, Stage.Promoted _ -> RolloutState.PROMOTED;
      case Stage.Stopped _ -> RolloutState.STOPPED;
      case Stage.Aborted _ -> RolloutState.ABORTED;
    };
  }

  private static int step(Stage stage, RolloutNote note) {
    return switch (stage) {
      case Stage.Running running -> running.step();
      case Stage.Paused paused -> paused.step();
      case Stage.CoolingDown _, Stage.Promoted _ -> note.steps().size() - 1;
      case Stage.Stopped _, Stage.Aborted _ -> 0;
    };
  }

  private static Stop stop(Firing firing, @Nullable LiveRollout live, @Nullable RolloutNote note) {
    Stop.Builder stop =
        Stop.newBuilder()
            .setRule(firing.stop().rule())
            .setSegment(firing.stop().segment())
            .setBad(firing.stop().bad())
            .setDispatched(firing.stop().events())
            .setBoundary(firing.stop().boundary())
            .setEvidence(firing.stop().evidence())
            .setEvidenceBits(Replays.bits(firing.stop().evidence()))
            .setThreshold(firing.stop().threshold())
            .setLine(firing.stop().line())
            .setTime(timestamp(firing.millis()))
            .setFlipNanos(firing.flipNanos())
            .setDryRun(note != null && note.mode() == RolloutNote.Mode.DRY_RUN);
    if (note != null) {
      note.stopRules().stream()
          .filter(rule -> rule.name().equals(firing.stop().rule()))
          .findFirst()
          .ifPresent(rule -> stop.setLimit(limit(rule)));
    }
    if (live != null) {
      LiveRollout.Flip flip = live.flip();
      stop.setRequestId(flip == null ? "" : flip.requestId()).setAssignedAfterFlip(live.assignedAfterFlip());
      EvidenceLedger.Trip trip = live.ledger().trip();
      ArmedRule test = trip == null ? null : live.ledger().rules().armed(trip.rule(), trip.segment());
      if (test != null) {
        stop.setAlphaShare(test.share()).setRuleEvidence(test.share() * live.ledger().evidence(test));
      }
    }
    return stop.build();
  }

  private static void addEvidence(LiveRollout live, Rollout.Builder rollout, int bars) {
    EvidenceLedger ledger = live.ledger();
    ArmedRules armed = ledger.rules();
    List<StopRule> holding = ledger.holding();
    for (ArmedRule test : armed.armed()) {
      if (test.segment() >= ledger.segmentCount()) {
        continue; // of a segment that has not been found yet
      }
      StopRule rule = armed.rules().get(test.rule());
      long bad = ledger.bad(test.rule(), test.segment());
      rollout.addRules(
          RuleEvidence.newBuilder()
              .setRule(rule.name())
              .setSegment(ledger.segmentName(test.segment()))
              .setPart(test.part())
              .setLimit(limit(rule))
              .setBad(bad)
              .setDispatched(ledger.events(test.rule(), test.segment()))
              .setBoundary(ledger.boundary(test.rule(), test.segment(), bad + 1))
              .setEvidence(ledger.evidence(test))
              .setThreshold(test.share() == 0 ? 0 : armed.threshold() / test.share())
              .setAlphaShare(test.share())
              .setHolding(holding.contains(rule)));
    }
    SegmentSnapshot total = live.total();
    rollout.addSegments(segment("", total, bars));
    for (int segment = 0; segment < ledger.segmentCount(); segment++) {
      rollout.addSegments(segment(ledger.segmentName(segment), live.snapshot(segment), bars));
    }
    rollout.setShadowsDropped(live.shadowsDropped());
    rollout.setBaselineExposed(exposed(total.baseline(), live.distinctKeys(Variant.BASELINE)));
    rollout.setCandidateExposed(exposed(total.candidate(), live.distinctKeys(Variant.CANDIDATE)));
  }

  private static Exposed exposed(VariantSnapshot total, long keys) {
    return Exposed.newBuilder()
        .setRequests(total.answered())
        .setCopies(total.shadowed())
        .setKeys(keys)
        .setRunMillis(total.latencyNanos().getMean() * total.latencyNanos().getTotalCount() / 1e6)
        .build();
  }

  /// The number that a rule is known by: a limit, a margin or a tolerance.
  private static double limit(StopRule rule) {
    return switch (rule) {
      case StopRule.LimitRule r -> r.limit();
      case StopRule.RatioRule r -> r.margin();
      case StopRule.PairedLatency r -> r.margin();
      case StopRule.PairRule _ -> 0.5;
      case StopRule.MeanCost r -> r.limitNanos() / 1e9;
      case StopRule.MeanRule r -> r.limit();
      case StopRule.MeanDrift r -> r.tolerance();
      case StopRule.BinDrift r -> r.tolerance();
      case StopRule.Cap r -> r.most();
      case StopRule.SampleRatio _, StopRule.Crash _ -> 0;
    };
  }

  private static SegmentReport segment(String name, SegmentSnapshot snapshot, int bars) {
    SegmentReport.Builder report =
        SegmentReport.newBuilder()
            .setSegment(name)
            .setBaseline(variant(snapshot.baseline(), bars))
            .setCandidate(variant(snapshot.candidate(), bars))
            .setCompared(snapshot.compared())
            .setDisagreed(snapshot.disagreed())
            .setRepeated(snapshot.repeated())
            .setRepeatDisagreed(snapshot.repeatDisagreed())
            .setDisagreement(distribution(snapshot.distanceMillionths(), 1e6, bars));
    snapshot
        .fellBack()
        .forEach(
            (reason, count) -> {
              if (count > 0) {
                report.putFallbacks(reason.label(), count);
              }
            });
    snapshot
        .disagreedByCause()
        .forEach(
            (cause, count) -> {
              if (count > 0) {
                report.putDisagreementsByCause(cause.label(), count);
              }
            });
    return report.build();
  }

  private static VariantReport variant(VariantSnapshot snapshot, int bars) {
    return VariantReport.newBuilder()
        .setAnswered(snapshot.answered())
        .setShadowed(snapshot.shadowed())
        .setFailed(snapshot.failed())
        .setLatencyMicros(distribution(snapshot.latencyNanos(), 1e3, bars))
        .build();
  }

  /// Bars are even on a logarithmic scale from the 1st percentile to the maximum: latencies span decades.
  private static Distribution distribution(Histogram histogram, double unit, int bars) {
    Distribution.Builder distribution = Distribution.newBuilder().setCount(histogram.getTotalCount());
    if (histogram.getTotalCount() == 0) {
      return distribution.build();
    }
    distribution
        .setP50(histogram.getValueAtPercentile(50) / unit)
        .setP90(histogram.getValueAtPercentile(90) / unit)
        .setP99(histogram.getValueAtPercentile(99) / unit)
        .setMax(histogram.getMaxValue() / unit);
    double low = (double) Math.max(1, histogram.getValueAtPercentile(1));
    double high = Math.max(low * 1.0001, (double) histogram.getMaxValue());
    double ratio = Math.pow(high / low, 1.0 / bars);
    long before = 0;
    for (int bar = 1; bar <= bars; bar++) {
      long upper = bar == bars ? histogram.getMaxValue() : (long) (low * Math.pow(ratio, bar));
      long upTo = histogram.getCountBetweenValues(0, upper);
      distribution.addBars(Bar.newBuilder().setUpper(upper / unit).setCount(upTo - before));
      before = upTo;
    }
    return distribution.build();
  }

  static Event event(AuditEvent event) {
    return Event.newBuilder()
        .setRevision(event.revision())
        .setTime(timestamp(event.timeMillis()))
        .setRollout(event.rollout())
        .setActor(event.actor())
        .setKind(event.kind())
        .setReason(event.reason())
        .setDetail(event.detailJson())
        .setHash(event.hash())
        .build();
  }

  private static Timestamp timestamp(long millis) {
    return Timestamps.fromMillis(millis);
  }
}
