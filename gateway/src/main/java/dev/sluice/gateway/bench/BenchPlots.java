package dev.sluice.gateway.bench;

import dev.sluice.gateway.cli.report.Axis;
import dev.sluice.gateway.cli.report.Block;
import dev.sluice.gateway.cli.report.Frame;
import dev.sluice.loadtest.paired.GoalTable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.HdrHistogram.Histogram;

/// Curves of the contenders that are driven over the wire.
final class BenchPlots {
  /// As many as the style sheet has colours for.
  private static final int LINES_MAX = 6;

  private static final int WIDTH = 480;
  private static final int HEIGHT = 280;
  private static final String[] PERCENTILE_TICKS = {"50 %", "90 %", "99 %", "99.9 %"};

  private BenchPlots() {}

  private record Point(double x, double y) {}

  private record Curve(String name, List<Point> points) {}

  /// Latency by percentile, a plot for each comparison: the axis counts nines.
  static List<Block> percentiles(Collection<Comparison> comparisons) {
    List<Block> plots = new ArrayList<>();
    for (Comparison comparison : comparisons) {
      List<Curve> curves = new ArrayList<>();
      for (String name : wired(comparison)) {
        Histogram latency = comparison.latency(name);
        List<Point> points = new ArrayList<>();
        // Beyond 99.9 % a run of seconds has nothing to say.
        for (double nines = 0; nines <= 3.0001; nines += 0.05) {
          double share = 1 - Math.pow(10, -nines);
          points.add(new Point(nines, Math.max(1, latency.getValueAtPercentile(100 * share) / 1e3)));
        }
        curves.add(new Curve(name, points));
      }
      if (!curves.isEmpty()) {
        plots.add(plot(
            "Latency by percentile: %s model, %s".formatted(comparison.model().text(), comparison.load()), curves,
            new double[] {Math.log10(2), 1, 2, 3}, PERCENTILE_TICKS, colours(comparisons)));
      }
    }
    return plots;
  }

  /// p99 against requests per second as more calls are in flight.
  static List<Block> throughput(Collection<Comparison> comparisons) {
    List<Comparison> closed = comparisons.stream()
        .filter(comparison -> comparison.model() == BenchModel.TINY && comparison.load() instanceof Load.InFlight)
        .sorted(Comparator.comparingInt(
            comparison -> comparison.load() instanceof Load.InFlight(int calls) ? calls : 0))
        .toList();
    if (closed.size() < 2) {
      return List.of();
    }
    String levels =
        closed.stream()
            .map(comparison -> comparison.load().toString().replace(" in flight", ""))
            .collect(Collectors.joining(", "));
    List<Block> plots = new ArrayList<>();
    for (double percentile : new double[] {50, 99}) {
      List<Curve> curves = wired(closed.getFirst()).stream()
          .map(name -> new Curve(name, closed.stream()
              .filter(comparison -> comparison.rounds().containsKey(name))
              .map(comparison -> new Point(
                  comparison.of(name, Round::perSecond).median(),
                  Math.max(1, comparison.latency(name).getValueAtPercentile(percentile) / 1e3)))
              .toList()))
          .toList();
      double most = curves.stream().flatMap(curve -> curve.points().stream()).mapToDouble(Point::x).max().orElse(1);
      double step = Math.pow(10, Math.floor(Math.log10(most)));
      step = most / step < 2 ? step / 2 : most / step > 5 ? step * 2 : step;
      List<Double> ticks = new ArrayList<>();
      for (double tick = 0; tick <= most; tick += step) {
        ticks.add(tick);
      }
      plots.add(plot(
          String.format(Locale.ROOT, "p%.0f against requests/s: tiny model, %s in flight", percentile, levels), curves,
          ticks.stream().mapToDouble(Double::doubleValue).toArray(),
          ticks.stream().map(tick -> GoalTable.number(tick, "")).toArray(String[]::new),
          colours(comparisons)));
    }
    return plots;
  }

  /// ONNX Runtime alone has no callers who wait.
  private static List<String> wired(Comparison comparison) {
    return comparison.rounds().keySet().stream().filter(name -> !name.startsWith("ONNX")).limit(LINES_MAX).toList();
  }

  /// A contender has the same colour in all plots.
  private static List<String> colours(Collection<Comparison> comparisons) {
    return comparisons.stream().flatMap(comparison -> wired(comparison).stream()).distinct().toList();
  }

  /// @param colours the contenders in the order of the style sheet's colours
  private static Block.Plot plot(
      String title, List<Curve> curves, double[] ticks, String[] labels, List<String> colours) {
    List<Point> all = curves.stream().flatMap(curve -> curve.points().stream()).toList();
    double right = Math.max(all.stream().mapToDouble(Point::x).max().orElse(1), ticks[ticks.length - 1]);
    double low = Math.floor(all.stream().mapToDouble(point -> Math.log10(point.y())).min().orElse(0));
    double high = Math.max(low + 1, all.stream().mapToDouble(point -> Math.log10(point.y())).max().orElse(1) + 0.05);
    Frame frame = new Frame(WIDTH, HEIGHT, 56, 16, 12, 34);
    Axis x = new Axis(0, right, frame.left(), frame.right());
    Axis y = new Axis(low, high, frame.bottom(), frame.top());
    StringBuilder svg = frame.begin(title);
    for (double power = low; power <= high; power++) {
      frame.gridY(svg, y.at(power), micros(Math.pow(10, power)));
    }
    for (int i = 0; i < ticks.length; i++) {
      frame.tickX(svg, x.at(ticks[i]), labels[i]);
    }
    List<Block.Key> keys = new ArrayList<>();
    List<String> text = new ArrayList<>();
    for (Curve curve : curves) {
      StringBuilder path = new StringBuilder();
      for (Point point : curve.points()) {
        path.append(path.isEmpty() ? 'M' : 'L').append(Frame.number(x.at(point.x()))).append(',')
            .append(Frame.number(y.at(Math.log10(point.y()))));
      }
      String style = "line" + colours.indexOf(curve.name()) % LINES_MAX;
      svg.append("<path class=\"%s\" d=\"%s\"/>".formatted(style, path));
      keys.add(new Block.Key(style, curve.name()));
      text.add(curve.name());
    }
    return new Block.Plot(title, frame.end(svg), text, keys);
  }

  private static String micros(double value) {
    return value >= 1e6 ? GoalTable.number(value / 1e6, "s")
        : value >= 1e3 ? GoalTable.number(value / 1e3, "ms") : GoalTable.number(value, "µs");
  }
}
