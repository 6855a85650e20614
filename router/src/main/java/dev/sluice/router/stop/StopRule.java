package dev.sluice.router.stop;

import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.statistics.GridLikelihoodRatio;

/// A promise about the candidate with a number: of the events of one kind, at most `limit` are bad.
///
/// A rule says which events it counts and which observations are bad ones. Whether the bad ones are too many is the business
/// of its boundary table. **A new rule is a new record here** (and a line in the note's reader).
public sealed interface StopRule {

  /// What people, notes and metrics call the rule.
  String name();

  /// The allowed rate of bad events.
  double limit();

  Scope scope();

  Counted counted();

  boolean isBad(Observation observation);

  /// Where a rule holds.
  enum Scope {
    /// Over all traffic together.
    OVERALL,
    /// In each segment on its own, `other` included.
    EACH,
    /// Both.
    ALL
  }

  /// The events that a rule is a rate of, counted when they are dispatched.
  enum Counted {
    /// Requests that the candidate ran, live or as shadow.
    CANDIDATE_CALLS,
    /// Live requests assigned to the candidate.
    CANDIDATE_ASSIGNMENTS,
    /// Requests that both variants ran.
    COMPARISONS
  }

  /// The candidate fails where the baseline does not.
  record ErrorRate(double limit, Scope scope) implements StopRule {
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
    public boolean isBad(Observation observation) {
      return observation instanceof Observation.Failed failed && failed.variant() == Variant.CANDIDATE;
    }
  }

  /// The baseline has to answer in the candidate's place.
  record FallbackRate(double limit, Scope scope) implements StopRule {
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
    public boolean isBad(Observation observation) {
      return observation instanceof Observation.FellBack;
    }
  }

  /// The candidate's answer differs from the baseline's by more than the note allows.
  record DisagreementRate(double limit, Scope scope) implements StopRule {
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
    public boolean isBad(Observation observation) {
      return observation instanceof Observation.Compared compared && compared.disagreement().disagrees();
    }
  }

  /// The candidate takes longer than `overNanos`. A call that was given up on is known to have taken at least that long.
  record LatencyOver(long overNanos, double limit, Scope scope) implements StopRule {
    public LatencyOver {
      checkLimit(limit);
      if (overNanos <= 0) {
        throw new IllegalArgumentException("latency-over: " + overNanos + " ns is not above 0");
      }
    }

    @Override
    public String name() {
      return "latency-over-"
          + (overNanos % 1_000_000 == 0
              ? overNanos / 1_000_000 + "ms"
              : overNanos % 1_000 == 0 ? overNanos / 1_000 + "us" : overNanos + "ns");
    }

    @Override
    public Counted counted() {
      return Counted.CANDIDATE_CALLS;
    }

    @Override
    public boolean isBad(Observation observation) {
      return switch (observation) {
        case Observation.Answered answered ->
            answered.variant() == Variant.CANDIDATE && answered.latencyNanos() > overNanos;
        case Observation.Failed failed -> failed.variant() == Variant.CANDIDATE && failed.latencyNanos() >= overNanos;
        case Observation.FellBack _, Observation.Compared _ -> false;
      };
    }
  }

  private static void checkLimit(double limit) {
    if (!(limit > 0 && limit <= GridLikelihoodRatio.LIMIT_MAX)) {
      throw new IllegalArgumentException(
          "limit: %s %% is not above 0 %% and at most %s %%"
              .formatted(limit * 100, GridLikelihoodRatio.LIMIT_MAX * 100));
    }
  }
}
