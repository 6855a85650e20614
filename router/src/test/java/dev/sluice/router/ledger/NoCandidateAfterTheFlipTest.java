package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assigner;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The first guarantee, under real threads: once the tripping observation has been recorded and the flip has returned, no
/// request that begins is assigned to the candidate.
@Timeout(300)
final class NoCandidateAfterTheFlipTest {

  private static final long SEED = 61;
  private static final int ROUNDS = 64;
  private static final int REQUESTS_PER_ROUND = 640_000;

  @ParameterizedTest(name = "while the weight is being raised: {0}")
  @ValueSource(booleans = {false, true})
  void noRequestThatBeginsAfterTheFlipReachesTheCandidate(boolean raising) throws Exception {
    checkRounds(ROUNDS, raising);
  }

  @Tag("long")
  @ParameterizedTest(name = "while the weight is being raised: {0}")
  @ValueSource(booleans = {false, true})
  void noRequestThatBeginsAfterTheFlipReachesTheCandidateInManyRounds(boolean raising) throws Exception {
    checkRounds(50 * ROUNDS, raising);
  }

  private static void checkRounds(int rounds, boolean raising) throws Exception {
    int few = 2 * Runtime.getRuntime().availableProcessors();
    long routed = 0;
    long beganAfterFlip = 0;
    int wellSeen = 0;
    long start = System.nanoTime();
    for (int round = 0; round < rounds; round++) {
      Round done = new Round(round % 2 == 0 ? few : 16, 1, raising, SEED * 1_000_003 + round);
      done.run();
      String which = "seed %d, round %d, %d threads".formatted(SEED, round, done.threads);
      assertThat(done.candidateAfterFlip.get()).as("candidates after the flip, %s", which).isZero();
      assertThat(done.winners.get()).as("threads that were told to report it, %s", which).isEqualTo(1);
      assertThat(done.ledger.trip()).as(which).isNotNull().isEqualTo(done.verdict.get());
      assertThat(done.ledger.replay().identical()).as("replay, %s", which).isTrue();
      assertThat(Exposure.isFlipped(done.ledger.exposure())).as(which).isTrue();
      assertThat(Exposure.weightBasisPoints(done.ledger.exposure())).as(which).isZero();
      assertThat(done.ledger.liveDispatched(ArmedRule.OVERALL)).as("none lost, %s", which).isEqualTo(done.candidates);
      assertThat(done.ledger.liveCompleted(ArmedRule.OVERALL)).as("none lost, %s", which).isEqualTo(done.candidates);
      assertThat(done.candidates).as(which).isGreaterThan(1_000);
      // A thread that loses its processor while it writes a line holds up the verdict, but seldom.
      wellSeen += done.beganAfterFlip > 10_000 ? 1 : 0;
      routed += done.routed;
      beganAfterFlip += done.beganAfterFlip;
    }
    System.out.printf(
        "flip, raising %s: %,d requests in %d rounds, %,d began after the flip, 0 on the candidate; roughly %.0f ns each%n",
        raising, routed, rounds, beganAfterFlip, (System.nanoTime() - start) / (double) routed);
    assertThat(routed).isGreaterThanOrEqualTo(10_000_000);
    assertThat(wellSeen).as("rounds with many requests after the flip").isGreaterThan(rounds * 3 / 4);
  }

  /// Shows that the tests above can fail.
  @Test
  void aRouterThatRemembersTheExposureIsCaught() throws Exception {
    int caught = 0;
    for (int round = 0; round < 4; round++) {
      Round done = new Round(8, 5_000, false, SEED + round);
      done.run();
      caught += done.candidateAfterFlip.get();
    }
    assertThat(caught).as("seed %d", SEED).isPositive();
  }

  @Test
  void noKeySeenOnTheCandidateIsLaterSeenOnTheBaselineBeforeAFlip() throws Exception {
    int keys = 4_096;
    Assigner assigner = new Assigner(SEED);
    long[] hashes = new long[keys];
    for (int key = 0; key < keys; key++) {
      hashes[key] = assigner.hash("key-" + key);
    }
    EvidenceLedger ledger = new Round(1, 1, false, SEED).ledger;
    ledger.initialize(1, Exposure.of(0, 0, 0));
    AtomicIntegerArray seenOnCandidate = new AtomicIntegerArray(keys);
    AtomicInteger movedBack = new AtomicInteger();
    AtomicInteger checkedWhileRaising = new AtomicInteger();
    AtomicBoolean raised = new AtomicBoolean();
    List<Callable<Void>> threads = new ArrayList<>();
    for (int thread = 0; thread < 4; thread++) {
      SplittableRandom random = new SplittableRandom(SEED + thread);
      threads.add(() -> {
        while (!raised.get()) {
          int key = random.nextInt(keys);
          boolean before = seenOnCandidate.get(key) == 1; // by any thread, before the exposure is read
          long word = ledger.exposure();
          boolean now = Assigner.assign(word, hashes[key], true, random.nextLong(), 0, true, 0).variant() == Variant.CANDIDATE;
          if (before && !now) {
            movedBack.incrementAndGet();
          }
          if (now) {
            seenOnCandidate.set(key, 1);
          }
          checkedWhileRaising.incrementAndGet();
        }
        return null;
      });
    }
    threads.add(() -> {
      try {
        for (int weight = 1; weight <= Exposure.ALL; weight++) {
          int enough = checkedWhileRaising.get() + 20;
          assertThat(ledger.expose(ledger.exposure(), Exposure.of(weight, weight, 0))).isTrue();
          while (checkedWhileRaising.get() < enough) {
            Thread.onSpinWait();
          }
        }
      } finally {
        raised.set(true);
      }
      return null;
    });
    runAll(threads);
    assertThat(movedBack.get()).as("seed %d", SEED).isZero();
    assertThat(checkedWhileRaising.get()).isGreaterThan(100_000);
  }

  /// Many callers' threads on one rollout, healthy for half of the requests, then failing every one.
  private static final class Round {
    private static final Segments SEGMENTS =
        new Segments(List.of(SegmentRule.parse("country=DE"), SegmentRule.parse("country=FR")));
    private static final ArmedRules RULES = new ArmedRules(List.of(new ErrorRate(0.01, Scope.ALL)), 0.001, SEGMENTS);

    private static final EvidenceLedger.Plan PLAN = new EvidenceLedger.Plan(RULES, List.of(), 1_000, EvidenceLedger.Plan.LINES, true);

    private final EvidenceLedger ledger = new EvidenceLedger(PLAN, LedgerWords.onHeap(PLAN.wordsNeeded()));
    private final int threads;
    private final int requestsPerReading;
    private final boolean raising;
    private final long seed;

    private volatile boolean failing;
    private volatile boolean flipReturned;
    private final AtomicInteger hundreds = new AtomicInteger();
    private final AtomicInteger candidateAfterFlip = new AtomicInteger();
    private final AtomicInteger winners = new AtomicInteger();
    private final AtomicReference<Trip> verdict = new AtomicReference<>();
    private long routed;
    private long candidates;
    private long beganAfterFlip;

    Round(int threads, int requestsPerReading, boolean raising, long seed) {
      this.threads = threads;
      this.requestsPerReading = requestsPerReading;
      this.raising = raising;
      this.seed = seed;
      ledger.initialize(1, Exposure.of(1, raising ? 100 : 2_000, 0));
    }

    private record Tally(long routed, long candidates, long beganAfterFlip) {}

    void run() throws InterruptedException, ExecutionException {
      List<Callable<Tally>> work = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        SplittableRandom random = new SplittableRandom(seed * 31 + thread);
        work.add(() -> route(random, REQUESTS_PER_ROUND / threads));
      }
      if (raising) {
        work.add(this::raise);
      }
      for (Tally tally : runAll(work)) {
        routed += tally.routed;
        candidates += tally.candidates;
        beganAfterFlip += tally.beganAfterFlip;
      }
    }

    private Tally route(SplittableRandom random, int requests) {
      long toCandidate = 0;
      long afterFlip = 0;
      long word = ledger.exposure();
      for (int i = 0; i < requests; i++) {
        if (i % 100 == 0 && hundreds.incrementAndGet() == REQUESTS_PER_ROUND / 200) {
          failing = true;
        }
        boolean begunAfterFlip = flipReturned; // a volatile read before the exposure's: what "begins after" means
        if (i % requestsPerReading == 0) {
          word = ledger.exposure();
        }
        int segment = i % SEGMENTS.declaredAndOther();
        Assignment assignment =
            Assigner.assign(word, random.nextLong(), false, random.nextLong(), segment, true, ledger.ticket(segment));
        afterFlip += begunAfterFlip ? 1 : 0;
        if (assignment.variant() == Variant.CANDIDATE) {
          toCandidate++;
          if (begunAfterFlip) {
            candidateAfterFlip.incrementAndGet();
          }
          ledger.assigned(assignment, i);
          ledger.dispatchedLive(segment, i);
          complete(assignment);
        }
      }
      return new Tally(requests, toCandidate, afterFlip);
    }

    private void complete(Assignment assignment) {
      Trip trip =
          ledger.record(
              failing
                  ? new Observation.Failed(assignment, Variant.CANDIDATE, false, 1_000)
                  : new Observation.Answered(assignment, Variant.CANDIDATE, false, 1_000),
              0);
      if (trip != null) {
        winners.incrementAndGet();
        verdict.set(trip);
        flipReturned = true;
      }
    }

    /// The single writer: a little more weight at the pace of the traffic. It takes its time between reading and writing,
    /// so that the flip comes in between.
    private Tally raise() {
      long word = ledger.exposure();
      while (!Exposure.isFlipped(word) && hundreds.get() < REQUESTS_PER_ROUND / 100) {
        int next = hundreds.get() + 1;
        while (hundreds.get() < Math.min(next, REQUESTS_PER_ROUND / 100)) {
          Thread.onSpinWait();
        }
        int weight = Math.min(Exposure.weightBasisPoints(word) + 1, Exposure.ALL);
        ledger.expose(word, Exposure.of(Exposure.epoch(word) + 1, weight, 0));
        word = ledger.exposure();
      }
      return new Tally(0, 0, 0);
    }
  }

  private static <T> List<T> runAll(List<Callable<T>> work) throws InterruptedException, ExecutionException {
    List<T> results = new ArrayList<>();
    try (ExecutorService executor = Executors.newFixedThreadPool(work.size())) {
      List<Future<T>> futures = executor.invokeAll(work);
      for (Future<T> future : futures) {
        results.add(future.get());
      }
    }
    return results;
  }
}
