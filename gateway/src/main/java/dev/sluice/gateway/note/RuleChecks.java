package dev.sluice.gateway.note;

import dev.sluice.gateway.note.Cursor.Placed;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.rollout.Acceptance;
import dev.sluice.router.rollout.Step;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Cap;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.Scope;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// Holds stop rules against each other and against the plan: rules that say the same thing twice, that another rule makes
/// pointless, or that could never see anything.
final class RuleChecks {

  private static final String NO_COMPARISON = "no output is named in compare";
  private static final String NO_SHADOW = "no step has shadow";
  private static final String NO_REPEAT = "repeat is 0%, so the baseline never runs twice";
  private static final String NO_SPLIT = "no step has a canary below 100%, so the two versions never answer side by side";
  private static final String NO_CANARY = "no step has canary, so the candidate answers nobody";

  private RuleChecks() {}

  static void number(Cursor at, List<Placed<StopRule>> rules) {
    if (rules.size() > ArmedRules.RULES_MAX) {
      at.problem("%d stop rules, at most %d allowed".formatted(rules.size(), ArmedRules.RULES_MAX));
    }
  }

  /// Whether some rule is about a baseline that runs twice.
  static boolean needRepeats(List<Placed<StopRule>> rules) {
    return rules.stream().anyMatch(rule -> needsRepeats(rule.value()));
  }

  private static boolean needsRepeats(StopRule rule) {
    return rule instanceof StopRule.NoiseFloor || rule instanceof StopRule.PairedLatency;
  }

  // --- rules against rules --------------------------------------------------------------------------------------------

  /// @param declared whether segments are declared; without them a rule for each holds over all traffic
  /// @param any whether there are segments at all, declared or found on the way
  static void contradictions(List<Placed<StopRule>> rules, boolean declared, boolean any) {
    Map<String, Placed<StopRule>> first = new HashMap<>();
    List<Placed<StopRule>> latencies = new ArrayList<>();
    for (Placed<StopRule> rule : rules) {
      String twice = "";
      for (String place : places(rule.value(), declared, any)) {
        Placed<StopRule> before = first.putIfAbsent(rule.value().name() + " " + place, rule);
        if (before != null && twice.isEmpty()) {
          twice = "%s is declared twice %s: %s says so already".formatted(rule.value().name(), place, before.at().path());
        }
      }
      if (!twice.isEmpty()) {
        rule.at().problem(twice);
      } else if (rule.value() instanceof LatencyOver) {
        latencies.add(rule);
      }
    }
    latencies.forEach(rule -> checkNeeded(rule, latencies));
  }

  private static List<String> places(StopRule rule, boolean declared, boolean any) {
    List<String> places = new ArrayList<>();
    if (rule.scope() != Scope.EACH || !declared) {
      places.add("over all traffic");
    }
    if (rule.scope() != Scope.OVERALL && any) {
      places.add("in each segment");
    }
    return places;
  }

  /// Whoever is slower than a second is slower than half of one too: a looser limit for fewer requests never stops first.
  private static void checkNeeded(Placed<StopRule> looser, List<Placed<StopRule>> latencies) {
    LatencyOver rule = (LatencyOver) looser.value();
    for (Placed<StopRule> other : latencies) {
      LatencyOver tighter = (LatencyOver) other.value();
      if (tighter.overNanos() < rule.overNanos()
          && tighter.limit() <= rule.limit()
          && (tighter.scope() == Scope.ALL || tighter.scope() == rule.scope())) {
        looser.at()
            .problem(
                "%s at most %s%% can never be needed: %s allows no more than %s%% to be slower than less"
                    .formatted(
                        rule.name(), decimal(rule.limit()), other.at().path(), decimal(tighter.limit())));
        return;
      }
    }
  }

  private static String decimal(double fraction) {
    return BigDecimal.valueOf(fraction).movePointRight(2).stripTrailingZeros().toPlainString();
  }

  // --- rules against the plan -----------------------------------------------------------------------------------------

  static void labels(List<Placed<StopRule>> rules, boolean labelled) {
    for (Placed<StopRule> rule : rules) {
      if (rule.value() instanceof StopRule.Calibration && !labelled) {
        rule.at()
            .problem("calibration can never see anything: the note has no section labels, which says what the truth is about");
      }
    }
  }

  static void canSee(List<Placed<StopRule>> rules, boolean compared, int repeatBasisPoints, List<Step> steps) {
    for (Placed<StopRule> rule : rules) {
      List<String> missing = missing(rule.value(), compared, repeatBasisPoints, steps);
      if (!missing.isEmpty()) {
        rule.at()
            .problem("%s can never see anything: %s".formatted(rule.value().name(), String.join(", and ", missing)));
      }
    }
  }

  private static List<String> missing(StopRule rule, boolean compared, int repeatBasisPoints, List<Step> steps) {
    List<String> missing = new ArrayList<>();
    boolean compares =
        rule instanceof StopRule.DisagreementRate
            || rule instanceof StopRule.ScoreDifference
            || rule instanceof StopRule.NoiseFloor;
    if (compares && !compared) {
      missing.add(NO_COMPARISON);
    }
    boolean pairs = compares || rule instanceof StopRule.PairRule || rule instanceof StopRule.Calibration;
    if (pairs && !shadows(steps)) {
      missing.add(NO_SHADOW);
    }
    if (needsRepeats(rule) && repeatBasisPoints == 0) {
      missing.add(NO_REPEAT);
    }
    if ((rule instanceof StopRule.RatioRule || rule instanceof StopRule.SampleRatio) && !splits(steps)) {
      missing.add(NO_SPLIT);
    }
    // A copy can fail too; all other bounds are about answers to callers.
    if (rule instanceof Cap cap && cap.bounded() != Cap.Bounded.FAILURES && !answers(steps)) {
      missing.add(NO_CANARY);
    }
    return missing;
  }

  private static boolean shadows(List<Step> steps) {
    return steps.stream().anyMatch(step -> step.shadowBasisPoints() > 0);
  }

  private static boolean splits(List<Step> steps) {
    return steps.stream().anyMatch(step -> step.weightBasisPoints() > 0 && step.weightBasisPoints() < Exposure.ALL);
  }

  private static boolean answers(List<Step> steps) {
    return steps.stream().anyMatch(step -> step.weightBasisPoints() > 0);
  }

  /// What a step wants shown must be about a rule, and must be possible to show by then: else it holds for ever.
  static void acceptances(List<Placed<Step>> steps, List<Placed<StopRule>> rules) {
    List<Step> until = new ArrayList<>();
    for (Placed<Step> step : steps) {
      until.add(step.value());
      for (Acceptance acceptance : step.value().until().accept()) {
        String problem =
            switch (acceptance) {
              case Acceptance.RateBelow(String name, double _) ->
                  isDeclared(name, rules)
                      ? silence(name, until)
                      : "accept: %s is of no stop rule; declare %s in stopRules, or leave it out".formatted(name, name);
              case Acceptance.ErrorRatioBelow _ ->
                  splits(until)
                      ? ""
                      : "accept: error-ratio can never be shown: no step up to this one has a canary below 100%";
            };
        if (!problem.isEmpty()) {
          step.at().problem(problem);
        }
      }
    }
  }

  private static boolean isDeclared(String name, List<Placed<StopRule>> rules) {
    return rules.stream().anyMatch(rule -> rule.value() instanceof StopRule.LimitRule && rule.value().name().equals(name));
  }

  /// Why nothing is heard of a rate up to a step; empty if something is.
  private static String silence(String name, List<Step> until) {
    boolean heard =
        switch (name) {
          case "fallback-rate" -> answers(until);
          case "disagreement-rate" -> shadows(until);
          default -> true;
        };
    return heard
        ? ""
        : "accept: %s can never be shown: no step up to this one has %s"
            .formatted(name, name.equals("fallback-rate") ? "canary" : "shadow");
  }
}
