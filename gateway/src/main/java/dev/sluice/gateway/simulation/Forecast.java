package dev.sluice.gateway.simulation;

import dev.sluice.gateway.simulation.Simulation.Spread;
import dev.sluice.gateway.simulation.Timeline.Reach;
import dev.sluice.gateway.simulation.Timeline.Unit;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.rollout.Acceptance;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.Step;
import dev.sluice.router.statistics.BinTest;
import dev.sluice.router.statistics.LimitTest;
import dev.sluice.router.statistics.MeanTest;
import dev.sluice.router.statistics.RatioTest;
import dev.sluice.router.statistics.ShiftTest;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// What a note's rules can be expected to see, and when: each test by itself, at the threshold at which it stops the rollout alone.
/// Together they are a little faster.
public final class Forecast {

  /// The numbers of bad events for which boundaries are listed.
  private static final int[] BAD = {2, 3, 4, 5, 6, 8, 10, 20, 50};

  /// Updates of tests that a forecast costs at most: some seconds.
  private static final double UPDATES = 80e6;

  /// Most rules are asked about so many effects.
  private static final int EFFECTS_EACH = 4;

  private static final double[] LIMIT_FACTORS = {2, 5, 10};
  private static final double[] RATIO_FACTORS = {2, 5, 10};
  private static final double[] SLOWER = {1.1, 1.25, 1.5, 2};
  private static final double[] PAIRS_SLOWER = {1.1, 1.25, 2};
  private static final double[] PAIRS_FAILING = {0.005, 0.05, 0.5};
  private static final double[] DISAGREEING = {0.02, 0.05, 0.1, 0.5};
  private static final double[] MEAN_FACTORS = {1.25, 2, 5};
  private static final double[] LOSSES = {0.01, 0.05, 0.1};
  private static final double[] SHIFTS = {0.25, 0.5, 1};
  private static final double[] TOLERANCES = {2, 4};
  private static final double[] ODDS = {1.1, 1.5, 2};

  /// Of the logarithm of the ratio of two runs of one request.
  private static final double PAIR_SPREAD = Math.sqrt(2) * Behaviour.LATENCY_NOISE;

  private static final double LOSS_SPREAD = 0.15;

  /// More remarks than this are not read.
  private static final int REMARKS_MAX = 40;

  /// @param name what the places have in common
  /// @param alpha the chance that the tests in them stop a healthy candidate, at most
  public record Group(String name, double alpha) {}

  /// @param step from 1
  /// @param millis that the step takes; null if it never ends
  /// @param because of what it takes that long
  public record StepTime(int step, int weightBasisPoints, int shadowBasisPoints, @Nullable Long millis, String because) {}

  /// @param bad so many bad events stop the rollout when they are among so many events or fewer
  public record Boundary(long bad, long events) {}

  /// @param effect what is wrong with the candidate
  /// @param observations until the stop, in the rule's unit; null if more than could be tried
  /// @param candidateRequests that the candidate runs meanwhile, live or as copies
  /// @param millis that this takes by the plan; null without traffic
  /// @param inPlan whether half of such candidates are stopped before the plan's last step ends
  public record Detected(
      String effect, @Nullable Spread observations, @Nullable Spread candidateRequests, @Nullable Spread millis, boolean inPlan) {}

  /// One rule in one place, or in several that are alike.
  ///
  /// @param alpha what it may spend there
  /// @param threshold the evidence at which it stops the rollout alone
  /// @param unit of its observations
  public record Rule(
      String rule, String action, String place, double alpha, double threshold, String unit, List<Boundary> boundaries,
      List<Detected> detects) {}

  /// @param alpha of the first attempt
  /// @param planMillis until the last step ends; null without traffic, and when some step never ends
  /// @param certain rules that need no statistics
  /// @param cannotSee what the plan leaves no time for
  public record Report(
      String rollout, double alpha, List<Group> groups, List<StepTime> steps, @Nullable Long planMillis, List<Rule> rules,
      List<String> certain, List<String> cannotSee, List<String> remarks) {}

  private final RolloutNote note;
  private final ArmedRules armed;
  private final @Nullable World world;
  private final Behaviour baseline;
  private final Detection detection;
  private final @Nullable Timeline timeline;
  private final List<String> cannotSee = new ArrayList<>();
  private final Map<String, List<Detected>> tried = new HashMap<>();

  private Forecast(RolloutNote note, @Nullable World world, Behaviour baseline, long seed) {
    this.note = note;
    this.armed = note.arm(1);
    this.world = world;
    this.baseline = baseline;
    long questions =
        armed.armed().stream().filter(this::isShown).map(test -> test.rule() + " " + test.share()).distinct().count()
            * EFFECTS_EACH;
    this.detection = new Detection(UPDATES, (int) questions + note.steps().size(), seed);
    this.timeline = world == null ? null : Timeline.of(note, world, detection, baseline);
  }

  /// @param world null: nothing is said about time
  /// @param baseline what candidates are held against
  public static Report of(RolloutNote note, @Nullable World world, Behaviour baseline, long seed) {
    return new Forecast(note, world, baseline, seed).report();
  }

  private Report report() {
    List<Rule> rules = new ArrayList<>();
    Map<String, List<ArmedRule>> alike = new LinkedHashMap<>();
    for (ArmedRule test : armed.armed()) {
      if (isShown(test)) {
        alike.computeIfAbsent(test.rule() + " " + alphaOf(test) + " " + trafficShare(test.segment()), _ -> new ArrayList<>())
            .add(test);
      }
    }
    alike.values().forEach(tests -> rules.add(rule(tests)));
    List<String> certain =
        note.stopRules().stream()
            .filter(rule -> rule instanceof StopRule.Cap || rule instanceof StopRule.Crash)
            .map(rule -> rule instanceof StopRule.Cap cap ? rule.name() + ": " + cap.most() + " in one step" : rule.name())
            .toList();
    return new Report(
        note.name(), armed.alpha(), groups(), timeline == null ? List.of() : timeline.steps(),
        timeline == null ? null : timeline.millis(), rules, certain,
        cannotSee.size() <= REMARKS_MAX ? cannotSee : firstRemarks(), remarks());
  }

  private List<String> firstRemarks() {
    List<String> first = new ArrayList<>(cannotSee.subList(0, REMARKS_MAX));
    first.add("and %,d more of this kind".formatted(cannotSee.size() - REMARKS_MAX));
    return first;
  }

  // --- places ---------------------------------------------------------------------------------------------------------

  private boolean isShown(ArmedRule test) {
    return test.part() == 0 && (isNamed(test.segment()) || isFirstOrLastFound(test.segment()));
  }

  private boolean isNamed(int segment) {
    return segment < armed.segments().declaredAndOther();
  }

  private boolean isFirstOrLastFound(int segment) {
    return segment == armed.segments().declaredAndOther() || segment == armed.segments().capacity() - 1;
  }

  private String place(int segment) {
    if (segment == ArmedRule.OVERALL) {
      return "all traffic";
    }
    Segments segments = armed.segments();
    return isNamed(segment)
        ? segments.name(segment)
        : "%s found as number %d".formatted(segments.discovered(), segment - segments.declaredAndOther() + 1);
  }

  /// The share of the traffic in a place; not a number where nobody has said.
  private double trafficShare(int segment) {
    if (segment == ArmedRule.OVERALL) {
      return 1;
    }
    return world == null || !isNamed(segment) ? Double.NaN : world.share(armed.segments().name(segment));
  }

  private double alphaOf(ArmedRule test) {
    return armed.alpha() * shareOf(test);
  }

  /// Of all parts of its rule together.
  private double shareOf(ArmedRule test) {
    return armed.in(test.segment()).stream()
        .filter(part -> part.rule() == test.rule())
        .mapToDouble(ArmedRule::share)
        .sum();
  }

  private List<Group> groups() {
    Map<String, Double> alphas = new LinkedHashMap<>();
    for (ArmedRule test : armed.armed()) {
      boolean holds = armed.rules().get(test.rule()).action() == StopRule.Action.HOLD;
      String group =
          holds
              ? "rules that hold instead of stopping"
              : test.segment() == ArmedRule.OVERALL
                  ? "all traffic"
                  : isNamed(test.segment()) ? "declared segments and other" : "segments found on the way";
      alphas.merge(group, armed.alpha() * test.share(), Double::sum);
    }
    return alphas.entrySet().stream().map(entry -> new Group(entry.getKey(), entry.getValue())).toList();
  }

  // --- rules ----------------------------------------------------------------------------------------------------------

  private Rule rule(List<ArmedRule> places) {
    ArmedRule test = places.getFirst();
    StopRule rule = armed.rules().get(test.rule());
    double threshold = armed.threshold() / shareOf(test);
    String place =
        places.size() <= 4
            ? places.stream().map(p -> place(p.segment())).collect(Collectors.joining(", "))
            : place(test.segment()) + " and " + (places.size() - 1) + " more";
    Unit unit = unit(rule);
    List<Detected> detects =
        tried.computeIfAbsent(test.rule() + " " + threshold, _ -> detects(rule, test, threshold)).stream()
            .map(detected -> timed(detected, unit, trafficShare(test.segment()), rule.name(), place))
            .toList();
    List<Boundary> boundaries =
        test.test() instanceof LimitTest limit
            ? IntStream.of(BAD).mapToObj(bad -> new Boundary(bad, limit.boundary(bad, threshold))).toList()
            : List.of();
    return new Rule(
        rule.name(), rule.action() == StopRule.Action.HOLD ? "hold" : "stop", place, alphaOf(test), threshold, unit.label(),
        boundaries, detects);
  }

  private static Unit unit(StopRule rule) {
    return switch (rule) {
      case StopRule.LimitRule limit ->
          switch (limit.counted()) {
            case CANDIDATE_CALLS -> Unit.CANDIDATE_CALLS;
            case CANDIDATE_ASSIGNMENTS -> Unit.CANDIDATE_ASSIGNMENTS;
            case COMPARISONS -> Unit.PAIRS;
          };
      case StopRule.RatioRule _, StopRule.SampleRatio _ -> Unit.SPLIT_REQUESTS;
      case StopRule.PairedErrors _, StopRule.ScoreDifference _ -> Unit.PAIRS;
      case StopRule.PairedLatency _, StopRule.NoiseFloor _ -> Unit.REPEATS;
      case StopRule.Calibration _ -> Unit.LABELS;
      case StopRule.MeanCost _, StopRule.DriftRule _, StopRule.Cap _, StopRule.Crash _ -> Unit.CANDIDATE_CALLS;
    };
  }

  private Detected timed(Detected detected, Unit unit, double share, String rule, String place) {
    Spread seen = detected.observations();
    Spread requests = seen == null ? null : unit.candidateRequests(seen, note);
    if (timeline == null || Double.isNaN(share)) {
      return new Detected(detected.effect(), seen, requests, null, detected.inPlan());
    }
    Reach median = seen == null ? null : timeline.reach(seen.median(), unit, share);
    Reach p95 = seen == null || seen.p95() == Long.MAX_VALUE ? null : timeline.reach(seen.p95(), unit, share);
    boolean inPlan = median != null && median.inPlan();
    if (!inPlan) {
      cannotSee.add(
          "%s in %s: %s needs %s"
              .formatted(
                  rule, place, detected.effect(),
                  seen == null
                      ? "more %s than could be tried".formatted(unit.label())
                      : "%,d %s there, %s".formatted(
                          seen.median(), unit.label(),
                          median == null ? "and the plan makes none" : Timeline.time(median.millis()) + " from the beginning")));
    }
    return new Detected(
        detected.effect(), seen, requests,
        median == null ? null : new Spread(median.millis(), p95 == null ? Long.MAX_VALUE : p95.millis()), inPlan);
  }

  private List<Detected> detects(StopRule rule, ArmedRule test, double threshold) {
    List<Detected> all = new ArrayList<>();
    switch (rule) {
      case StopRule.LimitRule limit -> {
        for (double factor : LIMIT_FACTORS) {
          if (factor * limit.limit() < 1) {
            add(all, percent(factor * limit.limit()) + " bad", () ->
                detection.limit((LimitTest) test.test(), threshold, factor * limit.limit()));
          }
        }
        add(all, "100 % bad", () -> detection.limit((LimitTest) test.test(), threshold, 1));
      }
      case StopRule.ErrorRatio ratio -> {
        for (double factor : RATIO_FACTORS) {
          double failing = factor * baseline.failing();
          if (factor > ratio.margin() && failing > 0 && failing <= 1) {
            add(all, "%s failing, x%s".formatted(percent(failing), decimal(factor)), () ->
                detection.ratio((RatioTest) test.test(), threshold, baseline.failing(), failing, splitShare()));
          }
        }
      }
      case StopRule.LatencyRatio ratio -> {
        double[] exceeded = ratio.quantiles().stream().mapToDouble(q -> 1 - q).toArray();
        for (double factor : SLOWER) {
          double[] slower = ratio.quantiles().stream().mapToDouble(q -> slower(q, factor)).toArray();
          add(all, "latency x" + decimal(factor), () ->
              detection.latencies((RatioTest) test.test(), threshold, exceeded, slower, splitShare()));
        }
      }
      case StopRule.PairedErrors _ -> {
        for (double failing : PAIRS_FAILING) {
          add(all, percent(failing) + " failing", () ->
              detection.sign(threshold, failing * (1 - baseline.failing()), baseline.failing() * (1 - failing)));
        }
      }
      case StopRule.PairedLatency paired -> {
        for (double factor : PAIRS_SLOWER) {
          if (factor > 1 + paired.margin()) {
            double against = DescribedCalls.normal(Math.log(factor / (1 + paired.margin())) / PAIR_SPREAD);
            add(all, "latency +" + percent(factor - 1), () -> detection.sign(threshold, against, 1 - against));
          }
        }
      }
      case StopRule.NoiseFloor _ -> {
        double noise = baseline.disagreeing();
        for (double more : DISAGREEING) {
          double disagreeing = Math.min(1, noise + more);
          add(all, "%s disagreeing, the baseline %s".formatted(percent(disagreeing), percent(noise)), () ->
              detection.sign(threshold, disagreeing * (1 - noise), noise * (1 - disagreeing)));
        }
      }
      case StopRule.Calibration calibration -> {
        for (double more : LOSSES) {
          double loss = calibration.limit() + more;
          add(all, "loss " + decimal(loss) + " above the baseline's", () ->
              detection.mean((MeanTest) test.test(), threshold, random -> loss + LOSS_SPREAD * random.nextGaussian()));
        }
      }
      case StopRule.MeanRule mean -> {
        for (double factor : MEAN_FACTORS) {
          double value = factor * mean.limit();
          if (value <= 0.5) {
            // Spread evenly from nothing to twice the mean.
            add(all, "mean x" + decimal(factor) + " the limit", () ->
                detection.mean((MeanTest) test.test(), threshold, random -> 2 * value * random.nextDouble()));
          }
        }
      }
      case StopRule.MeanDrift drift -> {
        for (double more : SHIFTS) {
          add(all, "mean shifted by " + decimal(drift.tolerance() + more) + " deviations", () ->
              detection.shift((ShiftTest) test.test(), threshold, drift.tolerance() + more));
        }
      }
      case StopRule.BinDrift drift -> {
        int rare = rarest(drift);
        int common = IntStream.range(0, drift.shares().size())
            .filter(bin -> bin != rare)
            .boxed()
            .max(Comparator.comparing(drift.shares()::get))
            .orElse(0);
        for (double factor : TOLERANCES) {
          double share = drift.shares().get(rare) + factor * drift.tolerance();
          if (share <= 1) {
            add(all, "%s in a bin of %s".formatted(percent(share), percent(drift.shares().get(rare))), () ->
                detection.bins((BinTest) test.test(), threshold, rare, common, share));
          }
        }
      }
      case StopRule.SampleRatio _ -> {
        double planned = splitShare();
        for (double odds : ODDS) {
          double actual = odds * planned / (odds * planned + 1 - planned);
          add(all, "%s of the requests in place of %s".formatted(percent(actual), percent(planned)), () ->
              detection.share(threshold, planned, actual));
        }
      }
      case StopRule.Cap _, StopRule.Crash _ -> {}
    }
    return all;
  }

  private static void add(List<Detected> all, String effect, Supplier<@Nullable Spread> tried) {
    all.add(new Detected(effect, tried.get(), null, null, false));
  }

  private static int rarest(StopRule.BinDrift drift) {
    int rarest = 0;
    for (int bin = 1; bin < drift.shares().size(); bin++) {
      rarest = drift.shares().get(bin) < drift.shares().get(rarest) ? bin : rarest;
    }
    return rarest;
  }

  /// How often a log-normal latency that is longer by a factor exceeds what was its quantile.
  private static double slower(double quantile, double factor) {
    double at = 0;
    double step = 4;
    for (int i = 0; i < 60; i++) {
      at += DescribedCalls.normal(at) < quantile ? step : -step;
      step /= 2;
    }
    return 1 - DescribedCalls.normal(at - Math.log(factor) / Behaviour.LATENCY_SPREAD);
  }

  /// The candidate's share in the first step in which both versions answer.
  private double splitShare() {
    return note.steps().stream()
        .mapToInt(Step::weightBasisPoints)
        .filter(weight -> weight > 0 && weight < 10_000)
        .findFirst()
        .orElse(5_000) / 10_000.0;
  }

  // --- remarks --------------------------------------------------------------------------------------------------------

  private List<String> remarks() {
    List<String> remarks = new ArrayList<>();
    for (int step = 0; step < note.steps().size(); step++) {
      for (Acceptance acceptance : note.steps().get(step).until().accept()) {
        if (acceptance instanceof Acceptance.RateBelow(String name, double limit)) {
          double tightest =
              note.stopRules().stream()
                  .filter(rule -> rule instanceof StopRule.LimitRule && rule.name().equals(name))
                  .mapToDouble(rule -> ((StopRule.LimitRule) rule).limit())
                  .min()
                  .orElse(1);
          if (limit > tightest) {
            remarks.add(
                ("step %d accepts %s below %s, more than the %s at which the rule stops:"
                        + " it asks for enough requests, not for a better candidate")
                    .formatted(step + 1, name, percent(limit), percent(tightest)));
          }
        }
      }
    }
    return remarks;
  }

  private static String percent(double fraction) {
    return decimal(fraction * 100) + " %";
  }

  private static String decimal(double value) {
    return new BigDecimal(value).round(new MathContext(3)).stripTrailingZeros().toPlainString();
  }
}
