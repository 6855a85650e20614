package dev.sluice.gateway.cli.picture;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Locale;

/// Numbers as people read them, the same in every locale.
public final class Figures {
  private Figures() {}

  /// `12,345`
  public static String count(long value) {
    return String.format(Locale.ROOT, "%,d", value);
  }

  /// `10 %`, `0.5 %`
  public static String percent(int basisPoints) {
    return BigDecimal.valueOf(basisPoints, 2).stripTrailingZeros().toPlainString() + " %";
  }

  /// `1.8µs`, `94µs`, `1.9ms`, `118ms`, `2.5s`: at most six characters for anything under three hours.
  public static String micros(double micros) {
    if (micros < 999.5) {
      return scaled(micros) + "µs";
    }
    return micros < 999_500 ? scaled(micros / 1e3) + "ms" : scaled(micros / 1e6) + "s";
  }

  /// `0.02`, `1.2`, `1,204`: three significant digits, and no more zeros than needed.
  public static String number(double value) {
    if (!Double.isFinite(value)) {
      return Double.toString(value);
    }
    if (Math.abs(value) >= 999.5 && Math.abs(value) < 1e12) {
      return String.format(Locale.ROOT, "%,.0f", value);
    }
    if (value != 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e12)) {
      return String.format(Locale.ROOT, "%.1e", value);
    }
    return new BigDecimal(value).round(new MathContext(3)).stripTrailingZeros().toPlainString();
  }

  private static String scaled(double value) {
    return String.format(Locale.ROOT, value < 9.95 ? "%.1f" : "%.0f", value);
  }
}
