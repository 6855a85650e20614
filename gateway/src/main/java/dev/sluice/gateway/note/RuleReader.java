package dev.sluice.gateway.note;

import dev.sluice.gateway.note.Cursor.Fields;
import dev.sluice.gateway.note.Cursor.Placed;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Cap;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Reads one stop rule: a name, and what belongs to it.
final class RuleReader {

  static final List<String> RATE = List.of("limit", "segments");
  static final List<String> LATENCY = List.of("over", "limit", "segments");
  static final List<String> ERROR_RATIO = List.of("margin", "segments");
  static final List<String> LATENCY_RATIO = List.of("margin", "quantiles", "segments");
  static final List<String> PAIRS = List.of("segments");
  static final List<String> PAIRED_LATENCY = List.of("margin", "segments");
  static final List<String> MEAN_COST = List.of("limit", "cap", "segments");
  static final List<String> CALIBRATION = List.of("limit", "segments");
  static final List<String> DRIFT =
      List.of("input", "output", "column", "mean", "deviation", "edges", "shares", "tolerance");
  static final List<String> NOTHING = List.of();

  private static final double LATENCY_MARGIN = 1;
  private static final List<Double> QUANTILES = List.of(0.5, 0.9, 0.99);
  private static final double PAIRED_LATENCY_MARGIN = 0.02;

  /// Any alpha will do to ask the router whether it can arm a rule.
  private static final double SOME_ALPHA = 0.001;

  private RuleReader() {}

  /// One rule by its name: `error-rate: { limit: 1% }`.
  static Optional<StopRule> rule(Cursor at) {
    return at.single(NoteReader.STOP_RULE, "error-rate: { limit: 1% }")
        .flatMap(named -> rule(at, named.name(), named.at()));
  }

  private static Optional<StopRule> rule(Cursor at, String name, Cursor value) {
    return switch (name) {
      case "error-rate" -> {
        Fields rule = value.fields(RATE);
        double limit = rule.required("limit").fraction();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.ErrorRate(limit, scope));
      }
      case "fallback-rate" -> {
        Fields rule = value.fields(RATE);
        double limit = rule.required("limit").fraction();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.FallbackRate(limit, scope));
      }
      case "disagreement-rate" -> {
        Fields rule = value.fields(RATE);
        double limit = rule.required("limit").fraction();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.DisagreementRate(limit, scope));
      }
      case "latency" -> {
        Fields rule = value.fields(LATENCY);
        long overNanos = rule.required("over").nanos();
        double limit = rule.required("limit").fraction();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.LatencyOver(overNanos, limit, scope));
      }
      case "error-ratio" -> {
        Fields rule = value.fields(ERROR_RATIO);
        double margin = rule.required("margin").decimal();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.ErrorRatio(margin, scope));
      }
      case "latency-ratio" -> {
        Fields rule = value.fields(LATENCY_RATIO);
        double margin = rule.optional("margin").map(Cursor::decimal).orElse(LATENCY_MARGIN);
        List<Double> quantiles = rule.optional("quantiles").map(RuleReader::fractions).orElse(QUANTILES);
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.LatencyRatio(margin, quantiles, scope));
      }
      case "paired-errors" -> {
        Scope scope = scope(value.fields(PAIRS));
        yield at.make(() -> new StopRule.PairedErrors(scope));
      }
      case "paired-latency" -> {
        Fields rule = value.fields(PAIRED_LATENCY);
        double margin = rule.optional("margin").map(Cursor::fraction).orElse(PAIRED_LATENCY_MARGIN);
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.PairedLatency(margin, scope));
      }
      case "disagreement-over-noise" -> {
        Scope scope = scope(value.fields(PAIRS));
        yield at.make(() -> new StopRule.NoiseFloor(scope));
      }
      case "score-difference" -> {
        Fields rule = value.fields(RATE);
        double limit = rule.required("limit").fraction();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.ScoreDifference(limit, scope));
      }
      case "mean-cost" -> {
        Fields rule = value.fields(MEAN_COST);
        long limitNanos = rule.required("limit").nanos();
        long capNanos = rule.required("cap").nanos();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.MeanCost(limitNanos, capNanos, scope));
      }
      case "calibration" -> {
        Fields rule = value.fields(CALIBRATION);
        double limit = rule.required("limit").decimal();
        Scope scope = scope(rule);
        yield at.make(() -> new StopRule.Calibration(limit, scope));
      }
      case "drift" -> drift(at, value);
      case "sample-ratio" -> {
        value.fields(NOTHING);
        yield at.make(StopRule.SampleRatio::new);
      }
      case "max-requests" -> cap(at, Cap.Bounded.REQUESTS, value.wholeNumber(1));
      case "max-failures" -> cap(at, Cap.Bounded.FAILURES, value.wholeNumber(1));
      case "max-keys" -> cap(at, Cap.Bounded.KEYS, value.wholeNumber(1));
      case "max-run-time" -> cap(at, Cap.Bounded.RUN_MILLIS, value.millis());
      case "crash" -> {
        value.fields(NOTHING);
        yield at.make(StopRule.Crash::new);
      }
      default -> throw new IllegalStateException("no reader for the stop rule " + name);
    };
  }

  private static Optional<StopRule> cap(Cursor at, Cap.Bounded bounded, long most) {
    return at.make(() -> new Cap(bounded, most));
  }

  private static Scope scope(Fields rule) {
    return rule.optional("segments")
        .flatMap(s -> s.oneOf(Map.of("overall", Scope.OVERALL, "each", Scope.EACH, "all", Scope.ALL)))
        .orElse(Scope.ALL);
  }

  private static List<Double> fractions(Cursor at) {
    return Placed.values(at.each(1, share -> Optional.of(share.fraction())));
  }

  private static List<Double> decimals(Cursor at) {
    return Placed.values(at.each(1, number -> Optional.of(number.decimal())));
  }

  /// Either about a mean or about the shares of bins.
  private static Optional<StopRule> drift(Cursor at, Cursor value) {
    Fields rule = value.fields(DRIFT);
    if (rule.has("input") == rule.has("output") && !value.hasProblems()) {
      value.problem("expected the name of either an input or an output");
    }
    boolean input = rule.has("input");
    String tensor = rule.optional(input ? "input" : "output").map(Cursor::text).orElse("");
    int column = (int) Math.min(rule.optional("column").map(c -> c.wholeNumber(0)).orElse(0L), Integer.MAX_VALUE);
    boolean ofMean = rule.has("mean") || rule.has("deviation");
    boolean ofBins = rule.has("edges") || rule.has("shares");
    if (ofMean == ofBins && !value.hasProblems()) {
      value.problem("expected either mean and deviation, or edges and shares");
    }
    Optional<Feature> feature = value.make(() -> new Feature(tensor, input, column));
    if (ofBins) {
      List<Double> edges = decimals(rule.required("edges"));
      List<Double> shares = fractions(rule.required("shares"));
      double tolerance = rule.required("tolerance").fraction();
      return at.make(() -> armable(new StopRule.BinDrift(feature.orElseThrow(), edges, shares, tolerance)));
    }
    double mean = ofMean ? rule.required("mean").decimal() : 0;
    double deviation = ofMean ? rule.required("deviation").decimal() : 0;
    double tolerance = rule.required("tolerance").decimal();
    return at.make(() -> new StopRule.MeanDrift(feature.orElseThrow(), mean, deviation, tolerance));
  }

  /// The test of a rule may ask for more than the rule itself: here, a bin that can be too full.
  private static StopRule armable(StopRule rule) {
    new ArmedRules(List.of(rule), SOME_ALPHA, new Segments(List.of()));
    return rule;
  }
}
