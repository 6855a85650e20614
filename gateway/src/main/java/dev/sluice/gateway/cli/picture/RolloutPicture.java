package dev.sluice.gateway.cli.picture;

import static java.util.Comparator.comparingDouble;

import dev.sluice.gateway.cli.picture.Bars.Axis;
import dev.sluice.proto.control.v1.Distribution;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.RuleEvidence;
import dev.sluice.proto.control.v1.SegmentReport;
import dev.sluice.proto.control.v1.Stop;
import dev.sluice.proto.control.v1.VariantReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Draws a rollout as lines of text: where it stands, how both variants do in each segment, and how near each stop
/// rule is to firing.
///
/// The two latency histograms of a row share one axis, so a candidate that is slower stands further to the right. The
/// bars of the rules are logarithmic, because evidence multiplies: half a bar means the square root of the threshold.
///
/// @param columns lines are cut to this many cells; from 76 on, there is room for the histograms
public record RolloutPicture(int columns, boolean colour) {
  private static final int NAME_WIDTH = 12;
  private static final int RULES_SHOWN = 8;

  public static RolloutPicture on(Terminal terminal) {
    return new RolloutPicture(terminal.columns(), terminal.colour());
  }

  public List<String> lines(Rollout rollout) {
    List<Line> lines = new ArrayList<>();
    lines.add(title(rollout));
    lines.add(weights(rollout));
    if (!rollout.getReason().isEmpty()) {
      lines.add(new Line().add("reason    ", Ink.DIM).add(rollout.getReason()));
    }
    if (!rollout.getWaitingFor().isEmpty()) {
      lines.add(new Line().add("waits for ", Ink.DIM).add(rollout.getWaitingFor()));
    }
    if (rollout.hasStop()) {
      lines.add(new Line().add("stopped   ", Ink.DIM).add(stop(rollout.getStop()), Ink.RED));
    }
    lines.addAll(segments(rollout));
    lines.addAll(rules(rollout));
    return lines.stream().map(line -> line.drawn(columns, colour)).toList();
  }

  /// The rollout in one line, for logs and for lists of changes.
  public static String line(Rollout rollout) {
    String line = "%s %s step %d/%d candidate %s shadow %s revision %d".formatted(
        rollout.getName(), rollout.getState(), step(rollout), rollout.getStepCount(),
        Figures.percent(rollout.getWeightBasisPoints()), Figures.percent(rollout.getShadowBasisPoints()),
        rollout.getRevision());
    return Line.printable(rollout.getReason().isEmpty() ? line : line + ": " + rollout.getReason());
  }

  /// `overall`, or the segment's own name.
  public static String segmentName(String segment) {
    return segment.isEmpty() ? "overall" : segment;
  }

  /// The step as people count it, beginning at 1.
  public static int step(Rollout rollout) {
    return Math.min(rollout.getStep() + 1, rollout.getStepCount());
  }

  private static Line title(Rollout rollout) {
    return new Line()
        .add(rollout.getName(), Ink.BOLD)
        .add("  %s %d → %d  ".formatted(
            rollout.getModel(), rollout.getBaselineVersion(), rollout.getCandidateVersion()))
        .add(rollout.getState().toString(), ink(rollout.getState()))
        .add("  step %d/%d  revision %d".formatted(step(rollout), rollout.getStepCount(), rollout.getRevision()));
  }

  private static Ink ink(RolloutState state) {
    return switch (state) {
      case SHADOW -> Ink.CYAN;
      case CANARY -> Ink.YELLOW;
      case PAUSED -> Ink.MAGENTA;
      case PROMOTED -> Ink.GREEN;
      case STOPPED, ABORTED -> Ink.RED;
      case ROLLOUT_STATE_UNSPECIFIED, UNRECOGNIZED -> Ink.DIM;
    };
  }

  private Line weights(Rollout rollout) {
    int width = Math.clamp(columns - 50, 10, 50);
    return new Line()
        .add("candidate ", Ink.DIM)
        .add(Bars.filled(rollout.getWeightBasisPoints() / 10_000.0, width), Ink.YELLOW)
        .add(" answers %s, shadowed %s".formatted(
            Figures.percent(rollout.getWeightBasisPoints()), Figures.percent(rollout.getShadowBasisPoints())));
  }

  private static String stop(Stop stop) {
    return "by %s in %s: %s bad of the first %s, flipped in %s".formatted(
        stop.getRule(), segmentName(stop.getSegment()), Figures.count(stop.getBad()),
        Figures.count(stop.getDispatched()), Figures.micros(stop.getFlipNanos() / 1e3));
  }

  // ---- segments

  private List<Line> segments(Rollout rollout) {
    if (rollout.getSegmentsCount() == 0) {
      return List.of();
    }
    int histogram = histogramWidth();
    List<Line> lines = new ArrayList<>();
    lines.add(new Line());
    lines.add(segmentHeader(histogram));
    for (SegmentReport segment : rollout.getSegmentsList()) {
      lines.add(segmentRow(segment, histogram));
    }
    String losses = losses(rollout);
    if (!losses.isEmpty()) {
      lines.add(new Line().add(losses, Ink.DIM));
    }
    return lines;
  }

  /// What is left for one histogram after names and numbers; none at all when it would be too small to show a shape.
  private int histogramWidth() {
    int numbers = NAME_WIDTH + 2 * 26 + 7;
    int each = (columns - numbers) / 2;
    return each < 3 ? 0 : Math.min(each, 16);
  }

  private static Line segmentHeader(int histogram) {
    String figures = "%9s%7s%7s ";
    String latency = histogram < "latency".length() ? "" : "latency";
    return new Line()
        .left("", NAME_WIDTH)
        .add(figures.formatted("baseline", "p50", "p99"), Ink.BLUE).left(latency, histogram + 2)
        .add(figures.formatted("candidate", "p50", "p99"), Ink.YELLOW).left(latency, histogram + 2)
        .right("differ", 7);
  }

  private static Line segmentRow(SegmentReport segment, int histogram) {
    Axis axis = Bars.axis(segment.getBaseline().getLatencyMicros(), segment.getCandidate().getLatencyMicros());
    Line line = new Line().left(segmentName(segment.getSegment()), NAME_WIDTH);
    variant(line, segment.getBaseline(), axis, histogram, Ink.BLUE);
    variant(line, segment.getCandidate(), axis, histogram, Ink.YELLOW);
    return segment.getCompared() == 0
        ? line.right("-", 7)
        : line.right(Figures.number(100.0 * segment.getDisagreed() / segment.getCompared()) + " %", 7);
  }

  private static void variant(Line line, VariantReport report, Axis axis, int histogram, Ink ink) {
    Distribution latency = report.getLatencyMicros();
    line.right(Figures.count(report.getAnswered() + report.getShadowed()), 9)
        .right(latency.getCount() == 0 ? "-" : Figures.micros(latency.getP50()), 7)
        .right(latency.getCount() == 0 ? "-" : Figures.micros(latency.getP99()), 7)
        .gap(1)
        .add(Bars.histogram(latency, axis, histogram), ink)
        .gap(2);
  }

  /// Everything that went wrong without reaching a caller, overall; empty when nothing did.
  private static String losses(Rollout rollout) {
    SegmentReport overall = rollout.getSegments(0);
    Stream<String> fallbacks = overall.getFallbacksMap().entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .map(reason -> "fallback (%s) %s".formatted(reason.getKey(), Figures.count(reason.getValue())));
    return Stream.of(
            counted("failed (baseline)", overall.getBaseline().getFailed()),
            counted("failed (candidate)", overall.getCandidate().getFailed()),
            fallbacks,
            counted("shadows dropped", rollout.getShadowsDropped()))
        .flatMap(loss -> loss)
        .collect(Collectors.joining(", "));
  }

  private static Stream<String> counted(String what, long count) {
    return count == 0 ? Stream.empty() : Stream.of(what + " " + Figures.count(count));
  }

  // ---- stop rules

  private List<Line> rules(Rollout rollout) {
    if (rollout.getRulesCount() == 0) {
      return List.of();
    }
    List<RuleEvidence> nearestFirst = rollout.getRulesList().stream()
        .sorted(comparingDouble(RolloutPicture::nearness).reversed())
        .toList();
    int ruleWidth = Math.clamp(longest(nearestFirst.stream().map(RuleEvidence::getRule)), 9, 28);
    List<Line> lines = new ArrayList<>();
    lines.add(new Line());
    lines.add(new Line()
        .left("stop rule", ruleWidth + 1).left("segment", NAME_WIDTH).right("bad", 6).right("of", 9)
        .add("  evidence against the candidate"));
    nearestFirst.stream().limit(RULES_SHOWN).forEach(rule -> lines.add(ruleRow(rule, ruleWidth)));
    if (nearestFirst.size() > RULES_SHOWN) {
      lines.add(new Line().add("and %d further from firing".formatted(nearestFirst.size() - RULES_SHOWN), Ink.DIM));
    }
    return lines;
  }

  private Line ruleRow(RuleEvidence rule, int ruleWidth) {
    double nearness = nearness(rule);
    int width = Math.clamp(columns - ruleWidth - NAME_WIDTH - 38, 5, 30);
    return new Line()
        .left(rule.getRule(), ruleWidth).gap(1)
        .left(segmentName(rule.getSegment()), NAME_WIDTH)
        .right(Figures.count(rule.getBad()), 6)
        .right(Figures.count(rule.getDispatched()), 9)
        .gap(2)
        .add(Bars.filled(nearness, width), nearness >= 1 ? Ink.RED : nearness >= 0.5 ? Ink.YELLOW : Ink.GREEN)
        .add(" " + Figures.number(rule.getEvidence()) + " of " + Figures.number(rule.getThreshold()));
  }

  /// How far the evidence has come from 1 (none) to the threshold (fires), on a logarithmic scale.
  public static double nearness(RuleEvidence rule) {
    if (rule.getThreshold() <= 1) {
      return rule.getEvidence() >= rule.getThreshold() ? 1 : 0;
    }
    return Math.clamp(Math.log(Math.max(1, rule.getEvidence())) / Math.log(rule.getThreshold()), 0.0, 1.0);
  }

  private static int longest(Stream<String> texts) {
    return texts.mapToInt(String::length).max().orElse(0);
  }
}
