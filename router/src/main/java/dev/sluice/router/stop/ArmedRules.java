package dev.sluice.router.stop;

import dev.sluice.router.assignment.Segments;
import dev.sluice.router.statistics.BoundaryTable;
import dev.sluice.router.statistics.GridLikelihoodRatio;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The stop rules of one rollout, compiled when its note is armed: every rule in every place where it holds, each with its
/// boundary table.
///
/// One alpha bounds the chance of a false alarm over the whole life of the rollout, all rules, places and looks together. Half
/// of it goes to the rules over all traffic and half to the rules in segments (all of it where only one kind exists), in equal
/// parts. A rule with the share w fires at evidence 1 / (alpha x w): a union bound, valid under any dependence between rules.
/// Its price is logarithmic: a thousand places cost about twice the observations of one.
public final class ArmedRules {

  /// The most rules in a note.
  public static final int RULES_MAX = 32;

  private final List<StopRule> rules;
  private final double alpha;
  private final List<ArmedRule> armed;
  private final @Nullable ArmedRule[] byPlace;

  public ArmedRules(List<StopRule> rules, double alpha, Segments segments) {
    if (rules.size() > RULES_MAX) {
      throw new IllegalArgumentException("%d stop rules, at most %d allowed".formatted(rules.size(), RULES_MAX));
    }
    if (!(alpha > 0 && alpha <= 0.1)) {
      throw new IllegalArgumentException("alpha: " + alpha + " is not above 0 and at most 0.1");
    }
    this.rules = List.copyOf(rules);
    this.alpha = alpha;
    int overall = (int) rules.stream().filter(rule -> holdsOverall(rule, segments)).count();
    int each = (int) rules.stream().filter(rule -> holdsInSegments(rule, segments)).count();
    double overallShare = overall == 0 ? 0 : (each == 0 ? 1.0 : 0.5) / overall;
    double segmentShare = each == 0 ? 0 : (overall == 0 ? 1.0 : 0.5) / each / segments.count();
    Map<String, BoundaryTable> tables = new HashMap<>();
    List<ArmedRule> all = new ArrayList<>();
    this.byPlace = new ArmedRule[rules.size() * (segments.count() + 1)];
    for (int r = 0; r < rules.size(); r++) {
      StopRule rule = rules.get(r);
      for (int segment = ArmedRule.OVERALL; segment < segments.count(); segment++) {
        boolean everywhere = segment == ArmedRule.OVERALL;
        if (everywhere ? holdsOverall(rule, segments) : holdsInSegments(rule, segments)) {
          double share = everywhere ? overallShare : segmentShare;
          BoundaryTable table =
              tables.computeIfAbsent(
                  rule.limit() + "/" + share,
                  _ -> new BoundaryTable(new GridLikelihoodRatio(rule.limit()), 1 / (alpha * share)));
          ArmedRule armedRule = new ArmedRule(r, segment, share, table);
          all.add(armedRule);
          byPlace[place(r, segment)] = armedRule;
        }
      }
    }
    this.armed = List.copyOf(all);
  }

  public List<StopRule> rules() {
    return rules;
  }

  public double alpha() {
    return alpha;
  }

  /// Every rule in every place where it holds.
  public List<ArmedRule> armed() {
    return armed;
  }

  /// The rule at work in a segment or [ArmedRule#OVERALL], or null if it does not hold there on its own.
  public @Nullable ArmedRule armed(int rule, int segment) {
    return byPlace[place(rule, segment)];
  }

  private int place(int rule, int segment) {
    return (segment + 1) * rules.size() + rule;
  }

  /// Without declared segments, `other` is all traffic: a rule for each segment then holds overall.
  private static boolean holdsOverall(StopRule rule, Segments segments) {
    return rule.scope() != Scope.EACH || !segments.anyDeclared();
  }

  private static boolean holdsInSegments(StopRule rule, Segments segments) {
    return rule.scope() != Scope.OVERALL && segments.anyDeclared();
  }
}
