package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.picture.Figures;

/// What stop rules promise and count, in words for someone who did not write the note.
///
/// A rule is told by its name, which says its kind; a gateway may know a kind that this program does not, and that is told in
/// general words.
final class RuleWords {

  private RuleWords() {}

  /// Kinds whose `bad of events` is a rate that a limit bounds.
  private static boolean isRate(String rule) {
    return rule.equals("error-rate")
        || rule.equals("fallback-rate")
        || rule.equals("disagreement-rate")
        || rule.startsWith("latency-over-");
  }

  /// A rule without statistics: it fires at a number.
  static boolean isHardBound(String rule) {
    return rule.startsWith("max-") || rule.equals("crash");
  }

  /// What was counted: `5 of 21 compared requests disagreed`.
  static String counted(String rule, long bad, long events) {
    return counted(rule, Figures.count(bad), Figures.count(events));
  }

  /// The same of the first events of a rollout: `5 of the first 21 compared requests disagreed`.
  static String countedFirst(String rule, long bad, long events) {
    return counted(rule, Figures.count(bad), "the first " + Figures.count(events));
  }

  private static String counted(String rule, String bad, String events) {
    if (rule.startsWith("latency-over-")) {
      return "%s of %s requests took the candidate longer than %s".formatted(bad, events, rule.substring("latency-over-".length()));
    }
    if (rule.startsWith("drift-of-")) {
      return "%s values of %s were looked at".formatted(events, feature(rule));
    }
    return switch (rule) {
      case "error-rate", "failure-rate" -> "%s of %s requests failed".formatted(bad, events);
      case "fallback-rate" ->
          "of %s requests for the candidate, the baseline had to answer %s in its place".formatted(events, bad);
      case "disagreement-rate" -> "%s of %s compared requests disagreed".formatted(bad, events);
      case "error-ratio" -> "of %s failed live requests, %s were the candidate's".formatted(events, bad);
      case "latency-ratio" ->
          "of %s live requests slower than the baseline's frozen quantiles, %s were the candidate's".formatted(events, bad);
      case "paired-errors" -> "of %s copied requests that only one version failed, the candidate failed %s".formatted(events, bad);
      case "paired-latency" -> "of %s requests that both versions ran side by side, the candidate was slower on %s".formatted(events, bad);
      case "disagreement-over-noise" ->
          "of %s requests on which either the candidate or the baseline's own second answer disagreed with the baseline, it was the candidate on %s"
              .formatted(events, bad);
      case "score-difference" ->
          "%s of %s compared answers were farther apart than the mean may be".formatted(bad, events);
      case "mean-cost" -> "%s of %s requests cost the candidate more than the mean may be".formatted(bad, events);
      case "calibration" ->
          "on %s of %s labelled requests the candidate's loss was above the baseline's by more than the mean may be"
              .formatted(bad, events);
      case "sample-ratio" -> "of %s sticky keys, %s were given to the candidate".formatted(events, bad);
      case "max-requests" -> "the candidate was to answer more than %s requests in one step".formatted(bad);
      case "max-failures" -> "the candidate failed more than %s calls in one step".formatted(bad);
      case "max-keys" -> "more than %s sticky keys were to meet the candidate in one step".formatted(bad);
      case "max-run-time" -> "the candidate ran for more than %s ms for callers in one step".formatted(bad);
      case "crash" -> "the runtime that the candidate runs on broke down";
      default -> "%s of %s requests counted against the candidate".formatted(bad, events);
    };
  }

  /// What the rule allows; empty where the number alone says it.
  static String promise(String rule, double limit) {
    if (limit <= 0) {
      return "";
    }
    if (isRate(rule)) {
      return "at most %s %% may".formatted(Figures.number(limit * 100));
    }
    if (rule.startsWith("drift-of-")) {
      return rule.endsWith("-bins")
          ? "each bin's share may be at most %s %% above its reference".formatted(Figures.number(limit * 100))
          : "the mean may move by at most %s standard deviations".formatted(Figures.number(limit));
    }
    return switch (rule) {
      case "error-ratio" -> "it may fail at most %s times as often as the baseline".formatted(Figures.number(limit));
      case "latency-ratio" -> "it may be slow at most %s times as often as the baseline".formatted(Figures.number(limit));
      case "paired-errors", "disagreement-over-noise" -> "more than half is too often, beyond chance";
      case "paired-latency" ->
          "taking more than %s %% longer on more than half is too often, beyond chance".formatted(Figures.number(limit * 100));
      case "score-difference" ->
          "the mean may be at most %s %% of the largest difference".formatted(Figures.number(limit * 100));
      case "mean-cost" -> "the mean may be at most %s".formatted(Figures.micros(limit * 1e6));
      case "calibration" -> "the mean may be at most %s above the baseline's".formatted(Figures.number(limit));
      default -> "";
    };
  }

  private static String feature(String rule) {
    String feature = rule.substring("drift-of-".length());
    return feature.endsWith("-bins") ? feature.substring(0, feature.length() - "-bins".length()) : feature;
  }
}
