package dev.sluice.router.rollout;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.rollout.Decision.Hold;
import dev.sluice.router.rollout.Decision.Move;
import dev.sluice.router.rollout.Decision.Refuse;
import dev.sluice.router.rollout.RolloutEvent.Abort;
import dev.sluice.router.rollout.RolloutEvent.Flipped;
import dev.sluice.router.rollout.RolloutEvent.Pause;
import dev.sluice.router.rollout.RolloutEvent.Promote;
import dev.sluice.router.rollout.RolloutEvent.Resume;
import dev.sluice.router.rollout.RolloutEvent.Review;
import dev.sluice.router.rollout.RolloutEvent.SetWeight;
import dev.sluice.router.rollout.RolloutMachine.RateSeen;
import dev.sluice.router.rollout.RolloutNote.Promotion;
import dev.sluice.router.rollout.Step.Canary;
import dev.sluice.router.rollout.Step.ExpansionCondition;
import dev.sluice.router.rollout.Step.Shadow;
import dev.sluice.router.statistics.LimitAcceptance;
import dev.sluice.router.stop.StopRule;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class RolloutMachineTest {

  private static final int BLAST_RADIUS = 3_000;
  private static final long START = 1_000_000;
  private static final long STEP_MILLIS = 10_000;
  private static final int DE = 0;
  private static final int VIP = 1;
  private static final int OTHER = 2;

  private static final List<Step> STEPS =
      List.of(
          new Shadow(10_000, new ExpansionCondition(100, 10, STEP_MILLIS)),
          new Canary(500, 200, new ExpansionCondition(100, 10, STEP_MILLIS)),
          new Canary(2_500, 0, new ExpansionCondition(100, 10, STEP_MILLIS)));

  private final RolloutMachine machine = machine(Promotion.AUTOMATIC);
  private final Counts counts = new Counts();

  // --- every stage x every event --------------------------------------------------------------------------------------

  /// What each event does in each stage. A move names the stage that follows; `-` holds, `x` refuses.
  @ParameterizedTest(name = "{0}")
  @CsvSource(
      useHeadersInDisplayName = true,
      textBlock =
          """
          stage,     review (not met), review (met),  set-weight, set beyond, pause,    resume,    promote,     abort,   flipped
          shadow,    -,                Running 1,     x,          x,          Paused 0, -,         x,           Aborted, Stopped
          canary,    -,                Running 2,     Running 1,  x,          Paused 1, -,         CoolingDown, Aborted, Stopped
          last,      -,                CoolingDown,   Running 2,  x,          Paused 2, -,         CoolingDown, Aborted, Stopped
          pausedShadow, -,             -,             x,          x,          -,        Running 0, x,           Aborted, Stopped
          paused,    -,                -,             Paused 1,   x,          -,        Running 1, CoolingDown, Aborted, Stopped
          cooling,   -,                Promoted,      x,          x,          x,        x,         -,           Aborted, Stopped
          promoted,  -,                -,             x,          x,          x,        x,         -,           -,       -
          stopped,   -,                -,             x,          x,          x,        x,         x,           -,       -
          aborted,   -,                -,             x,          x,          x,        x,         x,           -,       -
          """)
  void everyEventInEveryStage(
      String stage, String notMet, String met, String setWeight, String beyond, String pause, String resume,
      String promote, String abort, String flipped) {
    RolloutState state = reach(stage);
    long later = START + 20 * STEP_MILLIS;
    assertThat(outcome(state, new Review(), START + 1_000)).as("review, not met").isEqualTo(notMet);
    assertThat(outcome(state, new SetWeight(700, "why"), later)).as("set-weight").isEqualTo(setWeight);
    assertThat(outcome(state, new SetWeight(3_001, "why"), later)).as("set beyond").isEqualTo(beyond);
    assertThat(outcome(state, new Pause("why"), later)).as("pause").isEqualTo(pause);
    assertThat(outcome(state, new Resume("why"), later)).as("resume").isEqualTo(resume);
    assertThat(outcome(state, new Promote("why"), later)).as("promote").isEqualTo(promote);
    assertThat(outcome(state, new Abort("why"), later)).as("abort").isEqualTo(abort);
    assertThat(outcome(state, new Flipped("why"), later)).as("flipped").isEqualTo(flipped);
    counts.observe(1_000, DE, VIP, OTHER);
    assertThat(outcome(state, new Review(), later)).as("review, met").isEqualTo(met);
  }

  private String outcome(RolloutState state, RolloutEvent event, long nowMillis) {
    return switch (machine.decide(state, event, counts, nowMillis)) {
      case Hold _ -> "-";
      case Refuse _ -> "x";
      case Move move ->
          switch (move.next().stage()) {
            case Stage.Running running -> "Running " + running.step();
            case Stage.Paused paused -> "Paused " + paused.step();
            case Stage.CoolingDown _ -> "CoolingDown";
            case Stage.Promoted _ -> "Promoted";
            case Stage.Stopped _ -> "Stopped";
            case Stage.Aborted _ -> "Aborted";
          };
    };
  }

  private RolloutState reach(String stage) {
    Stage at =
        switch (stage) {
          case "shadow" -> new Stage.Running(0, START);
          case "canary" -> new Stage.Running(1, START);
          case "last" -> new Stage.Running(2, START);
          case "pausedShadow" -> new Stage.Paused(0, "lunch");
          case "paused" -> new Stage.Paused(1, "lunch");
          case "cooling" -> new Stage.CoolingDown(START);
          case "promoted" -> new Stage.Promoted(START);
          case "stopped" -> new Stage.Stopped("error-rate");
          case "aborted" -> new Stage.Aborted("a hunch");
          default -> throw new IllegalArgumentException(stage);
        };
    return new RolloutState(at, 7, 500, 200, List.of(0L, 0L, 0L));
  }

  // --- evidence -------------------------------------------------------------------------------------------------------

  @Test
  void aRolloutBeginsWithItsFirstStep() {
    assertThat(machine.begin(START))
        .isEqualTo(new RolloutState(new Stage.Running(0, START), 1, 0, 10_000, List.of(0L, 0L, 0L)));
  }

  @Test
  void tooLittleEvidenceHoldsForEverAndSaysWhatIsMissing() {
    RolloutState state = machine.begin(START);
    assertThat(waitingFor(machine, state, START))
        .isEqualTo("100 more shadowed requests, 10 more shadowed requests in country=DE, 10 more shadowed requests in tier=vip, "
            + "10 s more in this step");
    counts.observe(30, DE);
    assertThat(waitingFor(machine, state, START + STEP_MILLIS - 1))
        .isEqualTo("70 more shadowed requests, 10 more shadowed requests in tier=vip, 1 s more in this step");
    long years = START + 100L * 365 * 24 * 3_600_000;
    assertThat(waitingFor(machine, state, years))
        .isEqualTo("70 more shadowed requests, 10 more shadowed requests in tier=vip");
    counts.observe(1_000_000, OTHER);
    assertThat(waitingFor(machine, state, years))
        .as("a quiet segment is not carried by a busy one")
        .isEqualTo("10 more shadowed requests in tier=vip");
    counts.observe(10, VIP);
    assertThat(machine.decide(state, new Review(), counts, years)).isInstanceOf(Move.class);
  }

  @Test
  void otherHasNoMinimumOfItsOwn() {
    counts.observe(50, DE, VIP);
    assertThat(machine.decide(machine.begin(START), new Review(), counts, START + STEP_MILLIS)).isInstanceOf(Move.class);
  }

  @Test
  void evidenceWithoutTheTimeHolds() {
    counts.observe(1_000, DE, VIP);
    assertThat(waitingFor(machine, machine.begin(START), START + 1))
        .isEqualTo("10 s more in this step");
  }

  @Test
  void aStepAsksForEvidenceOfItsOwnAndOfItsOwnKind() {
    counts.observe(1_000, DE, VIP);
    RolloutState canary = moved(machine.decide(machine.begin(START), new Review(), counts, START + STEP_MILLIS));
    assertThat(canary)
        .isEqualTo(new RolloutState(new Stage.Running(1, START + STEP_MILLIS), 2, 500, 200, List.of(1_000L, 1_000L, 2_000L)));
    counts.observeShadows(1_000_000, DE);
    assertThat(waitingFor(machine, canary, START + 2 * STEP_MILLIS))
        .as("shadows are no answers to callers")
        .isEqualTo("100 more candidate answers, 10 more candidate answers in country=DE, "
            + "10 more candidate answers in tier=vip");
  }

  @Test
  void aWholeRolloutGoesStepByStepToItsPromotion() {
    RolloutState state = machine.begin(START);
    long now = START;
    for (String kind : List.of("advanced", "advanced", "promoted")) {
      counts.observe(100, DE, VIP);
      now += STEP_MILLIS;
      Decision decision = machine.decide(state, new Review(), counts, now);
      assertThat(decision).isInstanceOfSatisfying(Move.class, move -> assertThat(move.kind()).isEqualTo(kind));
      state = moved(decision);
    }
    assertThat(state.weightBasisPoints()).isEqualTo(Exposure.ALL);
    assertThat(state.epoch()).isEqualTo(4);
    long end = now + ExampleNotes.COOL_DOWN_MILLIS;
    assertThat(waitingFor(machine, state, end - 1)).isEqualTo("the cool-down ends in 1 s");
    RolloutState promoted = moved(machine.decide(state, new Review(), counts, end));
    assertThat(promoted.stage()).isEqualTo(new Stage.Promoted(now));
    assertThat(promoted.weightBasisPoints()).isEqualTo(Exposure.ALL);
  }

  @Test
  void manualPromotionWaitsForAPerson() {
    RolloutMachine manual = machine(Promotion.MANUAL);
    RolloutState last = new RolloutState(new Stage.Running(2, START), 3, 2_500, 0, List.of(0L, 0L, 0L));
    counts.observe(1_000, DE, VIP);
    long later = START + 1_000 * STEP_MILLIS;
    assertThat(waitingFor(manual, last, later)).isEqualTo("a person to promote it");
    assertThat(moved(manual.decide(last, new Promote("looks good"), counts, later)).stage())
        .isEqualTo(new Stage.CoolingDown(later));
  }

  @Test
  void whatHoldsARolloutIsSaidAndKeepsItWhereItIs() {
    counts.observe(1_000, DE, VIP);
    counts.holding = List.of("sample-ratio holds the rollout until a person ends or promotes it");
    assertThat(waitingFor(machine, machine.begin(START), START + STEP_MILLIS))
        .isEqualTo("sample-ratio holds the rollout until a person ends or promotes it");
    counts.holding = List.of();
    assertThat(machine.decide(machine.begin(START), new Review(), counts, START + STEP_MILLIS)).isInstanceOf(Move.class);
  }

  @Test
  void aRateHasToBeShownAndTheRolloutSaysHowManyMoreRequestsThatTakes() {
    RolloutMachine accepting = accepting(new Acceptance.RateBelow("error-rate", 0.01));
    RolloutState begun = accepting.begin(START);
    counts.observe(200, OTHER);
    counts.rate = new RateSeen(100, 0);
    long needed = new LimitAcceptance(0.01).completedNeeded(0, Acceptance.THRESHOLD);
    assertThat(needed).isGreaterThan(300);
    assertThat(waitingFor(accepting, begun, START + 2_000))
        .isEqualTo(
            "%d more requests to show that error-rate is below 1 %% (0 bad of 100), about %d s at the present rate"
                .formatted(needed - 100, Math.ceilDiv(needed - 100, 100)));
    counts.rate = new RateSeen(needed - 1, 0);
    assertThat(accepting.decide(begun, new Review(), counts, START + 2_000)).isInstanceOf(Hold.class);
    counts.rate = new RateSeen(needed, 0);
    assertThat(accepting.decide(begun, new Review(), counts, START + 2_000)).isInstanceOf(Move.class);
    counts.rate = new RateSeen(needed, 1);
    assertThat(accepting.decide(begun, new Review(), counts, START + 2_000))
        .as("a failure has to be made up for")
        .isInstanceOf(Hold.class);
  }

  @Test
  void aRatioHasToBeShown() {
    RolloutMachine accepting = accepting(new Acceptance.ErrorRatioBelow(2));
    RolloutState begun = accepting.begin(START);
    counts.observe(200, OTHER);
    counts.errorRatio = 19.9;
    assertThat(waitingFor(accepting, begun, START + 2_000))
        .isEqualTo("more failures of either version to show that the candidate fails less than 2 times as often as the "
            + "baseline: evidence 19.9 of 20");
    counts.errorRatio = 20;
    assertThat(accepting.decide(begun, new Review(), counts, START + 2_000)).isInstanceOf(Move.class);
  }

  private static RolloutMachine accepting(Acceptance acceptance) {
    List<Step> steps = List.of(new Canary(500, 0, new ExpansionCondition(1, 0, 0, List.of(acceptance))), new Canary(600, 0, new ExpansionCondition(1, 0, 0)));
    return new RolloutMachine(ExampleNotes.note(steps, BLAST_RADIUS, Promotion.AUTOMATIC));
  }

  // --- commands -------------------------------------------------------------------------------------------------------

  @Test
  void aPauseKeepsTheWeightAndStopsExpansionUntilAPersonResumes() {
    RolloutState running = reach("canary");
    RolloutState paused = moved(machine.decide(running, new Pause("a holiday"), counts, START + 1));
    assertThat(paused.stage()).isEqualTo(new Stage.Paused(1, "a holiday"));
    assertThat(paused.weightBasisPoints()).isEqualTo(running.weightBasisPoints());
    assertThat(paused.shadowBasisPoints()).isEqualTo(running.shadowBasisPoints());
    assertThat(paused.epoch()).as("nothing changes for a caller").isEqualTo(running.epoch());
    counts.observe(1_000_000, DE, VIP, OTHER);
    long weeks = START + 1_000_000_000;
    assertThat(waitingFor(machine, paused, weeks)).isEqualTo("a person to resume it");
    RolloutState resumed = moved(machine.decide(paused, new Resume("back"), counts, weeks));
    assertThat(waitingFor(machine, resumed, weeks + 1))
        .as("the step's clock starts again")
        .isEqualTo("10 s more in this step");
    assertThat(machine.decide(resumed, new Review(), counts, weeks + STEP_MILLIS)).isInstanceOf(Move.class);
  }

  @ParameterizedTest
  @ValueSource(strings = {"shadow", "canary", "last", "pausedShadow", "paused", "cooling"})
  void aTripEndsTheRolloutFromEveryStage(String stage) {
    RolloutState state = reach(stage);
    RolloutState stopped = moved(machine.decide(state, new Flipped("error-rate: 2 bad"), counts, START));
    assertThat(stopped)
        .isEqualTo(new RolloutState(
            new Stage.Stopped("error-rate: 2 bad"), state.epoch() + 1, 0, 0, state.observedAtEntry()));
  }

  @Test
  void aFlipInTheCoolDownGoesBackToTheBaseline() {
    RolloutState cooling = moved(machine.decide(reach("last"), new Promote("good"), counts, START));
    assertThat(cooling.weightBasisPoints()).isEqualTo(Exposure.ALL);
    RolloutState stopped = moved(machine.decide(cooling, new Flipped("latency"), counts, START + 1));
    assertThat(stopped.stage()).isEqualTo(new Stage.Stopped("latency"));
    assertThat(stopped.weightBasisPoints()).isZero();
  }

  @Test
  void abortingTwiceIsAbortingOnce() {
    RolloutState aborted = moved(machine.decide(reach("canary"), new Abort("a hunch"), counts, START));
    assertThat(aborted.stage()).isEqualTo(new Stage.Aborted("a hunch"));
    assertThat(aborted.weightBasisPoints()).isZero();
    assertThat(aborted.epoch()).isEqualTo(8);
    assertThat(machine.decide(aborted, new Abort("again"), counts, START)).isEqualTo(new Hold(false));
    assertThat(machine.decide(aborted, new Flipped("late verdict"), counts, START)).isEqualTo(new Hold(false));
  }

  @Test
  void aWeightUpToTheBlastRadiusIsSetAndOneBeyondItIsRefused() {
    RolloutState canary = reach("canary");
    RolloutState most = moved(machine.decide(canary, new SetWeight(BLAST_RADIUS, "more"), counts, START));
    assertThat(most.weightBasisPoints()).isEqualTo(BLAST_RADIUS);
    assertThat(most.epoch()).isEqualTo(canary.epoch() + 1);
    assertThat(most.stage()).isEqualTo(canary.stage());
    assertThat(machine.decide(canary, new SetWeight(BLAST_RADIUS + 1, "more"), counts, START))
        .isEqualTo(new Refuse("weight 30.01 % is beyond the blast radius of 30.0 % in the note"));
    assertThat(moved(machine.decide(canary, new SetWeight(0, "none"), counts, START)).weightBasisPoints()).isZero();
    assertThat(machine.decide(canary, new SetWeight(500, "the same"), counts, START)).isEqualTo(new Hold(false));
  }

  @Test
  void aNegativeWeightIsRefused() {
    assertThat(machine.decide(reach("canary"), new SetWeight(-1, "less"), counts, START))
        .isEqualTo(new Refuse("weight -0.01 % is below 0 %"));
  }

  @Test
  void aShadowStepHasNoWeightToSetAndNothingToPromote() {
    assertThat(machine.decide(reach("shadow"), new SetWeight(100, "more"), counts, START))
        .isEqualTo(new Refuse("step 1 of 3 is a shadow step: the candidate answers nobody in it"));
    assertThat(machine.decide(reach("pausedShadow"), new Promote("now"), counts, START))
        .isEqualTo(new Refuse("step 1 of 3 is a shadow step: the candidate has not answered a caller yet"));
  }

  @Test
  void aRefusalSaysHowTheRolloutEnded() {
    assertThat(machine.decide(reach("stopped"), new Pause(""), counts, START))
        .isEqualTo(new Refuse("it has ended: stopped, error-rate"));
    assertThat(machine.decide(reach("aborted"), new Promote(""), counts, START))
        .isEqualTo(new Refuse("it has ended: aborted, a hunch"));
    assertThat(machine.decide(reach("promoted"), new SetWeight(1, ""), counts, START))
        .isEqualTo(new Refuse("it has ended: the candidate was promoted"));
  }

  // --- properties -----------------------------------------------------------------------------------------------------

  @Test
  void whateverHappensInWhateverOrder() {
    for (long seed = 0; seed < 3_000; seed++) {
      SplittableRandom random = new SplittableRandom(seed * 1_000_003);
      RolloutMachine any = machine(random.nextBoolean() ? Promotion.AUTOMATIC : Promotion.MANUAL);
      Counts seen = new Counts();
      long now = START;
      RolloutState state = any.begin(now);
      boolean promoted = false;
      for (int i = 0; i < 200; i++) {
        now += random.nextLong(0, STEP_MILLIS);
        seen.observe(random.nextInt(60), random.nextInt(3));
        seen.holding = random.nextInt(4) == 0 ? List.of("something holds") : List.of();
        RolloutEvent event = anyEvent(random);
        String where = "seed %d, event %d, %s in %s".formatted(seed, i, event, state);
        if (event instanceof Review && !state.stage().isEnded()) {
          assertThat(any.waitingFor(state, seen, now).isEmpty())
              .as("it waits for something, and says so, or it moves: %s", where)
              .isEqualTo(any.decide(state, event, seen, now) instanceof Move);
        }
        switch (any.decide(state, event, seen, now)) {
          case Hold _, Refuse _ -> {}
          case Move(RolloutState next, String kind, String reason) -> {
            assertThat(state.stage().isEnded()).as("an ended rollout never moves again: %s", where).isFalse();
            assertThat(next).as(where).isNotEqualTo(state);
            assertThat(kind).as(where).isNotEmpty();
            assertThat(reason).as(where).isNotEmpty();
            boolean exposureChanges = next.weightBasisPoints() != state.weightBasisPoints();
            boolean ends = next.stage() instanceof Stage.Stopped || next.stage() instanceof Stage.Aborted;
            long epochs = next.epoch() - state.epoch();
            assertThat(epochs).as("epoch: %s", where).isBetween(exposureChanges || ends ? 1L : 0L, 1L);
            promoted |= next.stage() instanceof Stage.CoolingDown;
            int most = promoted ? Exposure.ALL : BLAST_RADIUS;
            assertThat(next.weightBasisPoints()).as("weight: %s", where).isBetween(0, most);
            if (ends) {
              assertThat(next.weightBasisPoints()).as("weight after the end: %s", where).isZero();
              assertThat(next.shadowBasisPoints()).as("shadow after the end: %s", where).isZero();
            }
            if (next.stage() instanceof Stage.Promoted) {
              assertThat(state.stage()).as("cools down first: %s", where).isInstanceOf(Stage.CoolingDown.class);
            }
            state = next;
          }
        }
      }
    }
  }

  private static RolloutEvent anyEvent(SplittableRandom random) {
    return switch (random.nextInt(40)) {
      case 0 -> new Abort("abort");
      case 1 -> new Flipped("flipped");
      case 2 -> new Promote("promote");
      case 3, 4, 5 -> new Pause("pause");
      case 6, 7, 8, 9 -> new Resume("resume");
      case 10, 11, 12, 13 -> new SetWeight(random.nextInt(-500, 11_000), "set");
      default -> new Review();
    };
  }

  // --- making things --------------------------------------------------------------------------------------------------

  private static RolloutMachine machine(Promotion promotion) {
    return new RolloutMachine(ExampleNotes.note(STEPS, BLAST_RADIUS, promotion));
  }

  /// What a review that holds waits for.
  private String waitingFor(RolloutMachine reviewing, RolloutState state, long nowMillis) {
    Decision decision = reviewing.decide(state, new Review(), counts, nowMillis);
    String words = reviewing.waitingFor(state, counts, nowMillis);
    assertThat(decision).isEqualTo(new Hold(words.equals("a person to promote it")));
    return words;
  }

  private static RolloutState moved(Decision decision) {
    assertThat(decision).isInstanceOf(Move.class);
    return ((Move) decision).next();
  }

  private static final class Counts implements RolloutMachine.Evidence {
    private List<String> holding = List.of();
    private RateSeen rate = new RateSeen(0, 0);
    private double errorRatio = 1;
    /// All traffic first, then the segments.
    private final long[] shadows = new long[4];
    private final long[] live = new long[4];

    void observe(long count, int... segments) {
      for (int segment : segments) {
        observeShadows(count, segment);
        live[0] += count;
        live[segment + 1] += count;
      }
    }

    void observeShadows(long count, int segment) {
      shadows[0] += count;
      shadows[segment + 1] += count;
    }

    @Override
    public long shadowsCompleted(int segment) {
      return shadows[segment + 1];
    }

    @Override
    public long liveCompleted(int segment) {
      return live[segment + 1];
    }

    @Override
    public boolean holds() {
      return !holding.isEmpty();
    }

    @Override
    public List<String> holding() {
      return holding;
    }

    @Override
    public RateSeen rate(StopRule.LimitRule rule) {
      return rate;
    }

    @Override
    public double errorRatioBelow(double margin) {
      return errorRatio;
    }
  }
}
