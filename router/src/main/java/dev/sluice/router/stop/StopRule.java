package dev.sluice.router.stop;

import dev.sluice.router.assignment.Variant;
import dev.sluice.router.statistics.LimitTest;
import java.util.List;

/// A promise about the candidate with a number, and which observations speak for and against it.
///
/// A rule says what an observation means to it; whether it has heard too much against the candidate is the business of its
/// test in [dev.sluice.router.statistics]. Rules come in families, one for each kind of test. **A new rule is a new record
/// in its family** (and a line in the note's reader).
public sealed interface StopRule {

  /// What people, notes and metrics call the rule.
  String name();

  Scope scope();

  default Clock clock() {
    return Clock.ARRIVAL;
  }

  default Action action() {
    return Action.STOP;
  }

  /// Where a rule holds.
  enum Scope {
    /// Over all traffic together.
    OVERALL,
    /// In each segment on its own, `other` included.
    EACH,
    /// Both.
    ALL
  }

  /// What happens when a rule has heard enough.
  enum Action {
    /// Everybody is sent back to the baseline.
    STOP,
    /// The rollout stays where it is, and people are told: something is wrong, but it need not be the candidate.
    HOLD
  }

  /// The order in which a rule's evidence comes in. Evidence of different clocks is never averaged: each sees outcomes that
  /// the other does not know yet, and an average over both would be no fair bet to either.
  enum Clock {
    /// As requests are dispatched; those in flight count as good. What a limit's evidence is worth is shown in this order.
    DISPATCH,
    /// As calls complete.
    ARRIVAL,
    /// In slices of dispatch time, each looked at once all of its calls must have ended.
    SLICES,
    /// As labels come in.
    LABELS
  }

  /// The events that a rate is a rate of, counted when they are dispatched.
  enum Counted {
    /// Requests that the candidate ran, live or as shadow.
    CANDIDATE_CALLS,
    /// Live requests assigned to the candidate.
    CANDIDATE_ASSIGNMENTS,
    /// Requests that both variants ran.
    COMPARISONS
  }

  // --- at most a share of the events is bad ---------------------------------------------------------------------------

  /// Of the events of one kind at most `limit` are bad. Tested by [LimitTest].
  sealed interface LimitRule extends StopRule {
    /// The allowed rate of bad events.
    double limit();

    Counted counted();

    boolean isBad(Evidence evidence);

    @Override
    default Clock clock() {
      return Clock.DISPATCH;
    }
  }

  /// The candidate fails where the baseline does not.
  record ErrorRate(double limit, Scope scope) implements LimitRule {
    public ErrorRate {
      checkLimit(limit);
    }

    @Override
    public String name() {
      return "error-rate";
    }

    @Override
    public Counted counted() {
      return Counted.CANDIDATE_CALLS;
    }

    @Override
    public boolean isBad(Evidence evidence) {
      return evidence.kind() == Evidence.Kind.FAILED && evidence.variant() == Variant.CANDIDATE;
    }
  }

  /// The baseline has to answer in the candidate's place.
  record FallbackRate(double limit, Scope scope) implements LimitRule {
    public FallbackRate {
      checkLimit(limit);
    }

    @Override
    public String name() {
      return "fallback-rate";
    }

    @Override
    public Counted counted() {
      return Counted.CANDIDATE_ASSIGNMENTS;
    }

    @Override
    public boolean isBad(Evidence evidence) {
      return evidence.kind() == Evidence.Kind.FELL_BACK;
    }
  }

  /// The candidate's answer differs from the baseline's by more than the note allows.
  record DisagreementRate(double limit, Scope scope) implements LimitRule {
    public DisagreementRate {
      checkLimit(limit);
    }

    @Override
    public String name() {
      return "disagreement-rate";
    }

    @Override
    public Counted counted() {
      return Counted.COMPARISONS;
    }

    @Override
    public boolean isBad(Evidence evidence) {
      return evidence.kind() == Evidence.Kind.COMPARED && evidence.disagrees();
    }
  }

  /// The candidate takes longer than `overNanos`. A call that was given up on is known to have taken at least that long.
  record LatencyOver(long overNanos, double limit, Scope scope) implements LimitRule {
    public LatencyOver {
      checkLimit(limit);
      if (overNanos <= 0) {
        throw new IllegalArgumentException("latency-over: " + overNanos + " ns is not above 0");
      }
    }

    @Override
    public String name() {
      return "latency-over-" + duration(overNanos);
    }

    @Override
    public Counted counted() {
      return Counted.CANDIDATE_CALLS;
    }

    @Override
    public boolean isBad(Evidence evidence) {
      return evidence.isRun() && evidence.variant() == Variant.CANDIDATE && evidence.nanos() > overNanos;
    }
  }

  // --- live candidate against live baseline ---------------------------------------------------------------------------

  /// Bad events are at most `margin` times as frequent among the candidate's live answers as among the baseline's. Only
  /// the bad events are looked at, and of each sticky key only the first one: the rest would be the same news again.
  sealed interface RatioRule extends StopRule {
    double margin();

    /// How many kinds of bad events there are; each is a test of its own.
    int parts();

    @Override
    default Clock clock() {
      return Clock.SLICES;
    }
  }

  /// Live calls fail, compared between the variants. What the caller got wrong is no failure.
  record ErrorRatio(double margin, Scope scope) implements RatioRule {
    public ErrorRatio {
      checkMargin(margin);
    }

    @Override
    public String name() {
      return "error-ratio";
    }

    @Override
    public int parts() {
      return 1;
    }
  }

  /// Live calls take longer than the baseline's latency quantiles, frozen before the candidate answers anybody.
  ///
  /// @param quantiles each above 0 and below 1, in rising order
  record LatencyRatio(double margin, List<Double> quantiles, Scope scope) implements RatioRule {
    /// Fewer observations of the baseline tell nothing about its tail.
    public static final long OBSERVATIONS_MIN = 1_000;

    private static final int QUANTILES_MAX = 8;

    public LatencyRatio {
      checkMargin(margin);
      quantiles = List.copyOf(quantiles);
      if (quantiles.isEmpty() || quantiles.size() > QUANTILES_MAX) {
        throw new IllegalArgumentException(
            "quantiles: %d of them, expected 1 to %d".formatted(quantiles.size(), QUANTILES_MAX));
      }
      double before = 0;
      for (double quantile : quantiles) {
        if (!(quantile > before && quantile < 1)) {
          throw new IllegalArgumentException(
              "quantiles: %s is not in rising order between 0 and 1".formatted(quantiles));
        }
        before = quantile;
      }
    }

    @Override
    public String name() {
      return "latency-ratio";
    }

    @Override
    public int parts() {
      return quantiles.size();
    }
  }

  // --- the same request to both ----------------------------------------------------------------------------------------

  /// What a pair of answers says about the candidate.
  enum Sign {
    AGAINST,
    FOR,
    NOTHING
  }

  /// Where the two answers to one request differ, they differ against the candidate in at most half of the cases.
  sealed interface PairRule extends StopRule {
    Sign sign(Evidence evidence);
  }

  /// Shadowed requests on which one variant fails and the other does not.
  record PairedErrors(Scope scope) implements PairRule {
    @Override
    public String name() {
      return "paired-errors";
    }

    @Override
    public Sign sign(Evidence evidence) {
      if (evidence.kind() != Evidence.Kind.FAILED || !evidence.shadow()) {
        return Sign.NOTHING;
      }
      return evidence.variant() == Variant.CANDIDATE ? Sign.AGAINST : Sign.FOR;
    }
  }

  /// Repeated requests on which the candidate takes more than `1 + margin` times as long as the baseline, beside those on
  /// which it does not.
  record PairedLatency(double margin, Scope scope) implements PairRule {
    public PairedLatency {
      if (!(margin >= 0 && margin <= 100)) {
        throw new IllegalArgumentException("margin: " + margin + " is not between 0 % and 10,000 %");
      }
    }

    @Override
    public String name() {
      return "paired-latency";
    }

    @Override
    public Sign sign(Evidence evidence) {
      if (evidence.kind() != Evidence.Kind.REPEATED || evidence.nanos() <= 0) {
        return Sign.NOTHING;
      }
      return evidence.otherNanos() > evidence.nanos() * (1 + margin) ? Sign.AGAINST : Sign.FOR;
    }
  }

  /// The candidate disagrees with the baseline more often than the baseline does with itself: of the repeated requests on
  /// which exactly one of the two disagrees with the baseline's first answer, it is the candidate in more than half.
  record NoiseFloor(Scope scope) implements PairRule {
    @Override
    public String name() {
      return "disagreement-over-noise";
    }

    @Override
    public Sign sign(Evidence evidence) {
      if (evidence.kind() != Evidence.Kind.REPEATED || evidence.disagrees() == evidence.repeatDisagrees()) {
        return Sign.NOTHING;
      }
      return evidence.disagrees() ? Sign.AGAINST : Sign.FOR;
    }
  }

  // --- a mean -----------------------------------------------------------------------------------------------------------

  /// The mean of a bounded number is at most `limit`.
  sealed interface MeanRule extends StopRule {
    double limit();

    /// The least and the most that the number can be.
    default double low() {
      return 0;
    }

    default double high() {
      return 1;
    }

    /// Whether an observation carries the number.
    boolean concerns(Evidence evidence);

    double value(Evidence evidence);
  }

  /// How far the candidate's answers are from the baseline's, as the comparison's share of its largest distance.
  record ScoreDifference(double limit, Scope scope) implements MeanRule {
    public ScoreDifference {
      checkLimit(limit);
    }

    @Override
    public String name() {
      return "score-difference";
    }

    @Override
    public boolean concerns(Evidence evidence) {
      return evidence.kind() == Evidence.Kind.COMPARED;
    }

    @Override
    public double value(Evidence evidence) {
      return evidence.bounded();
    }
  }

  /// What the candidate's answers cost in run time: on the mean at most `limitNanos`, each counted up to `capNanos`.
  record MeanCost(long limitNanos, long capNanos, Scope scope) implements MeanRule {
    public MeanCost {
      if (limitNanos <= 0 || capNanos <= limitNanos) {
        throw new IllegalArgumentException(
            "mean-cost: limit %d ns must be above 0 and below the cap of %d ns".formatted(limitNanos, capNanos));
      }
    }

    @Override
    public String name() {
      return "mean-cost";
    }

    @Override
    public double limit() {
      return (double) limitNanos / capNanos;
    }

    @Override
    public boolean concerns(Evidence evidence) {
      return evidence.isRun() && evidence.variant() == Variant.CANDIDATE;
    }

    @Override
    public double value(Evidence evidence) {
      return Math.min(1.0, (double) evidence.nanos() / capNanos);
    }
  }

  /// Once the truth is known: the candidate's loss (Brier score) is on the mean at most `limit` above the baseline's.
  record Calibration(double limit, Scope scope) implements MeanRule {
    public Calibration {
      if (!(limit >= 0 && limit < 1)) {
        throw new IllegalArgumentException("limit: " + limit + " is not at least 0 and below 1");
      }
    }

    @Override
    public String name() {
      return "calibration";
    }

    @Override
    public double low() {
      return -1;
    }

    @Override
    public Clock clock() {
      return Clock.LABELS;
    }

    @Override
    public boolean concerns(Evidence evidence) {
      return evidence.kind() == Evidence.Kind.LABELLED;
    }

    @Override
    public double value(Evidence evidence) {
      return evidence.number();
    }
  }

  // --- drift ------------------------------------------------------------------------------------------------------------

  /// A number of the requests, or of the answers, stays where the model's evaluation saw it. If it moves for both variants
  /// the world has changed: the rollout holds. If it moves for the candidate alone, it stops.
  sealed interface DriftRule extends StopRule {
    Feature feature();

    @Override
    default Scope scope() {
      return Scope.OVERALL;
    }
  }

  /// Where a number is found: one column of the first row of a tensor.
  ///
  /// @param input an input's name, else an output's
  record Feature(String tensor, boolean input, int column) {
    public Feature {
      if (tensor.isEmpty() || column < 0) {
        throw new IllegalArgumentException(
            "feature: tensor '%s', column %d: expected a name and a column of at least 0".formatted(tensor, column));
      }
    }

    @Override
    public String toString() {
      return tensor + "[" + column + "]";
    }
  }

  /// The mean stays within `tolerance` standard deviations of the reference mean.
  record MeanDrift(Feature feature, double mean, double deviation, double tolerance) implements DriftRule {
    public MeanDrift {
      if (!Double.isFinite(mean) || !(deviation > 0) || !Double.isFinite(deviation)) {
        throw new IllegalArgumentException(
            "drift: mean %s must be finite, deviation %s above 0".formatted(mean, deviation));
      }
      if (!(tolerance >= 0 && tolerance < 4)) {
        throw new IllegalArgumentException("tolerance: " + tolerance + " is not at least 0 and below 4");
      }
    }

    @Override
    public String name() {
      return "drift-of-" + feature;
    }

    /// What an observation's value is to this rule.
    public double measure(double value) {
      return (value - mean) / deviation;
    }
  }

  /// The share of each bin is at most `tolerance` above its reference. Numbers fall into the bins between the edges; what is
  /// not a number falls into the last bin, which is for values that are missing.
  ///
  /// @param edges in rising order; n edges make n + 1 bins
  /// @param shares of the n + 1 bins and of missing values, at the model's evaluation
  record BinDrift(Feature feature, List<Double> edges, List<Double> shares, double tolerance) implements DriftRule {
    /// Deciles have nine; with twice as many the state of the rule is just below a kibibyte.
    private static final int EDGES_MAX = 18;

    public BinDrift {
      edges = List.copyOf(edges);
      shares = List.copyOf(shares);
      if (edges.isEmpty() || edges.size() > EDGES_MAX) {
        throw new IllegalArgumentException("edges: %d of them, expected 1 to %d".formatted(edges.size(), EDGES_MAX));
      }
      for (int i = 1; i < edges.size(); i++) {
        if (!(edges.get(i) > edges.get(i - 1))) {
          throw new IllegalArgumentException("edges: " + edges + " are not in rising order");
        }
      }
      if (shares.size() != edges.size() + 2) {
        throw new IllegalArgumentException(
            "shares: %d of them, expected %d: %d bins between and beyond the edges, and missing values"
                .formatted(shares.size(), edges.size() + 2, edges.size() + 1));
      }
      if (!(tolerance > 0 && tolerance < 1)) {
        throw new IllegalArgumentException("tolerance: " + tolerance + " is not above 0 and below 1");
      }
      double sum = 0;
      for (double share : shares) {
        if (!(share >= 0 && share <= 1)) {
          throw new IllegalArgumentException("shares: " + share + " is not between 0 and 1");
        }
        sum += share;
      }
      if (Math.abs(sum - 1) > 0.01) {
        throw new IllegalArgumentException("shares: they add up to %s, expected 1".formatted(sum));
      }
    }

    @Override
    public String name() {
      return "drift-of-" + feature + "-bins";
    }

    /// The bin of a value, as an observation's value.
    public double measure(double value) {
      if (Double.isNaN(value)) {
        return edges.size() + 1;
      }
      int bin = 0;
      while (bin < edges.size() && value >= edges.get(bin)) {
        bin++;
      }
      return bin;
    }

    /// The most of each bin that is no drift.
    public double[] limits() {
      return shares.stream().mapToDouble(share -> Math.min(1, share + tolerance)).toArray();
    }
  }

  // --- the rest ---------------------------------------------------------------------------------------------------------

  /// Requests reach the candidate as often as the weight says. If not, the comparison itself is broken: the rollout holds.
  record SampleRatio() implements StopRule {
    @Override
    public String name() {
      return "sample-ratio";
    }

    @Override
    public Scope scope() {
      return Scope.OVERALL;
    }

    @Override
    public Action action() {
      return Action.HOLD;
    }
  }

  /// A hard bound, without statistics: the rollout stops when there would be more than `most`.
  record Cap(Bounded bounded, long most) implements StopRule {
    private static final long KEYS_MAX = 100_000;

    /// What can be bounded, within one step of the plan.
    public enum Bounded {
      /// Requests answered by the candidate.
      REQUESTS("max-requests"),
      /// Calls that the candidate failed.
      FAILURES("max-failures"),
      /// Sticky keys that met the candidate. Some share a bit of what remembers them: of 4,000 keys one in a thousand, of 100,000
      /// one in forty.
      KEYS("max-keys"),
      /// Milliseconds that the candidate ran for callers.
      RUN_MILLIS("max-run-time");

      private final String label;

      Bounded(String label) {
        this.label = label;
      }
    }

    public Cap {
      if (most < 1 || (bounded == Bounded.KEYS && most > KEYS_MAX)) {
        throw new IllegalArgumentException(
            "%s: %d is not at least 1%s".formatted(bounded.label, most, bounded == Bounded.KEYS ? " and at most " + KEYS_MAX : ""));
      }
    }

    @Override
    public String name() {
      return bounded.label;
    }

    @Override
    public Scope scope() {
      return Scope.OVERALL;
    }
  }

  /// The runtime that the candidate runs on breaks down, or the process dies while it runs the candidate.
  record Crash() implements StopRule {
    @Override
    public String name() {
      return "crash";
    }

    @Override
    public Scope scope() {
      return Scope.OVERALL;
    }
  }

  private static void checkLimit(double limit) {
    if (!(limit > 0 && limit <= LimitTest.LIMIT_MAX)) {
      throw new IllegalArgumentException(
          "limit: %s %% is not above 0 %% and at most %s %%".formatted(limit * 100, LimitTest.LIMIT_MAX * 100));
    }
  }

  private static void checkMargin(double margin) {
    if (!(margin >= 1 && margin <= 100)) {
      throw new IllegalArgumentException("margin: " + margin + " is not between 1 and 100");
    }
  }

  private static String duration(long nanos) {
    return nanos % 1_000_000 == 0
        ? nanos / 1_000_000 + "ms"
        : nanos % 1_000 == 0 ? nanos / 1_000 + "us" : nanos + "ns";
  }
}
