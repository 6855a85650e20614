package dev.sluice.router.ledger;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.simulation.Chance;
import dev.sluice.router.statistics.BoundaryTable;
import dev.sluice.router.statistics.GridLikelihoodRatio;
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
    BoundaryTable table = new BoundaryTable(new GridLikelihoodRatio(LIMIT), 1 / alpha);
    int[] alarms = new int[2];
    IntStream.range(0, RUNS).parallel().mapToObj(run -> run(rules, table, SEED * 1_000_003 + run)).forEachOrdered(run -> {
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

  private record Run(boolean alarmOfLedger, boolean alarmAtCompletion) {}

  private static Run run(ArmedRules rules, BoundaryTable table, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    EvidenceLedger ledger =
        new EvidenceLedger(rules, new Segments(List.of()), LedgerWords.onHeap(EvidenceLedger.wordsNeeded(1, 1)));
    ledger.initialize(1, Exposure.of(1, 10_000, 0));
    boolean[] answersLater = new boolean[REQUESTS];
    boolean alarmOfLedger = false;
    boolean alarmAtCompletion = false;
    long completed = 0;
    long bad = 0;
    for (int request = 0; request < REQUESTS; request++) {
      ledger.assignedLive(0);
      ledger.dispatchedLive(0);
      if (random.nextDouble() < LIMIT) {
        completed++;
        bad++;
        alarmOfLedger |= ledger.record(new Observation.Failed(1, 0, Variant.CANDIDATE, false, 1_000)) != null;
        alarmAtCompletion |= table.isCrossed(completed, bad);
      } else {
        answersLater[request] = true;
      }
      if (request >= IN_FLIGHT && answersLater[request - IN_FLIGHT]) {
        completed++;
        ledger.record(new Observation.Answered(1, 0, Variant.CANDIDATE, false, 1_000_000));
      }
    }
    return new Run(alarmOfLedger, alarmAtCompletion);
  }
}
