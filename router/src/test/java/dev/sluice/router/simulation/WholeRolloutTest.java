package dev.sluice.router.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.ExampleNotes;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutNote.Promotion;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.rollout.Step;
import dev.sluice.router.rollout.Step.Canary;
import dev.sluice.router.rollout.Step.ExpansionCondition;
import dev.sluice.router.simulation.HealthyRollouts.Mix;
import dev.sluice.router.simulation.HealthyRollouts.Tally;
import dev.sluice.router.simulation.SimulatedRollout.Outcome;
import dev.sluice.router.simulation.SimulatedRollout.Plan;
import dev.sluice.router.simulation.SimulatedRollout.Rates;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The promise to owners, kept over whole rollouts: a healthy candidate is stopped with probability at most alpha, all
/// rules, segments, steps, looks and changes of weight together; a bad one is stopped soon; every decision replays. The same
/// over a hundred thousand rollouts, with the figures for people, is [StopRulePageTest].
final class WholeRolloutTest {

  private static final long SEED = 83;
  private static final long FIRST_SEED = SEED * 1_000_003;

  @ParameterizedTest(name = "alpha {0}, limit {1}, rules: {2}")
  @CsvSource({"0.05, 0.05, ALL", "0.05, 0.05, LIMITS", "0.001, 0.05, ALL"})
  void aHealthyCandidateIsStoppedNoMoreOftenThanAlphaAllows(double alpha, double limit, Mix mix) {
    int rollouts = 300;
    HealthyRollouts healthy = new HealthyRollouts(alpha, limit, mix);
    Tally tally = HealthyRollouts.tally(FIRST_SEED, rollouts, healthy::plan);
    System.out.printf("healthy, alpha %s, limit %s, %s: %s%n", alpha, limit, mix, tally);
    int most = Chance.mostOf(rollouts, alpha);
    assertThat(tally.stopped()).as("stopped, seeds from %d: %s", FIRST_SEED, tally).isLessThanOrEqualTo(most);
    assertThat(tally.held()).as("held, seeds from %d: %s", FIRST_SEED, tally).isLessThanOrEqualTo(most);
    assertThat(tally.promoted()).as("promoted, or the others prove little").isGreaterThan(rollouts / 3);
    assertThat(tally.notIdentical()).as("not the same when replayed, seeds from %d", FIRST_SEED).isZero();
  }

  /// Shows that the test above can fail, and that the stop names the rule that was broken.
  @ParameterizedTest
  @CsvSource({
    "0.15, 0.02, 0.02, error-rate fallback-rate error-ratio paired-errors",
    "0.02, 0.15, 0.02, latency-over mean-cost latency-ratio",
    "0.02, 0.02, 0.15, disagreement-rate disagreement-over-noise score-difference"
  })
  void aCandidateAtThreeTimesOneLimitIsStoppedForIt(double failing, double slow, double disagreeing, String broken) {
    HealthyRollouts healthy = new HealthyRollouts(0.001, 0.05, Mix.ALL);
    Rates bad = new Rates(failing, slow, disagreeing);
    int rollouts = 100;
    Tally tally = HealthyRollouts.tally(FIRST_SEED, rollouts, seed -> healthy.plan(seed, (_, _) -> bad));
    System.out.printf("three times the limit of %s: %s%n", broken, tally);
    assertThat(tally.afterTheEnd()).as("candidates after the flip, seeds from %d", FIRST_SEED).isZero();
    // A quarter of the rollouts have answers of 20 s and are broken off after 120 s: their slowness is hardly known by then.
    assertThat(tally.stopped()).as("seeds from %d", FIRST_SEED).isGreaterThan(rollouts * 70 / 100);
    int named =
        tally.rules().entrySet().stream()
            .filter(entry -> List.of(broken.split(" ")).stream().anyMatch(rule -> entry.getKey().startsWith(rule)))
            .mapToInt(Map.Entry::getValue)
            .sum();
    assertThat(named).as("%s", tally).isGreaterThan(tally.stopped() * 95 / 100);
    assertThat(tally.notIdentical()).as("not the same when replayed, seeds from %d", FIRST_SEED).isZero();
  }

  @Test
  void aCandidateThatIsBadForOneSegmentAloneIsStopped() {
    HealthyRollouts healthy = new HealthyRollouts(0.001, 0.01, Mix.LIMITS);
    Rates good = new Rates(0, 0, 0);
    Rates bad = new Rates(0.3, 0, 0);
    Tally tally =
        HealthyRollouts.tally(FIRST_SEED, 100, seed -> healthy.plan(seed, (segment, _) -> segment == 1 ? bad : good));
    System.out.printf("bad in one segment: %s%n", tally);
    assertThat(tally.stopped()).isGreaterThan(98);
  }

  @Test
  void aCandidateThatFailsEveryRequestIsStoppedWithinTwo() {
    RolloutNote note = failingNote(List.of(), List.of(new ErrorRate(0.01, Scope.ALL)));
    assertThat(mostCandidateCalls(note)).isEqualTo(2);
  }

  @Test
  void withFourRulesInThreeSegmentsItIsStoppedWithinThree() {
    RolloutNote note = failingNote(HealthyRollouts.COUNTRIES, new HealthyRollouts(0.001, 0.01, Mix.LIMITS).rules());
    int most = mostCandidateCalls(note);
    System.out.printf("failing every request, 4 rules x 3 segments: stopped within %d candidate requests%n", most);
    assertThat(most).isLessThanOrEqualTo(3);
  }

  @Test
  void aTripWhilePausedFlipsAndIsWrittenDown() {
    RolloutNote note = failingNote(List.of(), List.of(new ErrorRate(0.01, Scope.ALL)));
    for (long seed = SEED; seed < SEED + 50; seed++) {
      SimulatedRollout rollout = new SimulatedRollout(failing(note), seed);
      rollout.decide(new RolloutEvent.Pause("lunch"));
      Outcome outcome = rollout.run();
      assertThat(outcome.stage()).as("seed %d", seed)
          .isInstanceOfSatisfying(Stage.Stopped.class, stopped -> assertThat(stopped.reason()).startsWith("error-rate: 2 bad among"));
      assertThat(outcome.afterTheEnd()).as("seed %d", seed).isZero();
    }
  }

  private static int mostCandidateCalls(RolloutNote note) {
    int most = 0;
    for (long seed = SEED; seed < SEED + 200; seed++) {
      Outcome outcome = new SimulatedRollout(failing(note), seed).run();
      assertThat(outcome.stage()).as("seed %d", seed).isInstanceOf(Stage.Stopped.class);
      assertThat(outcome.afterTheEnd()).as("seed %d", seed).isZero();
      assertThat(outcome.identical()).as("seed %d", seed).isTrue();
      most = Math.max(most, outcome.candidateCalls());
    }
    return most;
  }

  private static RolloutNote failingNote(List<String> segments, List<StopRule> rules) {
    List<Step> steps = List.of(new Canary(1_000, 0, new ExpansionCondition(10_000, 0, 0)));
    return ExampleNotes.note(segments, steps, rules, 0.001, 1_000, Promotion.MANUAL);
  }

  /// Answers at once, so that each request is over before the next one begins; the only attempt there will be.
  private static Plan failing(RolloutNote note) {
    EvidenceLedger.Plan ledger =
        new EvidenceLedger.Plan(
            new ArmedRules(note.stopRules(), note.alpha(), note.allSegments()), List.of(), 1_000, 64, true);
    return new Plan(note, ledger, (_, _) -> new Rates(0, 0, 0), (_, _) -> new Rates(1, 0, 0), 100_000, 0, false);
  }
}
