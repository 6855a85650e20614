package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Assigner;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Attributes;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.SegmentRecorder;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.PairedErrors;
import dev.sluice.router.stop.StopRule.SampleRatio;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
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

/// All that the router does for a live request of a rollout, with a canary of 10 %, ten segments and six rules: segment, ticket,
/// sticky key, assignment, admission, dispatch of the candidate's share, evidence, and what people read.
///
/// - `bad`: rules that hear of bad news only.
/// - `all`: a mean cost, to which every answer of the candidate is a line, and a sample ratio, to which every assignment is.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class RoutingBenchmark {

  private static final StopRule.Scope ALL = StopRule.Scope.ALL;
  private static final Attributes.Of<String> COUNTRY = (country, attribute) -> attribute.equals("country") ? country : null;
  private static final int CALLERS = 1_024;
  private static final int SEGMENTS = 10;

  @Param({"bad", "all"})
  private String rules = "";

  private final Assigner assigner = new Assigner(7);
  private final String[] keys = new String[CALLERS];
  private final String[] countries = new String[CALLERS];
  private final SegmentRecorder[] recorders = new SegmentRecorder[SEGMENTS + 1];
  private EvidenceLedger ledger = new ByHand().ledger;
  private long request;

  @Setup
  public void arm() {
    Stream<StopRule> more =
        rules.equals("bad")
            ? Stream.of(new DisagreementRate(0.5, ALL), new ErrorRatio(1.5, ALL), new PairedErrors(ALL))
            : Stream.of(new ErrorRatio(1.5, ALL), new MeanCost(5_000_000, 10_000_000, ALL), new SampleRatio());
    List<StopRule> armed =
        Stream.concat(
                Stream.of(new ErrorRate(0.5, ALL), new FallbackRate(0.5, ALL), new LatencyOver(2_000_000, 0.5, ALL)), more)
            .toList();
    Segments segments =
        new Segments(IntStream.range(0, SEGMENTS).mapToObj(s -> SegmentRule.parse("country=c" + s)).toList());
    EvidenceLedger.Plan plan =
        new EvidenceLedger.Plan(new ArmedRules(armed, 1e-9, segments), List.of(), 1_000, EvidenceLedger.Plan.LINES, true);
    ledger = new EvidenceLedger(plan, LedgerWords.onHeap(plan.wordsNeeded()));
    ledger.initialize(1, Exposure.of(1, Exposure.ALL / 10, 0));
    for (int caller = 0; caller < CALLERS; caller++) {
      keys[caller] = "user-" + caller;
      countries[caller] = "c" + caller % (SEGMENTS + 1);
    }
    for (int segment = 0; segment < recorders.length; segment++) {
      recorders[segment] = new SegmentRecorder();
    }
  }

  @Benchmark
  public @Nullable Trip request() {
    long number = request++;
    int caller = (int) number & (CALLERS - 1);
    long nowMillis = 1_000_000 + (number >> 14);
    int segment = ledger.segmentOf(countries[caller], COUNTRY, nowMillis);
    Assignment assignment =
        Assigner.assign(
            ledger.exposure(), assigner.hash(keys[caller]), true, number * 0x9E37_79B9_7F4A_7C15L, segment, true,
            ledger.ticket(segment));
    ledger.assigned(assignment, nowMillis);
    if (assignment.variant() == Variant.CANDIDATE) {
      ledger.dispatchedLive(segment, nowMillis);
    }
    Trip trip = ledger.answered(assignment, assignment.variant(), false, 1_000_000, nowMillis);
    recorders[segment].answered(assignment.variant(), false, 1_000_000);
    return trip;
  }
}
