package dev.sluice.gateway.simulation;

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
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/// One rollout from its first step to its end, request by request in virtual time, through the router as the gateway runs it.
///
/// What differs from a gateway: calls take the time that the stream says, whatever the load; no circuit breaker opens, no copy is
/// dropped, and the share of repeats does not lower itself; labels arrive with the answer; and where the note waits for a person to
/// promote, one does so at once.
final class SimulatedRollout {

  enum End {
    STOPPED,
    PROMOTED,
    /// The stream, or what may be simulated, has ended before the rollout.
    UNFINISHED
  }

  /// @param stop why it was stopped; null if it was not. In a dry run the verdict ends the simulation too
  /// @param requests of callers, until the end
  /// @param candidateRequests of those the candidate ran, live or as copies
  /// @param exposed of those the candidate ran for callers
  /// @param stepMillis by step, the time spent in it; the last one is the cool-down's
  /// @param waitingFor what an unfinished rollout lacked
  record Outcome(
      End end, @Nullable Stop stop, long requests, long candidateRequests, long exposed, long millis, List<Long> stepMillis,
      String waitingFor) {}

  private static final long REVIEW_MILLIS_MIN = 100;
  private static final long REVIEW_MILLIS_MAX = 60_000;

  /// A step is reviewed about so many times in its minimum time.
  private static final long REVIEWS_PER_STEP = 500;

  private record Due(long atMillis, long order, Runnable what) {}

  private static final Comparator<Due> BY_TIME = Comparator.comparingLong(Due::atMillis).thenComparingLong(Due::order);

  private final RolloutNote note;
  private final Calls calls;
  private final SplittableRandom random;
  private final Assigner assigner;
  private final Segments excluded;
  private final EvidenceLedger ledger;
  private final RolloutMachine machine;
  private final RolloutMachine.Evidence evidence;
  private final long timeoutNanos;
  private final boolean compares;
  private final boolean labels;

  /// The drift rules.
  private final int[] drifts;

  private final PriorityQueue<Due> inFlight = new PriorityQueue<>(BY_TIME);
  private final long[] stepMillis;

  /// The baseline's latencies until its quantiles are frozen; empty where no rule asks.
  private long[] baselineNanos;

  private int baselineSeen;
  private RolloutState state;
  private @Nullable Stop stop;

  /// Why the last review could not do what it wanted; empty if it could.
  private String refused = "";
  private long nowMillis;
  private long nextReviewMillis;
  private long enteredMillis;
  private long sent;
  private long candidateRequests;
  private long exposed;

  SimulatedRollout(RolloutNote note, Calls calls, long seed) {
    this.note = note;
    this.calls = calls;
    this.random = new SplittableRandom(seed);
    this.assigner = new Assigner(seed);
    this.excluded = new Segments(note.blastRadius().excluded());
    EvidenceLedger.Plan plan = note.plan(1);
    this.ledger = new EvidenceLedger(plan, LedgerWords.onHeap(plan.wordsNeeded()));
    this.machine = new RolloutMachine(note);
    this.evidence = new LedgerEvidence(ledger, note.margins());
    this.timeoutNanos = note.fallback().timeoutMillis() * 1_000_000;
    this.compares = !note.comparisons().isEmpty();
    this.labels = note.stopRules().stream().anyMatch(StopRule.Calibration.class::isInstance);
    this.drifts =
        IntStream.range(0, note.stopRules().size())
            .filter(rule -> note.stopRules().get(rule) instanceof StopRule.DriftRule)
            .toArray();
    boolean quantiles = note.stopRules().stream().anyMatch(StopRule.LatencyRatio.class::isInstance);
    this.baselineNanos = new long[quantiles ? (int) StopRule.LatencyRatio.OBSERVATIONS_MIN : 0];
    this.stepMillis = new long[note.steps().size() + 1];
    this.state = machine.begin(0);
    ledger.initialize(1, exposure(state));
  }

  /// @param requestsMax where a rollout that has not ended is broken off
  Outcome run(long requestsMax) {
    long requests = 0;
    while (stop == null && !state.stage().isEnded()) {
      Call call = requests < requestsMax ? calls.next() : null;
      if (call == null) {
        return outcome(End.UNFINISHED, requests);
      }
      advance(call.atMillis());
      if (stop == null && !state.stage().isEnded()) {
        requests++;
        request(call);
      }
    }
    return outcome(stop == null ? End.PROMOTED : End.STOPPED, requests);
  }

  private Outcome outcome(End end, long requests) {
    spend();
    return new Outcome(
        end, stop, requests, candidateRequests, exposed, nowMillis, LongStream.of(stepMillis).boxed().toList(),
        end == End.UNFINISHED ? waitingFor() : "");
  }

  private String waitingFor() {
    return refused.isEmpty() ? machine.waitingFor(state, evidence, nowMillis) : refused;
  }

  // --- time -----------------------------------------------------------------------------------------------------------

  private void advance(long untilMillis) {
    while (stop == null && !state.stage().isEnded()) {
      Due next = inFlight.peek();
      long due = next == null ? Long.MAX_VALUE : next.atMillis;
      if (Math.min(due, nextReviewMillis) > untilMillis) {
        break;
      }
      if (due <= nextReviewMillis) {
        inFlight.remove();
        nowMillis = Math.max(nowMillis, due);
        tripped(ledger.tick(nowMillis));
        if (next != null && stop == null) {
          next.what.run();
        }
      } else {
        nowMillis = nextReviewMillis;
        review();
      }
    }
    if (stop == null && !state.stage().isEnded()) {
      nowMillis = untilMillis;
      tripped(ledger.tick(nowMillis));
    }
  }

  private void after(long nanos, Runnable what) {
    inFlight.add(new Due(nowMillis + nanos / 1_000_000, sent++, what));
  }

  private void review() {
    tripped(ledger.tick(nowMillis));
    if (stop != null) {
      return;
    }
    decide(new RolloutEvent.Review());
    long wanted =
        switch (state.stage()) {
          case Stage.Running running -> note.steps().get(running.step()).until().millis();
          default -> note.coolDownMillis();
        };
    nextReviewMillis = nowMillis + Math.clamp(wanted / REVIEWS_PER_STEP, REVIEW_MILLIS_MIN, REVIEW_MILLIS_MAX);
  }

  private void decide(RolloutEvent event) {
    switch (machine.decide(state, event, evidence, nowMillis)) {
      case Decision.Move move -> move(move.next());
      case Decision.Hold hold -> {
        refused = "";
        if (hold.ready()) {
          decide(new RolloutEvent.Promote("the simulation"));
        }
      }
      case Decision.Refuse refuse -> refused = refuse.reason();
    }
  }

  private void move(RolloutState next) {
    spend();
    boolean entered = !next.stage().equals(state.stage());
    state = next;
    ledger.expose(ledger.exposure(), exposure(state));
    if (entered) {
      ledger.enterStep();
    }
  }

  private void spend() {
    int step =
        switch (state.stage()) {
          case Stage.Running running -> running.step();
          case Stage.Paused paused -> paused.step();
          default -> note.steps().size();
        };
    stepMillis[step] += nowMillis - enteredMillis;
    enteredMillis = nowMillis;
  }

  // --- requests -------------------------------------------------------------------------------------------------------

  private void request(Call call) {
    int segment = ledger.segmentOf(call.attributes(), nowMillis);
    long ticket = ledger.ticket(segment);
    String key = call.key();
    long keyHash = key == null ? random.nextLong() : assigner.hash(key);
    boolean mayAnswer = !excluded.anyDeclared() || excluded.of(call.attributes()) == excluded.declared().size();
    Assignment assignment =
        Assigner.assign(ledger.exposure(), keyHash, key != null, random.nextLong(), segment, mayAnswer, ticket);
    if (!ledger.assigned(assignment, nowMillis)) {
      tripped(ledger.capped(nowMillis));
      assignment = assignment.byBaseline();
    }
    if (assignment.variant() == Variant.CANDIDATE) {
      candidate(call, assignment);
    } else {
      baseline(call, assignment);
    }
  }

  private void candidate(Call call, Assignment assignment) {
    candidateRequests++;
    exposed++;
    ledger.dispatchedLive(assignment.segment(), nowMillis);
    Call.Run run = call.candidate();
    long nanos = Math.min(run.nanos(), timeoutNanos);
    boolean late = run.nanos() > timeoutNanos;
    after(
        nanos,
        () -> {
          if (run.crash()) {
            record(new Observation.Crashed(assignment));
          }
          if (run.ok() && !late) {
            record(new Observation.Answered(assignment, Variant.CANDIDATE, false, nanos));
            measure(assignment, Variant.CANDIDATE, run);
            if (assignment.shadowed()) {
              copyToBaseline(call, assignment);
            }
          } else if (call.baseline().ok()) {
            // What the baseline cannot run either is nobody's failure.
            record(new Observation.Failed(assignment, Variant.CANDIDATE, false, nanos));
            record(new Observation.FellBack(assignment, late ? FallbackReason.LATE : FallbackReason.FAILED));
          }
        });
  }

  private void baseline(Call call, Assignment assignment) {
    Call.Run run = call.baseline();
    after(
        run.nanos(),
        () -> {
          if (run.ok()) {
            record(new Observation.Answered(assignment, Variant.BASELINE, false, run.nanos()));
            learnQuantiles(run.nanos());
            measure(assignment, Variant.BASELINE, run);
            if (assignment.shadowed()) {
              copyToCandidate(call, assignment);
            }
          } else {
            record(new Observation.Failed(assignment, Variant.BASELINE, false, run.nanos()));
            if (assignment.shadowed()) {
              copyAfterFailure(call, assignment);
            }
          }
        });
  }

  private void copyToCandidate(Call call, Assignment assignment) {
    if (Exposure.isFlipped(ledger.exposure())) {
      return;
    }
    Assignment copy = assignment.dispatched(ledger.ticket(assignment.segment()));
    candidateRequests++;
    ledger.dispatchedShadow(copy.segment(), nowMillis);
    if (call.baseline().nanos() > timeoutNanos) {
      record(new Observation.Failed(copy, Variant.BASELINE, true, call.baseline().nanos())); // as late as that, it has failed
    }
    compare(copy);
    Call.Run run = call.candidate();
    boolean repeated = random.nextInt(Exposure.ALL) < note.repeatBasisPoints();
    after(
        Math.min(run.nanos(), timeoutNanos),
        () -> {
          if (run.crash()) {
            record(new Observation.Crashed(copy));
          }
          if (copied(copy, Variant.CANDIDATE, run)) {
            measure(copy, Variant.CANDIDATE, run);
            compared(call, copy);
            if (repeated) {
              record(
                  new Observation.Repeated(
                      copy, call.repeatDisagrees(), call.disagrees(), call.repeatNanos(), run.nanos()));
            }
          }
        });
  }

  /// The baseline failed; whether the candidate would have too is the other half of the pair.
  private void copyAfterFailure(Call call, Assignment assignment) {
    if (Exposure.isFlipped(ledger.exposure())) {
      return;
    }
    Assignment copy = assignment.dispatched(ledger.ticket(assignment.segment()));
    candidateRequests++;
    ledger.dispatchedShadow(copy.segment(), nowMillis);
    Call.Run run = call.candidate();
    if (run.ok() && run.nanos() <= timeoutNanos) {
      after(
          run.nanos(),
          () -> {
            record(new Observation.Answered(copy, Variant.CANDIDATE, true, run.nanos()));
            record(new Observation.Failed(copy, Variant.BASELINE, true, 0));
          });
    }
  }

  private void copyToBaseline(Call call, Assignment assignment) {
    if (Exposure.isFlipped(ledger.exposure())) {
      return;
    }
    Assignment copy = assignment.dispatched(ledger.ticket(assignment.segment()));
    compare(copy);
    boolean repeated = random.nextInt(Exposure.ALL) < note.repeatBasisPoints();
    after(
        Math.min(call.baseline().nanos(), timeoutNanos),
        () -> {
          if (copied(copy, Variant.BASELINE, call.baseline())) {
            measure(copy, Variant.BASELINE, call.baseline());
            compared(call, copy);
            if (repeated) {
              // Not run side by side with the candidate: their latencies say nothing.
              record(new Observation.Repeated(copy, call.repeatDisagrees(), call.disagrees(), 0, 0));
            }
          }
        });
  }

  private void compare(Assignment copy) {
    if (compares) {
      ledger.dispatchedComparison(copy.segment());
    }
  }

  private boolean copied(Assignment copy, Variant variant, Call.Run run) {
    boolean ok = run.ok() && run.nanos() <= timeoutNanos;
    long nanos = Math.min(run.nanos(), timeoutNanos);
    record(
        ok
            ? new Observation.Answered(copy, variant, true, nanos)
            : new Observation.Failed(copy, variant, true, nanos));
    return ok;
  }

  private void compared(Call call, Assignment copy) {
    if (compares) {
      double difference = call.difference();
      Cause cause = call.disagrees() ? Cause.DISTANCE : Cause.NONE;
      record(new Observation.Compared(copy, new Disagreement(difference, cause, difference)));
    }
    if (labels && !Double.isNaN(call.loss())) {
      record(new Observation.Labelled(copy, call.loss()));
    }
  }

  private void measure(Assignment assignment, Variant variant, Call.Run run) {
    for (int rule : drifts) {
      if (!Double.isNaN(run.measured(rule))) {
        record(new Observation.Measured(assignment, variant, rule, run.measured(rule)));
      }
    }
  }

  // --- evidence -------------------------------------------------------------------------------------------------------

  private void record(Observation observation) {
    if (stop == null) {
      tripped(ledger.record(observation, nowMillis));
    }
  }

  private void tripped(@Nullable Trip trip) {
    if (trip != null && stop == null) {
      stop = ledger.describe(trip);
    }
  }

  /// Freezes the baseline's quantiles once enough of its answers have been seen.
  private void learnQuantiles(long nanos) {
    if (baselineNanos.length == 0) {
      return;
    }
    baselineNanos[baselineSeen++] = nanos;
    if (baselineSeen < baselineNanos.length) {
      return;
    }
    Arrays.sort(baselineNanos);
    for (int r = 0; r < note.stopRules().size(); r++) {
      if (note.stopRules().get(r) instanceof StopRule.LatencyRatio ratio) {
        for (int part = 0; part < ratio.parts(); part++) {
          int rank = (int) Math.ceil(ratio.quantiles().get(part) * baselineSeen) - 1;
          ledger.freeze(r, part, Math.max(1, baselineNanos[Math.max(0, rank)]), nowMillis);
        }
      }
    }
    baselineNanos = new long[0];
  }

  private static long exposure(RolloutState state) {
    return Exposure.of(state.epoch(), state.weightBasisPoints(), state.shadowBasisPoints());
  }
}
