package dev.sluice.router.simulation;

import java.util.SplittableRandom;

/// A controller that compares an error rate with a fixed threshold at fixed intervals, as far as it matters here.
///
/// - Argo Rollouts, background analysis: a metric measured every `interval`, whose `failureLimit` bounds the measurements that may
///   fail; one more aborts the rollout.
/// - Flagger: checks every `interval` add up; the rollback comes when their number reaches the `threshold`.
///
/// @param failedChecks the failed checks that roll back
record Poller(String name, int intervalSeconds, int failedChecks) {

  static final Poller ARGO = new Poller("Argo Rollouts (5 m, failureLimit 3)", 300, 4);
  static final Poller FLAGGER_1 = new Poller("Flagger (60 s, threshold 1)", 60, 1);
  static final Poller FLAGGER_5 = new Poller("Flagger (60 s, threshold 5)", 60, 5);
  static final Poller FLAGGER_10 = new Poller("Flagger (60 s, threshold 10)", 60, 10);

  /// Requests that the candidate gets until it is rolled back; -1 if it is not, within so many seconds.
  ///
  /// @param perMinute requests of the candidate
  /// @param limit the rate above which a check fails
  long requestsUntilRollback(double rate, int perMinute, double limit, int seconds, SplittableRandom random) {
    int perCheck = perMinute * intervalSeconds / 60;
    int failed = 0;
    long requests = 0;
    for (int check = 1; check * intervalSeconds <= seconds; check++) {
      int bad = 0;
      for (int i = 0; i < perCheck; i++) {
        bad += random.nextDouble() < rate ? 1 : 0;
      }
      requests += perCheck;
      failed += bad > limit * perCheck ? 1 : 0;
      if (failed >= failedChecks) {
        return requests;
      }
    }
    return -1;
  }
}
