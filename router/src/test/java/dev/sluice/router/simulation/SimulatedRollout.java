package dev.sluice.router.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assigner;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Cause;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.rollout.Decision;
import dev.sluice.router.rollout.LedgerEvidence;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutMachine;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.stop.Stop;
import dev.sluice.router.stop.StopRule;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/// One rollout from its first step to its end, request by request in virtual time: callers with sticky keys, a few of them with
/// most of the requests, in segments that are declared or found on the way; answers that take their time while failures return at
/// once; a person who changes the weight and pauses now and then.
final class SimulatedRollout {

  static final long MILLIS_BETWEEN_REQUESTS = 20;
  private static final int REQUESTS_BETWEEN_REVIEWS = 100;
  private static final int REQUESTS_BETWEEN_TICKS = 10;
  private static final int REQUESTS_AFTER_THE_END = 100;
  private static final int TENANTS = 12;

  /// The chances that a call to a variant fails, takes longer than the note allows, or differs from the baseline's answer.
  record Rates(double failing, double slow, double disagreeing) {}

  /// What a variant is like to a segment at a time.
  interface Behaviour {
    Rates at(int segment, long nowMillis);
  }

  /// @param ledger its rules are the note's
  /// @param requestsMax where the simulation breaks off a rollout that has not ended
  /// @param answerMillisMean how long an answer takes; a twentieth of it is the mean number of requests in flight
  /// @param meddling whether a person sets weights, pauses and resumes
  record Plan(
      RolloutNote note, EvidenceLedger.Plan ledger, Behaviour baseline, Behaviour candidate, int requestsMax,
      long answerMillisMean, boolean meddling) {}

  /// @param candidateCalls requests that the candidate ran, live or as shadow, before the end
  /// @param afterTheEnd requests that the candidate ran although they began after the flip
  /// @param identical whether the log, weighed again, leads to the same weights and the same verdict
  record Outcome(
      Stage stage, @Nullable Stop stop, List<String> holding, int requests, int candidateCalls, int afterTheEnd,
      boolean identical) {}

  private record Completion(long atMillis, long order, Observation observation) {}

  private static final Comparator<Completion> BY_TIME =
      Comparator.comparingLong(Completion::atMillis).thenComparingLong(Completion::order);

  private final Plan plan;
  private final SplittableRandom random;
  private final long seed;
  private final EvidenceLedger ledger;
  private final RolloutMachine machine;
  private final RolloutMachine.Evidence evidence;
  private final Segments segments;
  private final long[] keyHashes;
  private final boolean limitsAlone;
  private final PriorityQueue<Completion> inFlight = new PriorityQueue<>(BY_TIME);
  private final long[] baselineNanos = new long[(int) StopRule.LatencyRatio.OBSERVATIONS_MIN];
  private int baselineAnswers;

  private RolloutState state;
  private @Nullable Stop stop;
  private long nowMillis = 1_000_000;
  private long sent;
  private int candidateCalls;

  SimulatedRollout(Plan plan, long seed) {
    this.plan = plan;
    this.seed = seed;
    this.random = new SplittableRandom(seed);
    this.ledger = new EvidenceLedger(plan.ledger, LedgerWords.onHeap(plan.ledger.wordsNeeded()));
    this.machine = new RolloutMachine(plan.note);
    this.evidence = new LedgerEvidence(ledger, plan.ledger.margins());
    this.segments = plan.ledger.rules().segments();
    Assigner assigner = new Assigner(seed);
    this.keyHashes = new long[200 + random.nextInt(5_000)];
    for (int key = 0; key < keyHashes.length; key++) {
      keyHashes[key] = assigner.hash("user-" + key);
    }
    this.limitsAlone = plan.note.stopRules().stream().allMatch(StopRule.LimitRule.class::isInstance);
    this.state = machine.begin(nowMillis);
    ledger.initialize(1, exposure(state));
  }

  Outcome run() {
    int requests = 0;
    while (requests < plan.requestsMax && !state.stage().isEnded()) {
      nowMillis += MILLIS_BETWEEN_REQUESTS;
      complete();
      if (!state.stage().isEnded()) {
        requests++;
        request();
        if (requests % REQUESTS_BETWEEN_TICKS == 0) {
          told(ledger.tick(nowMillis));
        }
        if (requests % REQUESTS_BETWEEN_REVIEWS == 0) {
          meddle();
          decide(new RolloutEvent.Review());
        }
      }
    }
    int callsUntilTheEnd = candidateCalls;
    if (Exposure.isFlipped(ledger.exposure())) {
      for (int i = 0; i < REQUESTS_AFTER_THE_END; i++) {
        nowMillis += MILLIS_BETWEEN_REQUESTS;
        complete();
        request();
      }
    }
    return new Outcome(
        state.stage(), stop, ledger.holding().stream().map(StopRule::name).toList(), requests, callsUntilTheEnd,
        candidateCalls - callsUntilTheEnd, ledger.replay().identical());
  }

  /// A command or a review, decided and applied as the single writer does.
  Decision decide(RolloutEvent event) {
    Decision decision = machine.decide(state, event, evidence, nowMillis);
    if (decision instanceof Decision.Move move) {
      boolean entersStep = move.next().stage() instanceof Stage.Running && move.kind().equals("advanced");
      state = move.next();
      long word = ledger.exposure();
      if (!Exposure.isFlipped(word) && word != exposure(state)) {
        assertThat(ledger.expose(word, exposure(state))).as("seed %d", seed).isTrue();
      }
      if (entersStep) {
        ledger.enterStep();
      }
    }
    return decision;
  }

  private void meddle() {
    if (plan.meddling) {
      switch (random.nextInt(30)) {
        case 0 -> decide(new RolloutEvent.SetWeight(
            random.nextInt(plan.note.blastRadius().weightBasisPoints() + 1), "a person"));
        case 1 -> decide(new RolloutEvent.Pause("a person"));
        case 2, 3, 4, 5, 6, 7 -> decide(new RolloutEvent.Resume("a person"));
        default -> {}
      }
    }
  }

  // --- a request ------------------------------------------------------------------------------------------------------

  private void request() {
    int declared = random.nextInt(segments.declaredAndOther());
    String country = declared < segments.declared().size() ? segments.declared().get(declared).conditions().getFirst().value() : "";
    String tenant = "tenant-" + skewed(TENANTS);
    int segment =
        ledger.segmentOf(
            attribute -> attribute.equals("country") ? country : attribute.equals("tenant") ? tenant : null, nowMillis);
    boolean keyed = random.nextInt(10) != 0;
    long keyHash = keyed ? keyHashes[skewed(keyHashes.length)] : random.nextLong();
    Assignment assignment =
        Assigner.assign(ledger.exposure(), keyHash, keyed, random.nextLong(), segment, true, ledger.ticket(segment));
    if (!ledger.assigned(assignment, nowMillis)) {
      told(ledger.capped(nowMillis));
      assignment = assignment.byBaseline();
    }
    boolean candidateAnswersIt = assignment.variant() == Variant.CANDIDATE;
    if (candidateAnswersIt) {
      ledger.dispatchedLive(segment, nowMillis);
    }
    candidateCalls += candidateAnswersIt ? 1 : 0;
    measure(assignment);
    long answered = call(assignment, assignment.variant(), false);
    if (answered < 0 && candidateAnswersIt) {
      send(answerTime(50), new Observation.FellBack(assignment, FallbackReason.FAILED));
    }
    if (assignment.shadowed()) {
      copy(assignment, answered);
    }
  }

  /// The other variant runs the request too, and what the two have said is compared.
  private void copy(Assignment assignment, long answered) {
    int segment = assignment.segment();
    Variant other = assignment.variant().other();
    if (other == Variant.CANDIDATE) {
      candidateCalls++;
      ledger.dispatchedShadow(segment, nowMillis);
    }
    if (answered < 0) {
      // The baseline has failed a caller. If its copy goes well, that is a pair in the candidate's favour.
      if (other == Variant.CANDIDATE && random.nextDouble() >= rates(other, segment).failing) {
        send(answerTime(50), new Observation.Failed(assignment, Variant.BASELINE, true, 0));
      }
      return;
    }
    ledger.dispatchedComparison(segment);
    long copied = call(assignment, other, true);
    if (copied < 0) {
      return;
    }
    double disagreeing = plan.candidate.at(segment, nowMillis).disagreeing;
    boolean disagrees = random.nextDouble() < disagreeing;
    // A disagreement that is noticed at once, and agreement only when both have answered, is the worst order for a limit, which
    // counts at dispatch and stands it. Pairs and means count as they come in, so when that is must not depend on what they say.
    long at = disagrees && limitsAlone ? nowMillis : Math.max(answered, copied);
    double distance = disagrees ? 0.1 + 0.1 * random.nextDouble() : 0.01 * random.nextDouble();
    send(at, new Observation.Compared(assignment, new Disagreement(distance, disagrees ? Cause.DISTANCE : Cause.NONE, distance)));
    if (random.nextInt(10_000) < plan.note.repeatBasisPoints()) {
      boolean repeatDisagrees = random.nextDouble() < plan.baseline.at(segment, nowMillis).disagreeing;
      send(at, new Observation.Repeated(assignment, repeatDisagrees, disagrees, nanos(false), nanos(false)));
    }
  }

  /// One number of the request, the same for both variants.
  private void measure(Assignment assignment) {
    List<StopRule> rules = plan.note.stopRules();
    for (int rule = 0; rule < rules.size(); rule++) {
      switch (rules.get(rule)) {
        case StopRule.MeanDrift _ -> send(nowMillis, new Observation.Measured(assignment, assignment.variant(), rule, random.nextGaussian()));
        case StopRule.BinDrift drift ->
            send(nowMillis, new Observation.Measured(assignment, assignment.variant(), rule, random.nextInt(drift.shares().size() - 1)));
        case StopRule.LimitRule _, StopRule.RatioRule _, StopRule.PairRule _, StopRule.MeanRule _, StopRule.SampleRatio _,
            StopRule.Cap _, StopRule.Crash _ -> {}
      }
    }
  }

  /// The time of the answer; -1 if the variant failed.
  private long call(Assignment assignment, Variant variant, boolean shadow) {
    Rates rates = rates(variant, assignment.segment());
    if (random.nextDouble() < rates.failing) {
      long at = answerTime(50);
      send(at, new Observation.Failed(assignment, variant, shadow, (at - nowMillis) * 1_000_000));
      return -1;
    }
    long nanos = nanos(random.nextDouble() < rates.slow);
    if (variant == Variant.BASELINE && !shadow) {
      freeze(nanos);
    }
    long at = nowMillis + nanos / 1_000_000;
    send(at, new Observation.Answered(assignment, variant, shadow, nanos));
    return at;
  }

  /// The baseline's quantiles are frozen once it has answered often enough.
  private void freeze(long nanos) {
    if (baselineAnswers == baselineNanos.length) {
      return;
    }
    baselineNanos[baselineAnswers++] = nanos;
    if (baselineAnswers < baselineNanos.length) {
      return;
    }
    Arrays.sort(baselineNanos);
    List<StopRule> rules = plan.note.stopRules();
    for (int rule = 0; rule < rules.size(); rule++) {
      if (rules.get(rule) instanceof StopRule.LatencyRatio ratio) {
        for (int part = 0; part < ratio.parts(); part++) {
          int rank = (int) (ratio.quantiles().get(part) * baselineNanos.length);
          ledger.freeze(rule, part, baselineNanos[rank], nowMillis);
        }
      }
    }
  }

  private Rates rates(Variant variant, int segment) {
    return (variant == Variant.BASELINE ? plan.baseline : plan.candidate).at(segment, nowMillis);
  }

  /// Up to twice the mean, spread evenly; what is slow takes longer than that.
  private long nanos(boolean slow) {
    long slowest = slowNanos(plan.answerMillisMean);
    return slow ? slowest + 1 + random.nextLong(slowest / 10) : random.nextLong(slowest);
  }

  /// What a note for answers of this kind calls slow.
  static long slowNanos(long answerMillisMean) {
    return Math.max(1, 2 * answerMillisMean) * 1_000_000;
  }

  /// Longer than that takes no call.
  static long callMillisMax(long answerMillisMean) {
    return 3 * answerMillisMean + 100;
  }

  private long answerTime(int timesFaster) {
    long mean = plan.answerMillisMean / timesFaster;
    return mean == 0 ? nowMillis : nowMillis + random.nextLong(2 * mean);
  }

  /// Zipf's law, roughly: half of the requests are those of the square root of all.
  private int skewed(int size) {
    return (int) Math.pow(size, random.nextDouble()) % size;
  }

  private void send(long atMillis, Observation observation) {
    inFlight.add(new Completion(atMillis, sent++, observation));
  }

  private void complete() {
    while (!inFlight.isEmpty() && inFlight.peek().atMillis <= nowMillis) {
      told(ledger.record(inFlight.remove().observation, nowMillis));
    }
  }

  private void told(@Nullable Trip trip) {
    if (trip != null) {
      stop = ledger.describe(trip);
      decide(new RolloutEvent.Flipped(stop.reason()));
    }
  }

  private static long exposure(RolloutState state) {
    return Exposure.of(state.epoch(), state.weightBasisPoints(), state.shadowBasisPoints());
  }
}
