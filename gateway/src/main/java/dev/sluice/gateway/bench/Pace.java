package dev.sluice.gateway.bench;

import java.time.Duration;

/// How long things are measured.
///
/// @param warmUp of each contender with each model, before its first round
/// @param lead before the measured part of each round
/// @param round the measured part
/// @param passes of all contenders, forwards and backwards in turn; at least 5 for a verdict that is worth something
/// @param overload how long more is offered than can be answered
/// @param fresh how long a new gateway is measured from its readiness on
/// @param starts of new gateways
/// @param routed requests in each of the router's own rounds
record Pace(Duration warmUp, Duration lead, Duration round, int passes, Duration overload, Duration fresh, int starts,
    int routed) {
  static final Pace FULL =
      new Pace(
          Duration.ofSeconds(10), Duration.ofMillis(200), Duration.ofMillis(1200), 6, Duration.ofSeconds(60),
          Duration.ofSeconds(10), 3, 20_000);

  /// Shows that everything runs, and tells little about speed.
  static final Pace QUICK =
      new Pace(
          Duration.ofMillis(400), Duration.ofMillis(100), Duration.ofMillis(250), 2, Duration.ofSeconds(3),
          Duration.ofSeconds(1), 1, 2_000);
}
