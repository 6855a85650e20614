package dev.sluice.router.rollout;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.rollout.RolloutEvent.Abort;
import dev.sluice.router.rollout.RolloutEvent.Flipped;
import dev.sluice.router.rollout.RolloutEvent.Pause;
import dev.sluice.router.rollout.RolloutEvent.Promote;
import dev.sluice.router.rollout.RolloutEvent.Resume;
import dev.sluice.router.rollout.RolloutEvent.Review;
import dev.sluice.router.rollout.RolloutEvent.SetWeight;
import dev.sluice.router.statistics.LimitAcceptance;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.StopRule;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// The life of a rollout as a pure function: state, event, evidence and time in; decision out.
///
/// ```
/// Running(step 0) -> Running(step 1) ... -> CoolingDown -> Promoted
///      |  ^                                     |
///      v  |              a stop rule, or a person, from every stage that has not ended
///     Paused                                    v
///                                       Stopped | Aborted
/// ```
///
/// Whoever applies a decision changes the exposure to the weight and shadow share that the next state names. The only change
/// that happens before it is decided here is the flip: a [Flipped] event reports it.
public final class RolloutMachine {

  /// The evidence that expansion depends on, since the rollout began.
  public interface Evidence {
    /// Observations completed, in a segment or [ArmedRule#OVERALL].
    long shadowsCompleted(int segment);

    long liveCompleted(int segment);

    /// Whether something keeps the rollout where it is although no rule stops it: a rule that holds, a rule that has heard half
    /// of what it needs to stop, a baseline that has not been seen often enough.
    boolean holds();

    /// The same for people. Empty if nothing holds.
    List<String> holding();

    /// The events of a limit rule in the present step that must all have ended by now, and how many of the step's were bad.
    RateSeen rate(StopRule.LimitRule rule);

    /// The evidence that the candidate fails less than `margin` times as often as the baseline.
    double errorRatioBelow(double margin);
  }

  /// @param matured events that must have ended
  /// @param bad of those and later ones
  public record RateSeen(long matured, long bad) {}

  private static final Decision NOTHING_TO_DO = new Decision.Hold(false);

  private final RolloutNote note;
  private final Segments segments;

  public RolloutMachine(RolloutNote note) {
    this.note = note;
    this.segments = new Segments(note.segments());
  }

  /// The state in which a rollout begins: its first step.
  public RolloutState begin(long nowMillis) {
    Step first = note.steps().getFirst();
    return new RolloutState(
        new Stage.Running(0, nowMillis), 1, first.weightBasisPoints(), first.shadowBasisPoints(),
        Collections.nCopies(segments.declaredAndOther(), 0L));
  }

  public Decision decide(RolloutState state, RolloutEvent event, Evidence evidence, long nowMillis) {
    return switch (event) {
      case Review _ -> review(state, evidence, nowMillis);
      case Flipped flipped -> end(state, new Stage.Stopped(flipped.reason()), "stopped", flipped.reason());
      case Abort abort -> end(state, new Stage.Aborted(abort.reason()), "aborted", abort.reason());
      case Pause pause -> pause(state, pause);
      case Resume resume -> resume(state, resume, nowMillis);
      case SetWeight setWeight -> setWeight(state, setWeight);
      case Promote promote -> promoteByHand(state, promote, nowMillis);
    };
  }

  private Decision review(RolloutState state, Evidence evidence, long nowMillis) {
    return switch (state.stage()) {
      case Stage.Running running ->
          isMet(running, state, evidence, nowMillis) ? advance(state, running, evidence, nowMillis) : NOTHING_TO_DO;
      case Stage.CoolingDown cooling ->
          coolDownMillis(cooling, nowMillis) > 0
              ? NOTHING_TO_DO
              : new Decision.Move(
                  new RolloutState(
                      new Stage.Promoted(cooling.promotedMillis()), state.epoch() + 1, Exposure.ALL, 0,
                      state.observedAtEntry()),
                  "completed",
                  "the cool-down has ended");
      case Stage.Paused _, Stage.Promoted _, Stage.Stopped _, Stage.Aborted _ -> NOTHING_TO_DO;
    };
  }

  private long coolDownMillis(Stage.CoolingDown cooling, long nowMillis) {
    return cooling.promotedMillis() + note.coolDownMillis() - nowMillis;
  }

  private Decision advance(RolloutState state, Stage.Running running, Evidence evidence, long nowMillis) {
    int next = running.step() + 1;
    if (next < note.steps().size()) {
      Step step = note.steps().get(next);
      return new Decision.Move(
          new RolloutState(
              new Stage.Running(next, nowMillis), state.epoch() + 1, step.weightBasisPoints(),
              step.shadowBasisPoints(), observed(step, evidence)),
          "advanced",
          "step %d of %d: the condition of step %d is met".formatted(next + 1, note.steps().size(), next));
    }
    return switch (note.promotion()) {
      case AUTOMATIC -> promote(state, "the conditions of all %d steps are met".formatted(next), nowMillis);
      case MANUAL -> new Decision.Hold(true);
    };
  }

  // --- the condition of a step ----------------------------------------------------------------------------------------

  /// Asked many times for each time that it is true or somebody wants to know why not: it makes no words. [#missing] has one for
  /// each of these lines.
  private boolean isMet(Stage.Running running, RolloutState state, Evidence evidence, long nowMillis) {
    Step step = note.steps().get(running.step());
    if (remainingMillis(running, step, nowMillis) > 0 || lackingOverall(step, state, evidence) > 0) {
      return false;
    }
    for (int segment = 0; segment < segments.declared().size(); segment++) {
      if (lacking(step, state, evidence, segment) > 0) {
        return false;
      }
    }
    for (Acceptance acceptance : step.until().accept()) {
      if (!isShown(acceptance, evidence)) {
        return false;
      }
    }
    return !evidence.holds();
  }

  private static long remainingMillis(Stage.Running running, Step step, long nowMillis) {
    return running.enteredMillis() + step.until().millis() - nowMillis;
  }

  private long lackingOverall(Step step, RolloutState state, Evidence evidence) {
    return step.until().observations() - sinceEntry(step, state, evidence);
  }

  private long sinceEntry(Step step, RolloutState state, Evidence evidence) {
    return observed(step, evidence, ArmedRule.OVERALL) - state.observedAtEntry().get(segments.declared().size());
  }

  private static long lacking(Step step, RolloutState state, Evidence evidence, int segment) {
    return step.until().observationsPerSegment()
        - (observed(step, evidence, segment) - state.observedAtEntry().get(segment));
  }

  private boolean isShown(Acceptance acceptance, Evidence evidence) {
    return switch (acceptance) {
      case Acceptance.RateBelow below -> moreRequests(below, evidence.rate(limitRule(below.rule()))) <= 0;
      case Acceptance.ErrorRatioBelow(double margin) -> evidence.errorRatioBelow(margin) >= Acceptance.THRESHOLD;
    };
  }

  private static long moreRequests(Acceptance.RateBelow below, RateSeen seen) {
    return new LimitAcceptance(below.limit()).completedNeeded(seen.bad(), Acceptance.THRESHOLD) - seen.matured();
  }

  // --- the same for people --------------------------------------------------------------------------------------------

  /// What a rollout waits for, for people; empty if for nothing.
  public String waitingFor(RolloutState state, Evidence evidence, long nowMillis) {
    return switch (state.stage()) {
      case Stage.Running running -> {
        String missing = missing(running, state, evidence, nowMillis);
        boolean last = running.step() + 1 == note.steps().size();
        yield missing.isEmpty() && last && note.promotion() == RolloutNote.Promotion.MANUAL
            ? "a person to promote it"
            : missing;
      }
      case Stage.CoolingDown cooling -> {
        long remaining = coolDownMillis(cooling, nowMillis);
        yield remaining > 0 ? "the cool-down ends in %d s".formatted((remaining + 999) / 1000) : "";
      }
      case Stage.Paused _ -> "a person to resume it";
      case Stage.Promoted _, Stage.Stopped _, Stage.Aborted _ -> "";
    };
  }

  /// What the present step still lacks; empty if nothing.
  private String missing(Stage.Running running, RolloutState state, Evidence evidence, long nowMillis) {
    Step step = note.steps().get(running.step());
    String unit = step instanceof Step.Shadow ? "shadowed requests" : "candidate answers";
    List<String> missing = new ArrayList<>();
    long lackingOverall = lackingOverall(step, state, evidence);
    if (lackingOverall > 0) {
      missing.add("%d more %s".formatted(lackingOverall, unit));
    }
    for (int segment = 0; segment < segments.declared().size(); segment++) {
      long lacking = lacking(step, state, evidence, segment);
      if (lacking > 0) {
        missing.add("%d more %s in %s".formatted(lacking, unit, segments.name(segment)));
      }
    }
    double perMilli =
        (double) sinceEntry(step, state, evidence) / Math.max(1, nowMillis - running.enteredMillis());
    for (Acceptance acceptance : step.until().accept()) {
      if (!isShown(acceptance, evidence)) {
        missing.add(wanting(acceptance, evidence, perMilli));
      }
    }
    missing.addAll(evidence.holding());
    long remaining = remainingMillis(running, step, nowMillis);
    if (remaining > 0) {
      missing.add("%d s more in this step".formatted((remaining + 999) / 1000));
    }
    return String.join(", ", missing);
  }

  /// What is still to be shown, and how long that takes if things go on like this.
  private String wanting(Acceptance acceptance, Evidence evidence, double perMilli) {
    return switch (acceptance) {
      case Acceptance.RateBelow below -> {
        RateSeen seen = evidence.rate(limitRule(below.rule()));
        long more = moreRequests(below, seen);
        yield "%,d more requests to show that %s is below %s %% (%d bad of %,d)%s"
            .formatted(
                more, below.rule(), decimal(below.limit() * 100), seen.bad(), seen.matured(), atThisRate(more, perMilli));
      }
      case Acceptance.ErrorRatioBelow(double margin) ->
          "more failures of either version to show that the candidate fails less than %s times as often as the baseline: evidence %s of %.0f"
              .formatted(decimal(margin), decimal(evidence.errorRatioBelow(margin)), Acceptance.THRESHOLD);
    };
  }

  private StopRule.LimitRule limitRule(String name) {
    return note.stopRules().stream()
        .filter(rule -> rule.name().equals(name))
        .map(StopRule.LimitRule.class::cast)
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("no stop rule '" + name + "' to accept by"));
  }

  private static String atThisRate(long more, double perMilli) {
    return perMilli <= 0 ? "" : ", about %,d s at the present rate".formatted((long) Math.ceil(more / perMilli / 1000));
  }

  private static String decimal(double value) {
    return BigDecimal.valueOf(value).round(new MathContext(3)).stripTrailingZeros().toPlainString();
  }

  private List<Long> observed(Step step, Evidence evidence) {
    List<Long> observed = new ArrayList<>(segments.declaredAndOther());
    for (int segment = 0; segment < segments.declared().size(); segment++) {
      observed.add(observed(step, evidence, segment));
    }
    observed.add(observed(step, evidence, ArmedRule.OVERALL));
    return observed;
  }

  private static long observed(Step step, Evidence evidence, int segment) {
    return switch (step) {
      case Step.Shadow _ -> evidence.shadowsCompleted(segment);
      case Step.Canary _ -> evidence.liveCompleted(segment);
    };
  }

  private Decision promoteByHand(RolloutState state, Promote promote, long nowMillis) {
    int step =
        switch (state.stage()) {
          case Stage.Running running -> running.step();
          case Stage.Paused paused -> paused.step();
          case Stage.CoolingDown _ -> -1;
          case Stage.Promoted _ -> -1;
          case Stage.Stopped _, Stage.Aborted _ -> -2;
        };
    if (step == -1) {
      return NOTHING_TO_DO;
    }
    if (step == -2) {
      return ended(state.stage());
    }
    if (note.steps().get(step) instanceof Step.Shadow) {
      return new Decision.Refuse(
          "step %d of %d is a shadow step: the candidate has not answered a caller yet"
              .formatted(step + 1, note.steps().size()));
    }
    return promote(state, promote.reason(), nowMillis);
  }

  private static Decision promote(RolloutState state, String reason, long nowMillis) {
    return new Decision.Move(
        new RolloutState(
            new Stage.CoolingDown(nowMillis), state.epoch() + 1, Exposure.ALL, state.shadowBasisPoints(),
            state.observedAtEntry()),
        "promoted",
        reason);
  }

  private Decision pause(RolloutState state, Pause pause) {
    return switch (state.stage()) {
      case Stage.Running running ->
          new Decision.Move(
              inStage(state, new Stage.Paused(running.step(), pause.reason())), "paused", pause.reason());
      case Stage.Paused _ -> NOTHING_TO_DO;
      case Stage.CoolingDown _ -> new Decision.Refuse("it is promoted already: there is no step to pause");
      case Stage.Promoted _, Stage.Stopped _, Stage.Aborted _ -> ended(state.stage());
    };
  }

  /// The step's clock starts again: time in which nothing could expand proves nothing.
  private Decision resume(RolloutState state, Resume resume, long nowMillis) {
    return switch (state.stage()) {
      case Stage.Paused paused ->
          new Decision.Move(
              inStage(state, new Stage.Running(paused.step(), nowMillis)), "resumed", resume.reason());
      case Stage.Running _ -> NOTHING_TO_DO;
      case Stage.CoolingDown _ -> new Decision.Refuse("it is promoted already: there is no step to resume");
      case Stage.Promoted _, Stage.Stopped _, Stage.Aborted _ -> ended(state.stage());
    };
  }

  private Decision setWeight(RolloutState state, SetWeight command) {
    int step =
        switch (state.stage()) {
          case Stage.Running running -> running.step();
          case Stage.Paused paused -> paused.step();
          case Stage.CoolingDown _, Stage.Promoted _, Stage.Stopped _, Stage.Aborted _ -> -1;
        };
    if (step < 0) {
      return state.stage().isEnded()
          ? ended(state.stage())
          : new Decision.Refuse("it is promoted already; abort it to go back to the baseline");
    }
    if (note.steps().get(step) instanceof Step.Shadow) {
      return new Decision.Refuse(
          "step %d of %d is a shadow step: the candidate answers nobody in it".formatted(step + 1, note.steps().size()));
    }
    if (command.weightBasisPoints() < 0) {
      return new Decision.Refuse("weight %s %% is below 0 %%".formatted(command.weightBasisPoints() / 100.0));
    }
    int most = note.blastRadius().weightBasisPoints();
    if (command.weightBasisPoints() > most) {
      return new Decision.Refuse(
          "weight %s %% is beyond the blast radius of %s %% in the note"
              .formatted(command.weightBasisPoints() / 100.0, most / 100.0));
    }
    if (command.weightBasisPoints() == state.weightBasisPoints()) {
      return NOTHING_TO_DO;
    }
    return new Decision.Move(
        new RolloutState(
            state.stage(), state.epoch() + 1, command.weightBasisPoints(), state.shadowBasisPoints(),
            state.observedAtEntry()),
        "weight-set",
        command.reason());
  }

  /// Ending is always possible and, where it has happened, changes nothing.
  private static Decision end(RolloutState state, Stage end, String kind, String reason) {
    if (state.stage().isEnded()) {
      return NOTHING_TO_DO;
    }
    return new Decision.Move(
        new RolloutState(end, state.epoch() + 1, 0, 0, state.observedAtEntry()), kind, reason);
  }

  private static RolloutState inStage(RolloutState state, Stage stage) {
    return new RolloutState(
        stage, state.epoch(), state.weightBasisPoints(), state.shadowBasisPoints(), state.observedAtEntry());
  }

  private static Decision ended(Stage stage) {
    return new Decision.Refuse(
        switch (stage) {
          case Stage.Promoted _ -> "it has ended: the candidate was promoted";
          case Stage.Stopped stopped -> "it has ended: stopped, " + stopped.reason();
          case Stage.Aborted aborted -> "it has ended: aborted, " + aborted.reason();
          case Stage.Running _, Stage.Paused _, Stage.CoolingDown _ -> "it has not ended";
        });
  }
}
