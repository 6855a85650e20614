package dev.sluice.router.stop;

import dev.sluice.router.assignment.Segments;
import dev.sluice.router.statistics.BinTest;
import dev.sluice.router.statistics.EProcess;
import dev.sluice.router.statistics.LimitTest;
import dev.sluice.router.statistics.MeanTest;
import dev.sluice.router.statistics.RatioTest;
import dev.sluice.router.statistics.ShareTest;
import dev.sluice.router.statistics.ShiftTest;
import dev.sluice.router.statistics.SignTest;
import dev.sluice.router.stop.StopRule.Action;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The stop rules of one rollout, compiled when its note is armed: every test of every rule in every place where it holds.
///
/// **One budget.** One alpha bounds the chance of a false alarm over the whole life of the rollout: all rules, places and
/// looks together. Half of it goes to the rules over all traffic, three tenths to the declared segments and two tenths to the
/// segments found on the way (what a rollout lacks is spread over the rest). Within a group rules have equal parts; the j-th
/// segment found has 6 / (pi^2 j^2) of its group's, so that their number needs no bound known in advance. The shares w_j of
/// all tests add up to at most 1.
///
/// **Together, not one by one.** The rollout stops when the weighted evidence, sum of w_j x E_j over the tests of one clock,
/// reaches 1 / alpha. A weighted mean of e-processes is an e-process under any dependence (Vovk and Wang, "E-values:
/// calibration, combination and applications", Annals of Statistics 49 (2021)); one test that reaches 1 / (alpha x w_j) does it
/// alone, and several that have each heard something do it together. Clocks are not averaged but bounded one by one: see
/// [StopRule.Clock]. The price of many places is logarithmic: a thousand cost about twice the observations of one.
///
/// Rules that hold a rollout instead of stopping it have a budget of their own, of the same size.
public final class ArmedRules {

  /// The most rules in a note.
  public static final int RULES_MAX = 32;

  private static final double OVERALL_SHARE = 0.5;
  private static final double DECLARED_SHARE = 0.3;
  private static final double DISCOVERED_SHARE = 0.2;

  private final List<StopRule> rules;
  private final double alpha;
  private final Segments segments;
  private final List<ArmedRule> armed = new ArrayList<>();

  /// By place: overall first, then the segments, then those that may yet be found.
  private final List<List<ArmedRule>> byPlace = new ArrayList<>();

  private int stateSize;

  /// @param alpha what this attempt may spend, see [#alphaOfAttempt]
  public ArmedRules(List<StopRule> rules, double alpha, Segments segments) {
    if (rules.size() > RULES_MAX) {
      throw new IllegalArgumentException("%d stop rules, at most %d allowed".formatted(rules.size(), RULES_MAX));
    }
    checkAlpha(alpha);
    this.rules = List.copyOf(rules);
    this.alpha = alpha;
    this.segments = segments;
    for (int place = 0; place <= segments.capacity(); place++) {
      byPlace.add(new ArrayList<>());
    }
    arm();
  }

  public static void checkAlpha(double alpha) {
    if (!(alpha > 0 && alpha < 0.5)) {
      throw new IllegalArgumentException("alpha: " + alpha + " is not above 0 and below 0.5");
    }
  }

  /// The alpha of one of several attempts to release the same candidate. All attempts together, however many there are, spend
  /// no more than `alpha`: the k-th has alpha x 6 / (pi^2 k^2).
  ///
  /// @param attempt from 1
  public static double alphaOfAttempt(double alpha, int attempt) {
    return attempt == 1 ? alpha * FIRST_ATTEMPT : alpha * (1 - FIRST_ATTEMPT) * shareOf(attempt - 1);
  }

  /// Most rollouts are the only attempt, and should not pay for others that never come.
  private static final double FIRST_ATTEMPT = 0.95;

  /// 6 / (pi^2 j^2): adds up to 1 over all j from 1.
  private static double shareOf(int j) {
    return 6 / (Math.PI * Math.PI * j * j);
  }

  private void arm() {
    long overall = rules.stream().filter(rule -> spends(rule) && holdsOverall(rule)).count();
    long each = segments.anyDeclared() ? rules.stream().filter(rule -> spends(rule) && holdsInSegments(rule)).count() : 0;
    long found =
        segments.capacity() > segments.declaredAndOther()
            ? rules.stream().filter(rule -> spends(rule) && holdsInSegments(rule)).count()
            : 0;
    double all =
        (overall > 0 ? OVERALL_SHARE : 0) + (each > 0 ? DECLARED_SHARE : 0) + (found > 0 ? DISCOVERED_SHARE : 0);
    long holding = rules.stream().filter(rule -> rule.action() == Action.HOLD).count();
    for (int r = 0; r < rules.size(); r++) {
      StopRule rule = rules.get(r);
      // One for all places: a test is a table, what it has learnt is elsewhere.
      List<EProcess> tests = tests(rule);
      if (rule.action() == Action.HOLD) {
        add(rule, tests, r, ArmedRule.OVERALL, 1.0 / holding);
        continue;
      }
      if (!spends(rule)) {
        continue;
      }
      if (holdsOverall(rule)) {
        add(rule, tests, r, ArmedRule.OVERALL, OVERALL_SHARE / all / overall);
      }
      if (!holdsInSegments(rule)) {
        continue;
      }
      for (int segment = 0; segment < segments.capacity(); segment++) {
        if (segment >= segments.declaredAndOther()) {
          int j = segment - segments.declaredAndOther() + 1;
          add(rule, tests, r, segment, DISCOVERED_SHARE / all / found * shareOf(j));
        } else if (segments.anyDeclared()) {
          add(rule, tests, r, segment, DECLARED_SHARE / all / each / segments.declaredAndOther());
        }
      }
    }
  }

  private void add(StopRule rule, List<EProcess> tests, int index, int segment, double share) {
    for (int part = 0; part < tests.size(); part++) {
      // The baseline's own drift is watched beside the candidate's; it stops nothing.
      double partShare = rule instanceof StopRule.DriftRule ? (part == 0 ? share : 0) : share / tests.size();
      ArmedRule test = new ArmedRule(index, part, segment, partShare, tests.get(part), stateSize);
      stateSize += tests.get(part).size();
      armed.add(test);
      byPlace.get(segment + 1).add(test);
    }
  }

  private static List<EProcess> tests(StopRule rule) {
    return switch (rule) {
      case StopRule.LimitRule r -> List.of(new LimitTest(r.limit()));
      case StopRule.ErrorRatio r -> List.of(new RatioTest(r.margin()));
      case StopRule.LatencyRatio r -> java.util.Collections.nCopies(r.parts(), new RatioTest(r.margin(), RatioTest.LATENCY_FACTORS));
      case StopRule.PairRule _ -> List.of(new SignTest());
      case StopRule.MeanRule r -> List.of(new MeanTest(r.limit(), r.low(), r.high()));
      case StopRule.MeanDrift r -> List.of(new ShiftTest(r.tolerance()), new ShiftTest(r.tolerance()));
      case StopRule.BinDrift r -> List.of(new BinTest(r.limits()), new BinTest(r.limits()));
      case StopRule.SampleRatio _ -> List.of(new ShareTest());
      case StopRule.Cap _, StopRule.Crash _ -> List.of();
    };
  }

  /// Whether a rule spends alpha: caps and crashes are certain.
  private static boolean spends(StopRule rule) {
    return rule.action() == Action.STOP && !(rule instanceof StopRule.Cap) && !(rule instanceof StopRule.Crash);
  }

  /// Without declared segments, `other` is all traffic: a rule for each segment then holds overall.
  private boolean holdsOverall(StopRule rule) {
    return rule.scope() != Scope.EACH || !segments.anyDeclared();
  }

  private static boolean holdsInSegments(StopRule rule) {
    return rule.scope() != Scope.OVERALL;
  }

  public List<StopRule> rules() {
    return rules;
  }

  public Segments segments() {
    return segments;
  }

  public double alpha() {
    return alpha;
  }

  /// The weighted evidence at which the rollout stops.
  public double threshold() {
    return 1 / alpha;
  }

  /// Every test in every place where it holds.
  public List<ArmedRule> armed() {
    return armed;
  }

  /// The tests at work in a segment or [ArmedRule#OVERALL].
  public List<ArmedRule> in(int segment) {
    return byPlace.get(segment + 1);
  }

  /// The first test of a rule in a segment or [ArmedRule#OVERALL]; null if the rule does not hold there on its own.
  public @Nullable ArmedRule armed(int rule, int segment) {
    for (ArmedRule test : in(segment)) {
      if (test.rule() == rule) {
        return test;
      }
    }
    return null;
  }

  /// The doubles that the states of all tests need.
  public int stateSize() {
    return stateSize;
  }
}
