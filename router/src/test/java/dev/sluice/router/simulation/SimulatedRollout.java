package dev.sluice.router.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assigner;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.rollout.Decision;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutMachine;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Stop;
import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/// One rollout from its first step to its end, request by request in virtual time: callers with sticky keys in segments,
/// answers that take their time while failures return at once, a person who changes the weight and pauses now and then.
final class SimulatedRollout {

  static final long SLOW_NANOS = 40_000_000_000L;

  private static final long MILLIS_BETWEEN_REQUESTS = 20;
  private static final int REQUESTS_BETWEEN_REVIEWS = 100;
  private static final int REQUESTS_AFTER_THE_END = 100;

  /// The chances that a call to a variant fails, is slow, or differs from the other variant's answer.
  record Rates(double failing, double slow, double disagreeing) {}

  /// What a variant is like to a segment at a time.
  interface Behaviour {
    Rates at(int segment, long nowMillis);
  }

  /// @param requestsMax where the simulation breaks off a rollout that has not ended
  /// @param answerMillisMean how long an answer takes; a fiftieth of it is the mean number of requests in flight
  /// @param meddling whether a person sets weights, pauses and resumes
  record Plan(
      RolloutNote note, Segments segments, ArmedRules rules, Behaviour baseline, Behaviour candidate, int requestsMax,
      long answerMillisMean, boolean meddling) {}

  /// @param candidateCalls requests that the candidate ran, live or as shadow, before the end
  /// @param afterTheEnd requests that the candidate ran although they began after the flip
  record Outcome(Stage stage, @Nullable Stop stop, int requests, int candidateCalls, int afterTheEnd) {}

  private record Completion(long atMillis, long order, Observation observation) {}

  private static final Comparator<Completion> BY_TIME =
      Comparator.comparingLong(Completion::atMillis).thenComparingLong(Completion::order);

  private final Plan plan;
  private final SplittableRandom random;
  private final long seed;
  private final EvidenceLedger ledger;
  private final RolloutMachine machine;
  private final RolloutMachine.Evidence evidence;
  private final Assigner assigner;
  private final long[] keyHashes;
  private final PriorityQueue<Completion> inFlight = new PriorityQueue<>(BY_TIME);

  private RolloutState state;
  private @Nullable Stop stop;
  private long nowMillis;
  private long dispatched;
  private int candidateCalls;

  SimulatedRollout(Plan plan, long seed) {
    this.plan = plan;
    this.seed = seed;
    this.random = new SplittableRandom(seed);
    int rules = plan.rules.rules().size();
    this.ledger =
        new EvidenceLedger(
            plan.rules, plan.segments, LedgerWords.onHeap(EvidenceLedger.wordsNeeded(rules, plan.segments.count())));
    this.machine = new RolloutMachine(plan.note);
    this.evidence = new CompletedSoFar(ledger);
    this.assigner = new Assigner(seed);
    this.keyHashes = new long[200 + random.nextInt(5_000)];
    for (int key = 0; key < keyHashes.length; key++) {
      keyHashes[key] = assigner.hash("user-" + key);
    }
    this.state = machine.begin(0);
    ledger.initialize(1, exposure(state));
  }

  private record CompletedSoFar(EvidenceLedger ledger) implements RolloutMachine.Evidence {
    @Override
    public long shadowsCompleted(int segment) {
      return ledger.shadowsCompleted(segment);
    }

    @Override
    public long liveCompleted(int segment) {
      return ledger.liveCompleted(segment);
    }
  }

  Outcome run() {
    int requests = 0;
    while (requests < plan.requestsMax && !state.stage().isEnded()) {
      nowMillis += MILLIS_BETWEEN_REQUESTS;
      complete();
      if (!state.stage().isEnded()) {
        requests++;
        request();
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
    return new Outcome(state.stage(), stop, requests, callsUntilTheEnd, candidateCalls - callsUntilTheEnd);
  }

  /// A command or a review, decided and applied as the single writer does.
  Decision decide(RolloutEvent event) {
    Decision decision = machine.decide(state, event, evidence, nowMillis);
    if (decision instanceof Decision.Move move) {
      state = move.next();
      long word = ledger.exposure();
      if (!Exposure.isFlipped(word) && word != exposure(state)) {
        assertThat(ledger.expose(word, exposure(state))).as("seed %d", seed).isTrue();
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

  private void request() {
    int segment = random.nextInt(plan.segments.count());
    long keyHash = keyHashes[random.nextInt(keyHashes.length)];
    Assignment assignment = Assigner.assign(ledger.exposure(), keyHash, random.nextLong(), segment, true);
    boolean candidateAnswersIt = assignment.variant() == Variant.CANDIDATE;
    if (candidateAnswersIt) {
      ledger.assignedLive(segment);
      ledger.dispatchedLive(segment);
    } else if (assignment.shadowed()) {
      ledger.dispatchedShadow(segment);
    }
    candidateCalls += candidateAnswersIt || assignment.shadowed() ? 1 : 0;
    if (assignment.shadowed()) {
      ledger.dispatchedComparison(segment);
    }
    long answered = call(assignment, assignment.variant(), false);
    if (answered < 0 && candidateAnswersIt) {
      send(answerTime(50), new Observation.FellBack(assignment.epoch(), segment, FallbackReason.FAILED));
    }
    if (assignment.shadowed()) {
      long copied = call(assignment, assignment.variant().other(), true);
      if (answered >= 0 && copied >= 0) {
        boolean disagrees = random.nextDouble() < plan.candidate.at(segment, nowMillis).disagreeing;
        // A disagreement is noticed at once and agreement only when both have answered: the worst order for the test.
        Disagreement disagreement = disagrees ? new Disagreement(1, true) : Disagreement.NONE;
        send(
            disagrees ? nowMillis : Math.max(answered, copied),
            new Observation.Compared(assignment.epoch(), segment, disagreement));
      }
    }
  }

  /// The time of the answer; -1 if the variant failed.
  private long call(Assignment assignment, Variant variant, boolean shadow) {
    int segment = assignment.segment();
    Rates rates = (variant == Variant.BASELINE ? plan.baseline : plan.candidate).at(segment, nowMillis);
    if (random.nextDouble() < rates.failing) {
      send(answerTime(50), new Observation.Failed(assignment.epoch(), segment, variant, shadow, 1_000));
      return -1;
    }
    long at = answerTime(1);
    boolean slow = random.nextDouble() < rates.slow;
    long nanos = slow ? SLOW_NANOS + 1 : SLOW_NANOS;
    send(at, new Observation.Answered(assignment.epoch(), segment, variant, shadow, nanos));
    return at;
  }

  private long answerTime(int timesFaster) {
    long mean = plan.answerMillisMean / timesFaster;
    return mean == 0 ? nowMillis : nowMillis + random.nextLong(2 * mean);
  }

  private void send(long atMillis, Observation observation) {
    inFlight.add(new Completion(atMillis, dispatched++, observation));
  }

  private void complete() {
    while (!inFlight.isEmpty() && inFlight.peek().atMillis <= nowMillis) {
      Trip trip = ledger.record(inFlight.remove().observation);
      if (trip != null && ledger.flip(trip)) {
        stop = ledger.describe(trip);
        decide(new RolloutEvent.Flipped(stop.reason()));
      }
    }
  }

  private static long exposure(RolloutState state) {
    return Exposure.of(state.epoch(), state.weightBasisPoints(), state.shadowBasisPoints());
  }
}
