package dev.sluice.gateway.cli;

import static java.util.Comparator.comparingDouble;

import dev.sluice.gateway.cli.picture.Figures;
import dev.sluice.gateway.cli.picture.RolloutPicture;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RuleEvidence;
import dev.sluice.proto.control.v1.SegmentReport;
import dev.sluice.proto.control.v1.Stop;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// Tells in sentences where a rollout is and why, with the numbers that a reader needs to check the reason by hand.
final class Explanation {
  private static final int RULES_TOLD = 6;

  /// Of the way to firing, on the logarithmic scale on which evidence grows.
  private static final double HEARD_SOMETHING = 0.1;

  private Explanation() {}

  static List<String> of(Rollout rollout) {
    List<String> sentences = new ArrayList<>();
    sentences.add(whereItIs(rollout));
    if (rollout.hasStop()) {
      sentences.addAll(whyItStopped(rollout));
    }
    sentences.addAll(whyAnswersDisagreed(rollout));
    sentences.addAll(whatHoldsIt(rollout));
    if (!rollout.getReason().isEmpty()) {
      sentences.add("Reason: " + rollout.getReason());
    }
    if (isRunning(rollout)) {
      sentences.add(rollout.getWaitingFor().isEmpty()
          ? "It waits for nothing."
          : "It waits for: " + rollout.getWaitingFor());
      sentences.addAll(howFarFromStopping(rollout));
    }
    return sentences;
  }

  private static boolean isRunning(Rollout rollout) {
    return switch (rollout.getState()) {
      case SHADOW, CANARY, PAUSED -> true;
      case PROMOTED, STOPPED, ABORTED, ROLLOUT_STATE_UNSPECIFIED, UNRECOGNIZED -> false;
    };
  }

  private static String whereItIs(Rollout rollout) {
    String rest = switch (rollout.getState()) {
      case SHADOW -> "is in SHADOW, %s: version %d sees copies of %s of the requests and answers nobody."
          .formatted(step(rollout), rollout.getCandidateVersion(), Figures.percent(rollout.getShadowBasisPoints()));
      case CANARY -> "is in CANARY, %s: version %d answers %s of the keys."
          .formatted(step(rollout), rollout.getCandidateVersion(), Figures.percent(rollout.getWeightBasisPoints()));
      case PAUSED -> "is PAUSED at %s: version %d keeps %s of the keys, and the stop rules stay armed."
          .formatted(step(rollout), rollout.getCandidateVersion(), Figures.percent(rollout.getWeightBasisPoints()));
      case PROMOTED -> "is PROMOTED: version %d is the default.".formatted(rollout.getCandidateVersion());
      case STOPPED -> "was STOPPED by a rule: version %d answers everything.".formatted(rollout.getBaselineVersion());
      case ABORTED -> "was ABORTED by a person: version %d answers everything."
          .formatted(rollout.getBaselineVersion());
      case ROLLOUT_STATE_UNSPECIFIED, UNRECOGNIZED ->
          "is in a state that this version of sluice does not know (%d).".formatted(rollout.getStateValue());
    };
    return "%s (%s %d → %d) %s".formatted(
        rollout.getName(), rollout.getModel(), rollout.getBaselineVersion(), rollout.getCandidateVersion(), rest);
  }

  private static String step(Rollout rollout) {
    return "step %d of %d".formatted(RolloutPicture.step(rollout), rollout.getStepCount());
  }

  private static List<String> whyItStopped(Rollout rollout) {
    Stop stop = rollout.getStop();
    List<String> sentences = new ArrayList<>();
    if (stop.getDryRun()) {
      sentences.add("This is a dry run: the rules came to the verdict below, and nothing was stopped.");
    }
    sentences.add(whatFired(stop));
    sentences.addAll(howSure(rollout));
    sentences.addAll(whoElseHadHeardSomething(rollout));
    if (!stop.getDryRun()) {
      String request = stop.getRequestId().isEmpty() ? "" : " (request %s)".formatted(stop.getRequestId());
      sentences.add("The flip came %s after that observation%s; requests assigned to the candidate after it: %s."
          .formatted(Figures.micros(stop.getFlipNanos() / 1e3), request, Figures.count(stop.getAssignedAfterFlip())));
    }
    if (!stop.getEvidenceBits().isEmpty()) {
      sentences.add("It was line %s of the evidence log; 'sluice rollout replay %s' weighs the log again."
          .formatted(Figures.count(stop.getLine()), rollout.getName()));
    }
    return sentences;
  }

  private static String whatFired(Stop stop) {
    String place = place(stop.getRule(), stop.getSegment());
    if (stop.getBoundary() > 0 && stop.getDispatched() <= stop.getBoundary()) {
      return "%s: %s; the rule fires when the %s comes within the first %s.".formatted(
          place, RuleWords.countedFirst(stop.getRule(), stop.getBad(), stop.getDispatched()), ordinal(stop.getBad()),
          Figures.count(stop.getBoundary()));
    }
    String promise = RuleWords.promise(stop.getRule(), stop.getLimit());
    return "%s: %s%s.".formatted(
        place, RuleWords.counted(stop.getRule(), stop.getBad(), stop.getDispatched()), promise.isEmpty() ? "" : "; " + promise);
  }

  private static List<String> howSure(Rollout rollout) {
    Stop stop = rollout.getStop();
    if (RuleWords.isHardBound(stop.getRule())) {
      return List.of("This is a hard bound of the note: it needs no statistics and spends nothing of alpha.");
    }
    if (stop.getThreshold() <= 0) {
      return List.of();
    }
    List<String> sentences = new ArrayList<>();
    String attempt = rollout.getAttempt() > 1 ? ", this being attempt %d".formatted(rollout.getAttempt()) : "";
    sentences.add(
        "Evidence of %s, and %s was enough: a healthy candidate ever comes that far with probability at most %s, over all rules, segments and looks of this rollout%s."
            .formatted(
                Figures.number(stop.getEvidence()), Figures.number(stop.getThreshold()),
                Figures.number(1 / stop.getThreshold()), attempt));
    if (stop.getAlphaShare() > 0) {
      sentences.add("%s brought %s of it, with %s %% of the rollout's alpha (bits of the evidence: %s).".formatted(
          place(stop.getRule(), stop.getSegment()), Figures.number(stop.getRuleEvidence()),
          Figures.number(stop.getAlphaShare() * 100), stop.getEvidenceBits()));
    }
    return sentences;
  }

  private static List<String> whoElseHadHeardSomething(Rollout rollout) {
    Stop stop = rollout.getStop();
    List<String> others = rollout.getRulesList().stream()
        .filter(rule -> !(rule.getRule().equals(stop.getRule()) && rule.getSegment().equals(stop.getSegment())))
        .filter(rule -> rule.getBad() > 0 && RolloutPicture.nearness(rule) >= HEARD_SOMETHING)
        .sorted(comparingDouble(RolloutPicture::nearness).reversed())
        .limit(RULES_TOLD)
        .map(rule -> "  " + distance(rule))
        .toList();
    if (others.isEmpty()) {
      return rollout.getRulesCount() == 0 ? List.of() : List.of("No other rule had come a tenth of its way.");
    }
    List<String> sentences = new ArrayList<>();
    sentences.add("Other rules had heard something too, nearest first:");
    sentences.addAll(others);
    return sentences;
  }

  private static List<String> whatHoldsIt(Rollout rollout) {
    return rollout.getRulesList().stream()
        .filter(RuleEvidence::getHolding)
        .map(RuleEvidence::getRule)
        .distinct()
        .map(rule -> "%s holds the rollout: something is wrong that need not be the candidate; a person decides.".formatted(rule))
        .toList();
  }

  /// Overall; a candidate that answers with no number at all is another matter than one that is a little off.
  private static List<String> whyAnswersDisagreed(Rollout rollout) {
    if (rollout.getSegmentsCount() == 0 || rollout.getSegments(0).getDisagreementsByCauseCount() == 0) {
      return List.of();
    }
    SegmentReport overall = rollout.getSegments(0);
    String causes = overall.getDisagreementsByCauseMap().entrySet().stream()
        .sorted(Map.Entry.<String, Long>comparingByValue().reversed().thenComparing(Map.Entry.comparingByKey()))
        .map(cause -> "%s %s".formatted(inWords(cause.getKey()), Figures.count(cause.getValue())))
        .collect(Collectors.joining(", "));
    return List.of("Of %s compared requests, %s disagreed: %s.".formatted(
        Figures.count(overall.getCompared()), Figures.count(overall.getDisagreed()), causes));
  }

  /// A gateway may know a cause that this program does not: then its own word.
  private static String inWords(String cause) {
    return switch (cause) {
      case "distance" -> "too far apart";
      case "not_a_number" -> "not a number on one side";
      case "infinite" -> "infinite on one side";
      case "unfit" -> "no values for the comparison";
      case "shape" -> "another shape";
      case "datatype" -> "another datatype";
      case "missing_output" -> "an output missing";
      default -> cause;
    };
  }

  private static List<String> howFarFromStopping(Rollout rollout) {
    List<String> sentences = new ArrayList<>();
    if (rollout.getRulesCount() == 0) {
      sentences.add("No stop rule watches it.");
      return sentences;
    }
    sentences.add("A healthy candidate is stopped with probability at most %s. The stop rules, nearest first:"
        .formatted(Figures.number(rollout.getAlpha())));
    List<RuleEvidence> nearest =
        rollout.getRulesList().stream().sorted(comparingDouble(RolloutPicture::nearness).reversed()).toList();
    // Every rule that has anything against the candidate, and a few more to show the rest.
    int told = Math.max(RULES_TOLD, (int) nearest.stream().filter(rule -> rule.getBad() > 0).count());
    nearest.stream().limit(told).forEach(rule -> sentences.add("  " + distance(rule)));
    if (nearest.size() > told) {
      sentences.add("  and %d more, with nothing against the candidate.".formatted(nearest.size() - told));
    }
    return sentences;
  }

  private static String distance(RuleEvidence rule) {
    String place = place(rule.getRule(), rule.getSegment());
    if (rule.getThreshold() == 0) {
      return "%s: %s; evidence %s. It stops nothing by itself.".formatted(
          place, RuleWords.counted(rule.getRule(), rule.getBad(), rule.getDispatched()), Figures.number(rule.getEvidence()));
    }
    return "%s (limit %s): %s%s; evidence %s, fires at %s.".formatted(
        place, Figures.number(rule.getLimit()), RuleWords.counted(rule.getRule(), rule.getBad(), rule.getDispatched()),
        nextBad(rule), Figures.number(rule.getEvidence()), Figures.number(rule.getThreshold()));
  }

  /// The boundary of a running rule is about the *next* bad event; mostly that one alone would not be enough.
  private static String nextBad(RuleEvidence rule) {
    boolean fires = rule.getDispatched() > 0 && rule.getDispatched() < rule.getBoundary();
    return fires ? "; one more within the first %s fires the rule".formatted(Figures.count(rule.getBoundary())) : "";
  }

  private static String place(String rule, String segment) {
    return segment.isEmpty() ? rule + " overall" : rule + " in " + segment;
  }

  private static String ordinal(long number) {
    long tens = number % 100;
    String suffix = tens >= 11 && tens <= 13 ? "th" : switch ((int) (number % 10)) {
      case 1 -> "st";
      case 2 -> "nd";
      case 3 -> "rd";
      default -> "th";
    };
    return Figures.count(number) + suffix;
  }
}
