package dev.sluice.gateway.bench;

import java.time.Duration;

/// How long things are measured.
///
/// @param warmUp of each contender with each model, before its first round
/// @param lead before the measured part of each round
/// @param round the measured part
/// @param passes of all contenders, forwards and backwards in turn; at least 5 for a verdict that is worth something
record Pace(Duration warmUp, Duration lead, Duration round, int passes) {
  static final Pace FULL = new Pace(Duration.ofSeconds(10), Duration.ofMillis(200), Duration.ofMillis(1200), 6);

  /// Shows that everything runs, and tells little about speed.
  static final Pace QUICK = new Pace(Duration.ofMillis(400), Duration.ofMillis(100), Duration.ofMillis(250), 2);
}
