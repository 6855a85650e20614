package dev.sluice.router.statistics;

/// The state of a test whose bets all see the same observations: one wealth per alternative, and restarts by itself.
///
/// A restart only adds to the wealth of each alternative, because old and new bets on one alternative multiply by the same
/// factors from then on. Layout: the wealths, the stake not yet spent, observations since the last restart, restarts so far.
final class RestartingGrid {

  private static final int REST = 3;

  private final double[] prior;
  private final RestartSchedule schedule;
  private final long spacing;

  /// @param prior how a stake is spread over the alternatives; sums to 1
  /// @param spacing observations between restarts
  RestartingGrid(double[] prior, RestartSchedule schedule, long spacing) {
    this.prior = prior;
    this.schedule = schedule;
    this.spacing = spacing;
  }

  /// A grid that bets everything on the first observation and never again.
  static RestartingGrid withoutRestarts(double[] prior) {
    return new RestartingGrid(prior, new RestartSchedule(1, 1), Long.MAX_VALUE);
  }

  int size() {
    return prior.length + REST;
  }

  void begin(double[] state, int at) {
    for (int k = 0; k < prior.length; k++) {
      state[at + k] = schedule.atFirst() * prior[k];
    }
    state[at + prior.length] = schedule.forRestarts();
    state[at + prior.length + 1] = 0;
    state[at + prior.length + 2] = 0;
  }

  /// After the wealths have been multiplied: counts the observations, and restarts when enough have passed.
  void observed(double[] state, int at, long observations) {
    int rest = at + prior.length;
    double since = state[rest + 1] + observations;
    if (since < spacing) {
      state[rest + 1] = since;
      return;
    }
    double generation = state[rest + 2] + 1;
    double mass = Math.min(schedule.mass((long) generation), state[rest]);
    for (int k = 0; k < prior.length; k++) {
      state[at + k] += mass * prior[k];
    }
    state[rest] -= mass;
    state[rest + 1] = 0;
    state[rest + 2] = generation;
  }

  double evidence(double[] state, int at) {
    double sum = state[at + prior.length];
    for (int k = 0; k < prior.length; k++) {
      sum += state[at + k];
    }
    return sum;
  }
}
