package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.LatencyRatio;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.PairedErrors;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/// What evidence costs the thread that completes a call, all rules of a rollout together, overall and in the request's segment.
///
/// - `limits`: four rates. A good answer is a few counters, and now and then a restart of the tests.
/// - `silent`: those and rules that only hear bad news: ratios of errors and latency, paired errors. Seven rules.
/// - `mean`: those and a mean cost, to which every answer is a line. Eight rules.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class LedgerBenchmark {

  private static final StopRule.Scope ALL = StopRule.Scope.ALL;
  private static final int SEGMENT = 1;

  @Param({"limits", "silent", "mean"})
  private String rules = "";

  private EvidenceLedger ledger = new ByHand().ledger;
  private Observation answered = new Observation.Crashed(new Assignment(Variant.CANDIDATE, false, 0, 0, 0, 0, 0));
  private Observation failed = answered;

  @Setup
  public void arm() {
    List<StopRule> armed =
        new ArrayList<>(
            List.of(
                new ErrorRate(0.5, ALL), new FallbackRate(0.5, ALL), new DisagreementRate(0.5, ALL),
                new LatencyOver(2_000_000, 0.5, ALL)));
    if (!rules.equals("limits")) {
      armed.addAll(List.of(new ErrorRatio(1, ALL), new LatencyRatio(1, List.of(0.5, 0.9, 0.99), ALL), new PairedErrors(ALL)));
    }
    if (rules.equals("mean")) {
      armed.add(new MeanCost(5_000_000, 10_000_000, ALL));
    }
    Segments segments = new Segments(List.of(SegmentRule.parse("country=DE"), SegmentRule.parse("country=FR")));
    EvidenceLedger.Plan plan =
        new EvidenceLedger.Plan(new ArmedRules(armed, 1e-9, segments), List.of(), 1_000, EvidenceLedger.Plan.LINES, true);
    ledger = new EvidenceLedger(plan, LedgerWords.onHeap(plan.wordsNeeded()));
    ledger.initialize(1, Exposure.of(1, Exposure.ALL, 0));
    Assignment request = new Assignment(Variant.CANDIDATE, false, SEGMENT, 1, Exposure.ALL, 77, Long.MAX_VALUE);
    answered = new Observation.Answered(request, Variant.CANDIDATE, false, 1_000_000);
    failed = new Observation.Failed(request, Variant.CANDIDATE, false, 1_000_000);
  }

  /// A request on its way and back: ticket, dispatch, answer.
  @Benchmark
  public @Nullable Trip success() {
    ledger.ticket(SEGMENT);
    ledger.dispatchedLive(SEGMENT, 1_000_000);
    return ledger.record(answered, 1_000_000);
  }

  /// The answer alone.
  @Benchmark
  public @Nullable Trip answer() {
    return ledger.record(answered, 1_000_000);
  }

  /// A failure after three requests that were dispatched, so that no rule stops.
  @Benchmark
  public @Nullable Trip failureAfterThreeDispatches() {
    ledger.dispatchedLive(SEGMENT, 1_000_000);
    ledger.dispatchedLive(SEGMENT, 1_000_000);
    ledger.dispatchedLive(SEGMENT, 1_000_000);
    return ledger.record(failed, 1_000_000);
  }
}
