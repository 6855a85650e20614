package dev.sluice.gateway.routing;

import dev.sluice.gateway.metrics.CallMeters;
import dev.sluice.gateway.metrics.RolloutMeters;
import dev.sluice.router.assignment.Assigner;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Attributes;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.observation.SegmentRecorder;
import dev.sluice.router.observation.SegmentSnapshot;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutNote.StickyKey;
import dev.sluice.router.stop.StopRule;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.tensor.Tensor;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/// A release in progress, as the requests of its model meet it.
///
/// It owns what the release needs at run time: the circuit breaker in front of the candidate, the shadow's queue, the recorders, and the ledger that the stop rules decide on. The
/// thread that records the tripping observation flips the exposure here, at once; the listener writes it down afterwards.
public final class LiveRollout implements AutoCloseable {

  /// Is told of a flip after it has happened, on the thread that did it; must not block.
  public interface FlipListener {
    void flipped(LiveRollout rollout, Flip flip);
  }

  /// A flip by a stop rule.
  ///
  /// @param nanos from the tripping observation to the flip
  /// @param requestId the id of the request whose observation it was, empty when the caller gave none
  /// @param dryRun the rules would have flipped, and were only asked
  public record Flip(EvidenceLedger.Trip trip, long nanos, String requestId, boolean dryRun) {}

  private final RolloutNote note;
  private final Segments segments;
  private final Segments excluded;

  /// By attribute, what callers send it as.
  private final Map<String, String> headers;

  /// Made once: a request needs none of its own.
  private final Attributes.Of<CallerAttributes> attributes = this::attribute;

  private final Assigner assigner;
  private final EvidenceLedger ledger;
  private final RolloutMeters meters;
  private final FlipListener flipListener;
  private final Features features;

  /// Null if no truth is to arrive.
  private final @Nullable Predictions predictions;

  /// By segment; those of segments found on the way are made when they are first needed.
  private final AtomicReferenceArray<SegmentRecorder> recorders;

  private final DistinctKeys baselineKeys = new DistinctKeys();
  private final DistinctKeys candidateKeys = new DistinctKeys();
  private final boolean comparesLiveCalls;
  private final CandidateCircuit circuit;
  private final InlineTrust trust = new InlineTrust();
  private final long candidateNanosMax;
  private final Shadow shadow;
  private final LongAdder assignedAfterFlip = new LongAdder();

  /// When a flip was seen to be complete, by `System.nanoTime`; [Long#MAX_VALUE] before.
  private volatile long flippedNanos = Long.MAX_VALUE;

  private volatile @Nullable Flip flip;

  public LiveRollout(
      RolloutNote note,
      long salt,
      EvidenceLedger ledger,
      Routes routes,
      Lanes lanes,
      RolloutMeters meters,
      FlipListener flipListener) {
    this.note = note;
    this.segments = note.allSegments();
    this.excluded = new Segments(note.blastRadius().excluded());
    this.headers = headers(note);
    this.assigner = new Assigner(salt);
    this.ledger = ledger;
    this.meters = meters;
    this.flipListener = flipListener;
    this.features = new Features(note.stopRules());
    this.comparesLiveCalls =
        !note.margins().isEmpty()
            || note.stopRules().stream()
                .anyMatch(rule -> rule instanceof StopRule.RatioRule || rule instanceof StopRule.DriftRule);
    this.predictions = note.labels() == null ? null : new Predictions(note.labels());
    this.recorders = new AtomicReferenceArray<>(segments.capacity());
    this.circuit = new CandidateCircuit(note.name());
    this.candidateNanosMax = Duration.ofMillis(note.fallback().timeoutMillis()).toNanos();
    this.shadow = new Shadow(this, routes, lanes);
    meters.bind(ledger::exposure, shadow::waiting, shadow::dropped, ledger::leftOut);
  }

  private static Map<String, String> headers(RolloutNote note) {
    Stream<String> declared =
        Stream.concat(note.segments().stream(), note.blastRadius().excluded().stream())
            .flatMap(rule -> rule.conditions().stream())
            .map(SegmentRule.Condition::attribute);
    return Stream.concat(declared, Stream.ofNullable(note.discovery()).map(Segments.Discovery::attribute))
        .distinct()
        .collect(Collectors.toUnmodifiableMap(name -> name, name -> CallerAttributes.SEGMENT_PREFIX + name));
  }

  public RolloutNote note() {
    return note;
  }

  public Segments segments() {
    return segments;
  }

  public EvidenceLedger ledger() {
    return ledger;
  }

  // --- the way of a request ------------------------------------------------------------------------------------------

  /// Decides who answers.
  Assignment assign(InferenceRequest request, long nowMillis) {
    CallerAttributes caller = request.caller();
    int segment = ledger.segmentOf(caller, attributes, nowMillis);
    long ticket = ledger.ticket(segment);
    ThreadLocalRandom random = ThreadLocalRandom.current();
    String key = stickyKey(request);
    // An id is as good as a key for who answers, but nobody's second request has it.
    boolean keyed = key != null && !key.equals(request.id());
    long keyHash = key == null ? random.nextLong() : assigner.hash(key);
    return Assigner.assign(
        ledger.exposure(), keyHash, keyed, random.nextLong(), segment, mayAnswer(caller), ticket);
  }

  /// Counts a live request for the variant that is to answer it.
  ///
  /// @return the assignment, or the baseline's where a hard bound of the note has been reached and it is no dry run
  Assignment admit(Assignment assignment, InferenceRequest request, long nowMillis) {
    if (ledger.assigned(assignment, nowMillis)) {
      return counted(assignment);
    }
    long seenNanos = System.nanoTime();
    report(ledger.capped(nowMillis), seenNanos, request.id());
    return counted(note.mode() == RolloutNote.Mode.DRY_RUN ? assignment : assignment.byBaseline());
  }

  private Assignment counted(Assignment assignment) {
    if (assignment.keyHash() != Assignment.NO_KEY) {
      (assignment.variant() == Variant.BASELINE ? baselineKeys : candidateKeys).add(assignment.keyHash());
    }
    return assignment;
  }

  static long nowMillis() {
    return System.currentTimeMillis();
  }

  /// The caller's key, else the request's id, else none: then the request is spread evenly.
  private @Nullable String stickyKey(InferenceRequest request) {
    String name = note.stickyKey() == StickyKey.KEY ? CallerAttributes.KEY : CallerAttributes.TENANT;
    String key = request.caller().value(name);
    if (key != null && !key.isEmpty()) {
      return key;
    }
    return request.id().isEmpty() ? null : request.id();
  }

  private @Nullable String attribute(CallerAttributes caller, String name) {
    String header = headers.get(name);
    return header == null ? null : caller.value(header);
  }

  private boolean mayAnswer(CallerAttributes caller) {
    return !excluded.anyDeclared()
        || excluded.of(caller, attributes) == excluded.declared().size();
  }

  /// The candidate's part of the caller's time: its share, and never so much that the baseline, waiting for its turn as long as
  /// one would now and then taking twice as long as it does lately, would miss the caller's deadline behind it. 0 or less: there
  /// is no time to try the candidate.
  ///
  /// @param waitNanos how long a request waits for the baseline now
  long candidateBudgetNanos(long remainingNanos, ModelVersion baseline, long waitNanos) {
    long share = (long) (remainingNanos * note.fallback().deadlineShare());
    return Math.min(candidateNanosMax, Math.min(share, remainingNanos - waitNanos - 2 * baseline.typicalRunNanos()));
  }

  /// Whether this rollout holds the two variants' live calls against each other: both must then run in the same way.
  boolean comparesLiveCalls() {
    return comparesLiveCalls;
  }

  /// Whether a call of the candidate runs where it arrived. Where live calls are compared, the baseline's run there only if the
  /// candidate's would.
  ///
  /// @param budgetNanos the candidate's part of the caller's time: the longest that a run may hold its thread must fit in
  boolean runsHere(Route route, long budgetNanos) {
    ModelVersion candidate = route.candidate();
    return budgetNanos > InlineWatch.HELD_NANOS_MAX
        && candidate != null
        && trust.holds()
        && Lanes.runsInline(candidate)
        && (!comparesLiveCalls || Lanes.runsInline(route.version()));
  }

  InlineTrust trust() {
    return trust;
  }

  CandidateCircuit circuit() {
    return circuit;
  }

  Shadow shadow() {
    return shadow;
  }

  CallMeters meters(Variant variant, int segment) {
    return meters.calls(variant, segment);
  }

  // --- the way of evidence -------------------------------------------------------------------------------------------

  /// Remembers one observation. If it crosses a stop rule's boundary, the rollout is flipped by the time this returns.
  void observe(Observation observation, String requestId) {
    weigh(observation, requestId);
    recorder(observation.segment()).record(observation);
    meters.record(observation);
  }

  /// The same for an answer, which has no meters but those of whoever answered.
  void answered(Assignment assignment, Variant variant, boolean shadow, long nanos, String requestId) {
    long seenNanos = System.nanoTime();
    report(ledger.answered(assignment, variant, shadow, nanos, nowMillis()), seenNanos, requestId);
    recorder(assignment.segment()).answered(variant, shadow, nanos);
  }

  /// The same for an observation that people have seen already, told in other words.
  void weigh(Observation observation, String requestId) {
    long seenNanos = System.nanoTime();
    report(ledger.record(observation, nowMillis()), seenNanos, requestId);
  }

  /// What the drift rules want to know of a request and its answer.
  void measure(Assignment assignment, Variant variant, List<Tensor> request, List<Tensor> answer) {
    if (!features.isEmpty()) {
      features.measure(assignment, variant, request, answer, observation -> observe(observation, ""));
    }
  }

  /// Keeps what both variants said about a request until its truth arrives.
  void remember(InferenceRequest request, Assignment assignment, List<Tensor> baseline, List<Tensor> candidate) {
    if (predictions != null) {
      int column = predictions.plan().column();
      String output = predictions.plan().output();
      predictions.remember(
          request.id(), assignment, Features.element(baseline, output, column),
          Features.element(candidate, output, column), nowMillis());
    }
  }

  /// The truth about a request.
  ///
  /// @param truth 1 if the event came about, 0 if it did not
  /// @return null if this rollout waits for no truth
  public @Nullable LabelOutcome label(String requestId, double truth) {
    return predictions == null ? null : predictions.label(requestId, truth);
  }

  /// Time has passed: rules about both variants side by side look at their evidence, and quantiles are frozen.
  public void tick() {
    long seenNanos = System.nanoTime();
    freezeQuantiles();
    if (predictions != null) {
      predictions.mature(nowMillis()).forEach(labelled -> observe(labelled, ""));
    }
    report(ledger.tick(nowMillis()), seenNanos, "");
  }

  private void report(EvidenceLedger.@Nullable Trip trip, long seenNanos, String requestId) {
    if (trip != null) {
      boolean dryRun = note.mode() == RolloutNote.Mode.DRY_RUN;
      Flip flipped = new Flip(trip, System.nanoTime() - seenNanos, requestId, dryRun);
      if (!dryRun) {
        flippedNanos = System.nanoTime();
      }
      flip = flipped;
      flipListener.flipped(this, flipped);
    }
  }

  /// The baseline's latency quantiles become fixed once enough of its answers have been seen.
  private void freezeQuantiles() {
    for (int rule = 0; rule < note.stopRules().size(); rule++) {
      if (note.stopRules().get(rule) instanceof StopRule.LatencyRatio ratio) {
        freezeQuantiles(rule, ratio);
      }
    }
  }

  private void freezeQuantiles(int rule, StopRule.LatencyRatio ratio) {
    // Histograms are copied only when there is something to take from them: this is asked ten times a second.
    if (isFrozen(rule, ratio) || baselineRuns() < StopRule.LatencyRatio.OBSERVATIONS_MIN) {
      return;
    }
    Histogram baseline = total().baseline().latencyNanos();
    if (baseline.getTotalCount() < StopRule.LatencyRatio.OBSERVATIONS_MIN) {
      return; // some were on their way from one to the other
    }
    for (int part = 0; part < ratio.parts(); part++) {
      if (ledger.frozenNanos(rule, part) == 0) {
        long nanos = baseline.getValueAtPercentile(ratio.quantiles().get(part) * 100);
        ledger.freeze(rule, part, Math.max(1, nanos), nowMillis());
      }
    }
  }

  private boolean isFrozen(int rule, StopRule.LatencyRatio ratio) {
    for (int part = 0; part < ratio.parts(); part++) {
      if (ledger.frozenNanos(rule, part) == 0) {
        return false;
      }
    }
    return true;
  }

  private long baselineRuns() {
    long runs = 0;
    for (int segment = 0; segment < ledger.segmentCount(); segment++) {
      SegmentRecorder recorder = recorders.get(segment);
      runs += recorder == null ? 0 : recorder.runs(Variant.BASELINE);
    }
    return runs;
  }

  private SegmentRecorder recorder(int segment) {
    SegmentRecorder recorder = recorders.get(segment);
    if (recorder == null) {
      recorders.compareAndSet(segment, null, new SegmentRecorder());
      recorder = recorders.get(segment);
    }
    return recorder;
  }

  /// Sends everybody back to the baseline because a person says so.
  ///
  /// @return false if the rollout was flipped already
  public boolean flipByHand() {
    boolean flipped = ledger.flip();
    flippedNanos = Math.min(flippedNanos, System.nanoTime());
    return flipped;
  }

  /// Counts a request that came in after a flip and was given to the candidate all the same. It must stay at zero: the
  /// request's start was read before its assignment, and the flip's time after the flip.
  void checkAssignedBeforeFlip(InferenceRequest request) {
    if (request.startedNanos() - flippedNanos > 0 && flippedNanos != Long.MAX_VALUE) {
      assignedAfterFlip.increment();
    }
  }

  /// The flip by a stop rule, null if this process has seen none.
  public @Nullable Flip flip() {
    return flip;
  }

  public long assignedAfterFlip() {
    return assignedAfterFlip.sum();
  }

  /// About how many distinct sticky keys had a request given to this variant.
  public long distinctKeys(Variant variant) {
    return (variant == Variant.BASELINE ? baselineKeys : candidateKeys).count();
  }

  public long shadowsDropped() {
    return shadow.dropped();
  }

  public SegmentSnapshot snapshot(int segment) {
    return recorder(segment).snapshot();
  }

  /// All segments together.
  public SegmentSnapshot total() {
    return IntStream.range(0, ledger.segmentCount()).mapToObj(this::snapshot).reduce(SegmentSnapshot::plus).orElseThrow();
  }

  /// Ends what runs in the background. Calls in flight finish or fall back.
  @Override
  public void close() {
    shadow.close();
    meters.unbind();
  }
}
