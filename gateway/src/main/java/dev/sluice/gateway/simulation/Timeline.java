package dev.sluice.gateway.simulation;

import dev.sluice.gateway.simulation.Forecast.StepTime;
import dev.sluice.gateway.simulation.Simulation.Spread;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.rollout.Acceptance;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.Step;
import dev.sluice.router.statistics.LimitAcceptance;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// When a healthy rollout is where, at the traffic that is expected.
final class Timeline {

  /// What rules count.
  enum Unit {
    CANDIDATE_CALLS("candidate requests") {
      @Override
      double perRequest(Step step, RolloutNote note) {
        return weight(step) + (1 - weight(step)) * shadow(step);
      }
    },
    CANDIDATE_ASSIGNMENTS("requests given to the candidate") {
      @Override
      double perRequest(Step step, RolloutNote note) {
        return weight(step);
      }
    },
    PAIRS("shadowed requests") {
      @Override
      double perRequest(Step step, RolloutNote note) {
        return shadow(step);
      }
    },
    REPEATS("repeated requests") {
      @Override
      double perRequest(Step step, RolloutNote note) {
        return (1 - weight(step)) * shadow(step) * note.repeatBasisPoints() / 10_000.0;
      }
    },
    LABELS("labelled pairs, if every pair gets one") {
      @Override
      double perRequest(Step step, RolloutNote note) {
        return shadow(step);
      }
    },
    SPLIT_REQUESTS("requests of callers while both answer") {
      @Override
      double perRequest(Step step, RolloutNote note) {
        return weight(step) > 0 && weight(step) < 1 ? 1 : 0;
      }
    };

    private final String label;

    Unit(String label) {
      this.label = label;
    }

    String label() {
      return label;
    }

    /// How many of these one request of a caller is, on the mean.
    abstract double perRequest(Step step, RolloutNote note);

    /// What the candidate runs meanwhile, in the first step that has such observations; null if none has.
    @Nullable Spread candidateRequests(Spread observations, RolloutNote note) {
      for (Step step : note.steps()) {
        double each = perRequest(step, note);
        if (each > 0) {
          double factor = CANDIDATE_CALLS.perRequest(step, note) / each;
          return new Spread(Math.round(observations.median() * factor),
              observations.p95() == Long.MAX_VALUE ? Long.MAX_VALUE : Math.round(observations.p95() * factor));
        }
      }
      return null;
    }

    private static double weight(Step step) {
      return step.weightBasisPoints() / 10_000.0;
    }

    private static double shadow(Step step) {
      return step.shadowBasisPoints() / 10_000.0;
    }
  }

  /// @param inPlan whether it is before the end of the last step
  record Reach(long millis, boolean inPlan) {}

  /// A year: what takes longer never happens.
  private static final double NEVER_MILLIS = 365 * 86_400_000.0;

  private final RolloutNote note;
  private final double perMilli;
  private final List<StepTime> steps = new ArrayList<>();

  private Timeline(RolloutNote note, double perMilli) {
    this.note = note;
    this.perMilli = perMilli;
  }

  static Timeline of(RolloutNote note, World world, Detection detection, Behaviour baseline) {
    Timeline timeline = new Timeline(note, world.traffic().perMilli());
    for (int step = 0; step < note.steps().size(); step++) {
      timeline.add(step, world, detection, baseline);
    }
    return timeline;
  }

  private void add(int index, World world, Detection detection, Behaviour baseline) {
    Step step = note.steps().get(index);
    double observedPerMilli =
        perMilli * (step instanceof Step.Shadow ? step.shadowBasisPoints() : step.weightBasisPoints()) / 10_000.0;
    double longest = step.until().millis();
    String because = longest > 0 ? "its minimum time" : "";
    double observations = step.until().observations() / observedPerMilli;
    if (observations > longest) {
      longest = observations;
      because = "%,d observations".formatted(step.until().observations());
    }
    for (SegmentRule segment : note.segments()) {
      double needed = step.until().observationsPerSegment() / (observedPerMilli * world.share(segment.name()));
      if (step.until().observationsPerSegment() > 0 && needed > longest) {
        longest = needed;
        because = "%,d observations in %s".formatted(step.until().observationsPerSegment(), segment.name());
      }
    }
    for (Acceptance acceptance : step.until().accept()) {
      double needed = millis(acceptance, index, detection, baseline);
      if (needed > longest) {
        longest = needed;
        because = name(acceptance);
      }
    }
    steps.add(
        new StepTime(
            index + 1, step.weightBasisPoints(), step.shadowBasisPoints(),
            longest < NEVER_MILLIS ? Math.round(longest) : null, because));
  }

  private static String name(Acceptance acceptance) {
    return switch (acceptance) {
      case Acceptance.RateBelow(String rule, double limit) ->
          "showing that %s is below %s %%".formatted(rule, Math.round(limit * 10_000_000) / 100_000.0);
      case Acceptance.ErrorRatioBelow(double margin) -> "showing that error-ratio is below " + margin;
    };
  }

  /// How long a step waits until something is shown of a candidate without a bad event, or that fails as often as the baseline.
  private double millis(Acceptance acceptance, int index, Detection detection, Behaviour baseline) {
    Step step = note.steps().get(index);
    Unit unit;
    double needed;
    switch (acceptance) {
      case Acceptance.RateBelow(String rule, double limit) -> {
        unit =
            switch (rule) {
              case "fallback-rate" -> Unit.CANDIDATE_ASSIGNMENTS;
              case "disagreement-rate" -> Unit.PAIRS;
              default -> Unit.CANDIDATE_CALLS;
            };
        needed = new LimitAcceptance(limit).completedNeeded(0, Acceptance.THRESHOLD);
      }
      case Acceptance.ErrorRatioBelow(double margin) -> {
        unit = Unit.SPLIT_REQUESTS;
        double share = step.weightBasisPoints() / 10_000.0;
        Spread requests =
            baseline.failing() > 0 && share > 0 && share < 1
                ? detection.ratioBelow(margin, Acceptance.THRESHOLD, baseline.failing(), share)
                : null;
        needed = requests == null ? Double.POSITIVE_INFINITY : requests.median();
      }
    }
    for (int before = 0; before < index; before++) {
      Long millis = steps.get(before).millis();
      needed -= millis == null ? 0 : millis * perMilli * unit.perRequest(note.steps().get(before), note);
    }
    double rate = perMilli * unit.perRequest(step, note);
    return needed <= 0 ? 0 : rate <= 0 ? NEVER_MILLIS : needed / rate + note.fallback().timeoutMillis();
  }

  List<StepTime> steps() {
    return steps;
  }

  /// All steps together; null if one never ends.
  @Nullable Long millis() {
    long all = 0;
    for (StepTime step : steps) {
      Long millis = step.millis();
      if (millis == null) {
        return null;
      }
      all += millis;
    }
    return all;
  }

  /// When so many observations have been made in a place with this share of the traffic: within the plan, or if it went on after its
  /// end with the step that makes most of them. Null if no step that is reached makes any.
  @Nullable Reach reach(long observations, Unit unit, double share) {
    double left = observations;
    double millis = 0;
    double fastest = 0;
    for (int i = 0; i < steps.size(); i++) {
      double rate = perMilli * share * unit.perRequest(note.steps().get(i), note);
      fastest = Math.max(fastest, rate);
      Long lasts = steps.get(i).millis();
      if (rate > 0 && (lasts == null || rate * lasts >= left)) {
        return new Reach(Math.round(millis + left / rate), true);
      }
      if (lasts == null) {
        return null;
      }
      left -= rate * lasts;
      millis += lasts;
    }
    return fastest <= 0 ? null : new Reach(Math.round(millis + left / fastest), false);
  }

  /// `12s`, `8.2m`, `9.1h`, `3.4d`.
  static String time(long millis) {
    double seconds = millis / 1e3;
    if (seconds < 120) {
      return String.format(Locale.ROOT, seconds < 10 ? "%.1fs" : "%.0fs", seconds);
    }
    double hours = seconds / 3_600;
    return hours < 2
        ? String.format(Locale.ROOT, "%.0fm", seconds / 60)
        : String.format(Locale.ROOT, hours < 48 ? "%.1fh" : "%.1fd", hours < 48 ? hours : hours / 24);
  }
}
