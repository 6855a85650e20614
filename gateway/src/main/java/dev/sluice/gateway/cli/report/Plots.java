package dev.sluice.gateway.cli.report;

import static dev.sluice.gateway.cli.report.Frame.number;
import static java.util.Comparator.comparingDouble;

import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Timestamps;
import dev.sluice.gateway.cli.picture.Bars;
import dev.sluice.gateway.cli.picture.Figures;
import dev.sluice.proto.control.v1.Bar;
import dev.sluice.proto.control.v1.Course;
import dev.sluice.proto.control.v1.CoursePoint;
import dev.sluice.proto.control.v1.CourseTrack;
import dev.sluice.proto.control.v1.Distribution;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.SegmentReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.DoubleFunction;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/// The plots of a report as SVG, drawn by hand: a few paths need no library. Colours and sizes of letters are the style sheet's,
/// so that a plot follows a reader's light or dark and a phone's width.
final class Plots {

  /// Lines of evidence that can be told apart.
  static final int LINES_MAX = 6;

  private static final int WIDTH = 480;

  private Plots() {}

  // --- evidence over time ---------------------------------------------------------------------------------------------

  /// Weighted evidence, so that one boundary holds for all: what each test brings to the sum that stops the rollout.
  static Block.Plot evidence(Course course, Rollout rollout) {
    double threshold = rollout.getStop().getThreshold() > 0 ? rollout.getStop().getThreshold() : 1 / rollout.getAlpha();
    List<CourseTrack> tracks =
        course.getTracksList().stream()
            .filter(track -> track.getAlphaShare() > 0 && track.getEvidenceCount() > 0)
            .sorted(comparingDouble(Plots::most).reversed())
            .limit(LINES_MAX)
            .toList();
    double begin = millis(course.getPoints(0).getTime());
    double end = Math.max(begin + 1, millis(course.getPoints(course.getPointsCount() - 1).getTime()));
    double top = Math.log10(threshold) + 1.2;
    for (CourseTrack track : tracks) {
      top = Math.max(top, Math.min(12, Math.log10(Math.max(1e-9, most(track))) + 0.3));
    }
    Frame frame = new Frame(WIDTH, 280, 56, 12, 26, 36);
    Axis x = new Axis(begin, end, frame.left(), frame.right());
    Axis y = new Axis(FLOOR, top, frame.bottom(), frame.top());
    StringBuilder svg = frame.begin("Evidence over time");
    for (int power = (int) FLOOR; power <= top; power += top - FLOOR > 8 ? 2 : 1) {
      frame.gridY(svg, y.at(power), power == 0 ? "1" : power < 0 ? "0." + "0".repeat(-power - 1) + "1" : Figures.number(Math.pow(10, power)));
    }
    ticks(svg, frame, x, (long) (end - begin));
    steps(svg, frame, x, course);
    double boundary = y.at(Math.log10(threshold));
    svg.append("<line class=\"boundary\" x1=\"%s\" x2=\"%s\" y1=\"%s\" y2=\"%s\"/>".formatted(
        number(frame.left()), number(frame.right()), number(boundary), number(boundary)));
    svg.append("<text class=\"boundary\" x=\"%s\" y=\"%s\" text-anchor=\"end\">stops at %s</text>".formatted(
        number(frame.right() - 4), number(boundary - 5), Figures.number(threshold)));
    List<Block.Key> keys = new ArrayList<>();
    List<String> text = new ArrayList<>();
    for (int i = tracks.size() - 1; i >= 0; i--) {
      line(svg, tracks.get(i), course, x, y, "line" + i);
    }
    for (int i = 0; i < tracks.size(); i++) {
      CourseTrack track = tracks.get(i);
      String name = name(track);
      double last = weighted(track, track.getEvidenceCount() - 1);
      keys.add(new Block.Key("line" + i, "%s: %s at the end, %s at most".formatted(name, Figures.number(last), Figures.number(most(track)))));
      text.add("%-44s %s  %s".formatted(name, spark(track, course.getPointsCount(), top), Figures.number(last)));
    }
    text.add("%-44s %s".formatted("scale: from 0.001 or less to", Figures.number(Math.pow(10, top)) + "; stops at " + Figures.number(threshold)));
    return new Block.Plot("Evidence against the candidate over time", frame.end(svg), text, keys);
  }

  /// Evidence below this is drawn at the bottom: how far below says nothing.
  private static final double FLOOR = -3;

  private static double weighted(CourseTrack track, int i) {
    return track.getEvidence(i) * track.getAlphaShare();
  }

  private static double most(CourseTrack track) {
    double most = 0;
    for (int i = 0; i < track.getEvidenceCount(); i++) {
      most = Math.max(most, weighted(track, i));
    }
    return most;
  }

  private static String name(CourseTrack track) {
    String part = track.getPart() == 0 ? "" : " (%d)".formatted(track.getPart() + 1);
    return track.getRule() + part + (track.getSegment().isEmpty() ? " overall" : " in " + track.getSegment());
  }

  /// Evidence stays as it is until it changes: a line with steps.
  private static void line(StringBuilder svg, CourseTrack track, Course course, Axis x, Axis y, String style) {
    StringBuilder path = new StringBuilder();
    for (int i = 0; i < track.getEvidenceCount() && track.getFirstPoint() + i < course.getPointsCount(); i++) {
      String across = number(x.at(millis(course.getPoints(track.getFirstPoint() + i).getTime())));
      String up = number(y.at(Math.max(FLOOR, Math.log10(Math.max(1e-300, weighted(track, i))))));
      path.append(path.isEmpty() ? "M" + across + "," + up : "H" + across + "V" + up);
    }
    svg.append("<path class=\"%s\" d=\"%s\"/>".formatted(style, path));
  }

  private static String spark(CourseTrack track, int points, double top) {
    int width = 32;
    StringBuilder drawn = new StringBuilder();
    for (int cell = 0; cell < width; cell++) {
      int i = Math.min(points - 1, (int) ((cell + 0.999) * points / width)) - track.getFirstPoint();
      if (i < 0 || i >= track.getEvidenceCount()) {
        drawn.append(' ');
      } else {
        double log = Math.log10(Math.max(1e-300, weighted(track, i)));
        drawn.append("▁▂▃▄▅▆▇█".charAt((int) Math.clamp((log - FLOOR) / (top - FLOOR) * 8, 0, 7)));
      }
    }
    return drawn.toString();
  }

  /// Where the rollout went on to another step or state.
  private static void steps(StringBuilder svg, Frame frame, Axis x, Course course) {
    String before = "";
    double lastAt = Double.NEGATIVE_INFINITY;
    for (CoursePoint point : course.getPointsList()) {
      String now = exposure(point);
      if (!now.equals(before)) {
        double at = x.at(millis(point.getTime()));
        svg.append("<line class=\"step\" x1=\"%1$s\" x2=\"%1$s\" y1=\"%2$s\" y2=\"%3$s\"/>".formatted(
            number(at), number(frame.top()), number(frame.bottom())));
        if ((at - lastAt > 60 && at < frame.right() - 30) || before.isEmpty()) {
          svg.append("<text class=\"step\" x=\"%s\" y=\"%s\">%s</text>".formatted(
              number(at + 3), number(frame.top() - 6), HtmlWriter.escape(now)));
          lastAt = at;
        } else if (at >= frame.right() - 30 && at - lastAt > 110) {
          svg.append("<text class=\"step\" x=\"%s\" y=\"%s\" text-anchor=\"end\">%s</text>".formatted(
              number(frame.right()), number(frame.top() - 6), HtmlWriter.escape(now)));
          lastAt = at;
        }
        before = now;
      }
    }
  }

  static String exposure(CoursePoint point) {
    return switch (point.getState()) {
      case SHADOW -> "shadow " + Figures.percent(point.getShadowBasisPoints());
      case CANARY, PAUSED ->
          (point.getState() == RolloutState.PAUSED ? "paused " : "canary ") + Figures.percent(point.getWeightBasisPoints());
      case PROMOTED -> "promoted";
      case STOPPED -> "stopped";
      case ABORTED -> "aborted";
      case ROLLOUT_STATE_UNSPECIFIED, UNRECOGNIZED -> "unknown";
    };
  }

  private static void ticks(StringBuilder svg, Frame frame, Axis x, long span) {
    long step = 1;
    for (long candidate : new long[] {
      100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000,
      21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000, 2_592_000_000L
    }) {
      step = candidate;
      if (span / candidate <= 5) {
        break;
      }
    }
    for (long at = 0; at <= span && at / step <= 12; at += step) {
      frame.tickX(svg, x.at(x.low() + (double) at), at == 0 ? "0" : duration(at));
    }
  }

  static String duration(long millis) {
    if (millis < 1_000) {
      return millis + " ms";
    }
    if (millis < 60_000) {
      return Figures.number(millis / 1e3) + " s";
    }
    if (millis < 3_600_000) {
      return Figures.number(millis / 6e4) + " min";
    }
    return millis < 172_800_000 ? Figures.number(millis / 3.6e6) + " h" : Figures.number(millis / 8.64e7) + " d";
  }

  // --- distributions --------------------------------------------------------------------------------------------------

  /// Both versions over one axis: the baseline above it, the candidate below.
  static Block.Plot latency(SegmentReport segment) {
    Distribution above = segment.getBaseline().getLatencyMicros();
    Distribution below = segment.getCandidate().getLatencyMicros();
    List<String> text = new ArrayList<>();
    text.add("baseline  " + Bars.sideBySide(above, below, 48) + "  p50 %s, p99 %s".formatted(micros(above, Distribution::getP50), micros(above, Distribution::getP99)));
    text.add("candidate " + Bars.sideBySide(below, above, 48) + "  p50 %s, p99 %s".formatted(micros(below, Distribution::getP50), micros(below, Distribution::getP99)));
    List<Block.Key> keys =
        List.of(
            new Block.Key("baseline", "baseline: p50 %s, p99 %s, of %s calls".formatted(
                micros(above, Distribution::getP50), micros(above, Distribution::getP99), Figures.count(above.getCount()))),
            new Block.Key("candidate", "candidate: p50 %s, p99 %s, of %s calls".formatted(
                micros(below, Distribution::getP50), micros(below, Distribution::getP99), Figures.count(below.getCount()))));
    return new Block.Plot(
        "Latency " + where(segment), distributions("Latency " + where(segment), above, below, Figures::micros), text, keys);
  }

  static String micros(Distribution distribution, ToDoubleFunction<Distribution> quantile) {
    return distribution.getCount() == 0 ? "-" : Figures.micros(quantile.applyAsDouble(distribution));
  }

  /// How far the candidate's answers are from the baseline's, of those that are not the same; null if there is no shape to draw:
  /// a comparison that says yes or no has none.
  static Block.@Nullable Plot disagreement(SegmentReport segment) {
    Distribution.Builder apart = segment.getDisagreement().toBuilder().clearBars();
    segment.getDisagreement().getBarsList().stream().filter(bar -> bar.getUpper() > SAME).forEach(apart::addBars);
    Distribution distances = apart.build();
    if (distances.getBarsList().stream().filter(bar -> bar.getCount() > 0).limit(2).count() < 2) {
      return null;
    }
    long different = distances.getBarsList().stream().mapToLong(Bar::getCount).sum();
    String same = "%s of %s answers are the same".formatted(
        Figures.count(distances.getCount() - different), Figures.count(distances.getCount()));
    String title = "Distance between answers that differ, " + where(segment);
    String numbers = "of all: p50 %s, p99 %s, at most %s".formatted(
        Figures.number(distances.getP50()), Figures.number(distances.getP99()), Figures.number(distances.getMax()));
    return new Block.Plot(
        title,
        distributions(title, distances, Distribution.getDefaultInstance(), Figures::number),
        List.of("distance  " + Bars.sideBySide(distances, Distribution.getDefaultInstance(), 48) + "  " + numbers, same),
        List.of(new Block.Key("candidate", same + "; " + numbers)));
  }

  /// Distances are kept in millionths: below one they are 0.
  private static final double SAME = 1.5e-6;

  static String where(SegmentReport segment) {
    return segment.getSegment().isEmpty() ? "overall" : "in " + segment.getSegment();
  }

  private static String distributions(
      String title, Distribution above, Distribution below, DoubleFunction<String> words) {
    boolean both = below.getBarsCount() > 0;
    Frame frame = new Frame(WIDTH, both ? 190 : 130, 14, 14, 8, 30);
    StringBuilder svg = frame.begin(title);
    double low = Math.log10(Math.min(low(above), low(below)));
    double high = Math.log10(Math.max(high(above), high(below)));
    if (!(high > low)) {
      high = low + 1;
    }
    Axis x = new Axis(low, high, frame.left(), frame.right());
    double middle = both ? (frame.top() + frame.bottom()) / 2 : frame.bottom();
    double height = both ? (frame.bottom() - frame.top()) / 2 - 2 : frame.bottom() - frame.top() - 4;
    for (int power = (int) Math.ceil(low); power <= Math.floor(high); power++) {
      if (high - low < 4 || power % 2 == 0) {
        frame.tickX(svg, x.at(power), words.apply(Math.pow(10, power)));
      }
    }
    if (Math.ceil(low) > Math.floor(high)) {
      frame.tickX(svg, x.at(low), words.apply(Math.pow(10, low)));
      frame.tickX(svg, x.at(high), words.apply(Math.pow(10, high)));
    }
    area(svg, above, x, middle, -height, both ? "baseline" : "candidate");
    area(svg, below, x, middle, height, "candidate");
    svg.append("<line class=\"axis\" x1=\"%s\" x2=\"%s\" y1=\"%3$s\" y2=\"%3$s\"/>".formatted(
        number(frame.left()), number(frame.right()), number(middle)));
    return frame.end(svg);
  }

  private static double low(Distribution distribution) {
    if (distribution.getBarsCount() < 2) {
      return distribution.getBarsCount() == 0 ? Double.POSITIVE_INFINITY : Math.max(1e-6, distribution.getBars(0).getUpper() / 2);
    }
    double ratio = distribution.getBars(1).getUpper() / distribution.getBars(0).getUpper();
    return Math.max(1e-6, distribution.getBars(0).getUpper() / Math.max(1.0001, ratio));
  }

  private static double high(Distribution distribution) {
    return distribution.getBarsCount() == 0
        ? Double.NEGATIVE_INFINITY
        : Math.max(1e-6, distribution.getBars(distribution.getBarsCount() - 1).getUpper());
  }

  /// Bars are even on the logarithmic axis, so a bar's height is its share of all calls.
  private static void area(StringBuilder svg, Distribution distribution, Axis x, double middle, double height, String style) {
    if (distribution.getBarsCount() == 0) {
      return;
    }
    long fullest = distribution.getBarsList().stream().mapToLong(Bar::getCount).max().orElse(0);
    double from = Math.log10(low(distribution));
    StringBuilder path = new StringBuilder("M%s,%s".formatted(number(x.at(from)), number(middle)));
    for (Bar bar : distribution.getBarsList()) {
      double share = fullest == 0 ? 0 : bar.getCount() / (double) fullest;
      // A cell that has any count shows.
      double tall = bar.getCount() == 0 ? 0 : Math.copySign(Math.max(1.5, Math.abs(share * height)), height);
      path.append("V%sH%s".formatted(number(middle + tall), number(x.at(Math.log10(Math.max(1e-6, bar.getUpper()))))));
    }
    svg.append("<path class=\"%s\" d=\"%sV%sZ\"/>".formatted(style, path, number(middle)));
    marker(svg, distribution.getP50(), x, middle, height, style);
    marker(svg, distribution.getP99(), x, middle, height, style);
  }

  private static void marker(StringBuilder svg, double value, Axis x, double middle, double height, String style) {
    if (value >= Math.pow(10, x.low())) {
      String at = number(x.at(Math.log10(value)));
      svg.append("<line class=\"%s\" x1=\"%s\" x2=\"%2$s\" y1=\"%s\" y2=\"%s\"/>".formatted(
          style, at, number(middle), number(middle + height)));
    }
  }

  private static double millis(Timestamp time) {
    return (double) Timestamps.toMillis(time);
  }
}
