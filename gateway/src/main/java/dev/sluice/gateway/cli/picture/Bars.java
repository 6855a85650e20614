package dev.sluice.gateway.cli.picture;

import dev.sluice.proto.control.v1.Bar;
import dev.sluice.proto.control.v1.Distribution;
import java.util.List;

/// Bars made of block characters: a filled part of a line, and histograms one cell high.
public final class Bars {
  private static final String LEVELS = " ▁▂▃▄▅▆▇█";
  private static final double LOG_SHIFT = -Math.log(1e-6) + 1;
  private static final String EIGHTHS = " ▏▎▍▌▋▊▉█";

  private Bars() {}

  /// A line of `width` cells of which `fraction` is filled, to an eighth of a cell. A fraction above 0 always shows.
  static String filled(double fraction, int width) {
    double bounded = Math.clamp(fraction, 0.0, 1.0);
    int eighths = bounded == 0 ? 0 : Math.max(1, (int) Math.round(bounded * width * 8));
    String full = "█".repeat(eighths / 8);
    String part = eighths % 8 == 0 ? "" : EIGHTHS.substring(eighths % 8, eighths % 8 + 1);
    return full + part + "░".repeat(width - full.length() - part.length());
  }

  /// The range that both distributions fit in, so that their histograms can be compared cell by cell.
  static Axis axis(Distribution a, Distribution b) {
    double low = Math.min(low(a.getBarsList()), low(b.getBarsList()));
    double high = Math.max(high(a.getBarsList()), high(b.getBarsList()));
    return new Axis(low, high);
  }

  /// The distribution's counts over the axis, the fullest cell at full height. A cell that has any count shows.
  static String histogram(Distribution distribution, Axis axis, int width) {
    double[] cells = new double[width];
    double lower = low(distribution.getBarsList());
    for (Bar bar : distribution.getBarsList()) {
      spread(bar.getCount(), lower, bar.getUpper(), axis, cells);
      lower = bar.getUpper();
    }
    double fullest = 0;
    for (double cell : cells) {
      fullest = Math.max(fullest, cell);
    }
    StringBuilder drawn = new StringBuilder(width);
    for (double cell : cells) {
      // Below a thousandth of a request is what spreading leaves behind, not a request.
      drawn.append(LEVELS.charAt(cell < 1e-3 ? 0 : Math.max(1, (int) Math.round(cell / fullest * 8))));
    }
    return drawn.toString();
  }

  /// The counts of a distribution over an axis that it shares with another; even steps of it are even factors.
  public static String sideBySide(Distribution distribution, Distribution other, int width) {
    return histogram(logarithmic(distribution), axis(logarithmic(distribution), logarithmic(other)), width);
  }

  /// The same counts over the logarithm of the values, moved so that none is below 0.
  private static Distribution logarithmic(Distribution distribution) {
    Distribution.Builder logarithmic = distribution.toBuilder();
    for (int i = 0; i < distribution.getBarsCount(); i++) {
      logarithmic.getBarsBuilder(i).setUpper(Math.log(Math.max(1e-6, distribution.getBars(i).getUpper())) + LOG_SHIFT);
    }
    return logarithmic.build();
  }

  record Axis(double low, double high) {}

  /// Shares a bar's count among the cells it overlaps, in proportion.
  private static void spread(long count, double lower, double upper, Axis axis, double[] cells) {
    double cellSize = (axis.high - axis.low) / cells.length;
    if (count == 0 || !(upper > lower) || !(cellSize > 0)) {
      return;
    }
    for (int i = 0; i < cells.length; i++) {
      double from = Math.max(lower, axis.low + i * cellSize);
      double to = Math.min(upper, axis.low + (i + 1) * cellSize);
      cells[i] += to > from ? count * (to - from) / (upper - lower) : 0;
    }
  }

  /// Bars carry only their upper ends. They are even, so the first begins one bar's size below its end.
  private static double low(List<Bar> bars) {
    return switch (bars.size()) {
      case 0 -> Double.POSITIVE_INFINITY;
      case 1 -> 0;
      default -> Math.max(0, 2 * bars.get(0).getUpper() - bars.get(1).getUpper());
    };
  }

  private static double high(List<Bar> bars) {
    return bars.isEmpty() ? Double.NEGATIVE_INFINITY : bars.getLast().getUpper();
  }
}
