package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.simulation.Chance;
import dev.sluice.router.statistics.LimitTest;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A candidate exactly at its limit whose failures return at once while its answers take a thousand requests' time.
final class InFlightTest {

  private static final long SEED = 53;
  private static final double LIMIT = 0.01;
  private static final int IN_FLIGHT = 1_000;
  private static final int REQUESTS = 20_000;
  private static final int RUNS = 2_000;

  @ParameterizedTest(name = "alpha {0}")
  @ValueSource(doubles = {0.001, 0.05})
  void countingAtDispatchKeepsAlphaWhereCountingAtCompletionDoesNot(double alpha) {
    ArmedRules rules = new ArmedRules(List.of(new ErrorRate(LIMIT, Scope.OVERALL)), alpha, new Segments(List.of()));
    long[] boundaries = boundaries(alpha);
    int[] alarms = new int[2];
    IntStream.range(0, RUNS).parallel().mapToObj(run -> run(rules, boundaries, SEED * 1_000_003 + run)).forEachOrdered(run -> {
      alarms[0] += run.alarmOfLedger() ? 1 : 0;
      alarms[1] += run.alarmAtCompletion() ? 1 : 0;
    });
    int most = Chance.mostOf(RUNS, alpha);
    System.out.printf(
        "%d in flight, alpha %s, %d runs: %d false alarms counted at dispatch (at most %d), %d counted at completion%n",
        IN_FLIGHT, alpha, RUNS, alarms[0], most, alarms[1]);
    assertThat(alarms[0]).as("at dispatch, seeds from %d", SEED * 1_000_003).isLessThanOrEqualTo(most);
    assertThat(alarms[1]).as("at completion, seeds from %d", SEED * 1_000_003).isGreaterThan(RUNS / 2);
  }

  /// What people check by hand: the most events among which so many failures are too many.
  private static long[] boundaries(double alpha) {
    LimitTest test = new LimitTest(LIMIT);
    return IntStream.range(0, 2_000).mapToLong(bad -> test.boundary(bad, 1 / alpha)).toArray();
  }

  private record Run(boolean alarmOfLedger, boolean alarmAtCompletion) {}

  private static Run run(ArmedRules rules, long[] boundaries, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    EvidenceLedger.Plan plan = new EvidenceLedger.Plan(rules, List.of(), 1_000, 64, true);
    EvidenceLedger ledger = new EvidenceLedger(plan, LedgerWords.onHeap(plan.wordsNeeded()));
    ledger.initialize(1, Exposure.of(1, 10_000, 0));
    Assignment[] answersLater = new Assignment[REQUESTS];
    boolean alarmOfLedger = false;
    boolean alarmAtCompletion = false;
    long completed = 0;
    int bad = 0;
    for (int i = 0; i < REQUESTS; i++) {
      Assignment request =
          new Assignment(Variant.CANDIDATE, false, 0, 1, 10_000, Assignment.NO_KEY, ledger.ticket(0));
      ledger.assigned(request, i);
      ledger.dispatchedLive(0, i);
      if (random.nextDouble() < LIMIT) {
        completed++;
        bad++;
        alarmOfLedger |= ledger.record(new Observation.Failed(request, Variant.CANDIDATE, false, 1_000), i) != null;
        alarmAtCompletion |= completed <= boundaries[bad];
      } else {
        answersLater[i] = request;
      }
      Assignment older = i < IN_FLIGHT ? null : answersLater[i - IN_FLIGHT];
      if (older != null) {
        completed++;
        ledger.record(new Observation.Answered(older, Variant.CANDIDATE, false, 1_000_000), i);
      }
    }
    return new Run(alarmOfLedger, alarmAtCompletion);
  }
}
