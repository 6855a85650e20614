package dev.sluice.gateway.cli.report;

/// From a value to a place in a plot; values beyond the ends are drawn there.
public record Axis(double low, double high, double from, double to) {
  public double at(double value) {
    return from + (Math.clamp(value, low, high) - low) / (high - low) * (to - from);
  }
}
