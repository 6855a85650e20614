package dev.sluice.router.simulation;

import dev.sluice.router.simulation.Detection.Delays;
import dev.sluice.router.simulation.Detection.Traffic;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.BinDrift;
import dev.sluice.router.stop.StopRule.Calibration;
import dev.sluice.router.stop.StopRule.DisagreementRate;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.ErrorRatio;
import dev.sluice.router.stop.StopRule.FallbackRate;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.LatencyOver;
import dev.sluice.router.stop.StopRule.LatencyRatio;
import dev.sluice.router.stop.StopRule.MeanCost;
import dev.sluice.router.stop.StopRule.MeanDrift;
import dev.sluice.router.stop.StopRule.NoiseFloor;
import dev.sluice.router.stop.StopRule.PairedErrors;
import dev.sluice.router.stop.StopRule.PairedLatency;
import dev.sluice.router.stop.StopRule.SampleRatio;
import dev.sluice.router.stop.StopRule.Scope;
import dev.sluice.router.stop.StopRule.ScoreDifference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// One kind of bad candidate, the rule that is to notice it, and what a simulation of the bare formula by others gave.
///
/// @param truth what is wrong, for people
/// @param unit what is counted
/// @param weight of the candidate, basis points
/// @param goodFirst so many good ones come before
/// @param reference the median that was published or simulated for such a test; 0 for none
/// @param medianMost what the project promises; 0 for no promise
/// @param p95Most likewise
record DetectionRow(
    StopRule rule, String truth, String unit, int weight, long goodFirst, Traffic before, Traffic traffic, long most,
    long reference, long medianMost, long p95Most) {

  private static final Feature AGE = new Feature("age", true, 0);
  private static final long MILLISECOND = 1_000_000;
  private static final String CANDIDATES = "candidate requests";

  private static DetectionRow row(StopRule rule, String truth, String unit, int weight, Traffic traffic, long most, long reference) {
    return new DetectionRow(rule, truth, unit, weight, 0, traffic, traffic, most, reference, 0, 0);
  }

  private DetectionRow promised(long median, long p95) {
    return new DetectionRow(rule, truth, unit, weight, goodFirst, before, traffic, most, reference, median, p95);
  }

  static final DetectionRow TOTAL = row(new ErrorRate(0.01, Scope.OVERALL), "100 % fail, limit 1 %", CANDIDATES, 10_000, Detection.failing(1), 100, 2).promised(2, 2);
  static final DetectionRow FIVE =
      row(new ErrorRate(0.005, Scope.OVERALL), "5 % fail, limit 0.5 %", CANDIDATES, 10_000, Detection.failing(0.05), 100_000, 110).promised(120, 0);
  static final DetectionRow LATE =
      new DetectionRow(
          new ErrorRate(0.01, Scope.OVERALL), "5 % fail after a million good requests, limit 1 %", CANDIDATES, 10_000, 1_000_000,
          Detection.failing(0.001), Detection.failing(0.05), 1_000_000, 455, 0, 850);
  static final DetectionRow SLOW_PAIRS =
      row(new PairedLatency(0.02, Scope.OVERALL), "10 % slower, 2 % allowed", "pairs", 0, Detection.slowerPairs(0.15, 1.10), 100_000, 102).promised(150, 0);
  static final DetectionRow NOISY =
      row(new NoiseFloor(Scope.OVERALL), "disagrees in 10 %, noise 2 %", "triples", 0, Detection.triples(0.02, 0.10), 100_000, 250).promised(300, 0);

  static List<DetectionRow> all() {
    LatencyRatio quantiles = new LatencyRatio(1, List.of(0.5, 0.9, 0.99), Scope.OVERALL);
    BinDrift bins = new BinDrift(AGE, List.of(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0), tenths(), 0.05);
    return List.of(
        TOTAL,
        row(new ErrorRate(0.005, Scope.OVERALL), "1 % fail, limit 0.5 %", CANDIDATES, 10_000, Detection.failing(0.01), 1_000_000, 5_218),
        row(new ErrorRate(0.005, Scope.OVERALL), "2 % fail, limit 0.5 %", CANDIDATES, 10_000, Detection.failing(0.02), 100_000, 638),
        FIVE,
        row(new ErrorRate(0.005, Scope.OVERALL), "50 % fail, limit 0.5 %", CANDIDATES, 10_000, Detection.failing(0.5), 10_000, 5),
        row(new ErrorRate(0.01, Scope.OVERALL), "5 % fail, limit 1 %", CANDIDATES, 10_000, Detection.failing(0.05), 100_000, 196),
        LATE,
        row(new FallbackRate(0.01, Scope.OVERALL), "5 % fall back, limit 1 %", CANDIDATES, 10_000, Detection.failing(0.05), 100_000, 196),
        row(new DisagreementRate(0.01, Scope.OVERALL), "5 % disagree, limit 1 %", "pairs", 0, Detection.disagreeing(0.05), 100_000, 196),
        row(new LatencyOver(15 * MILLISECOND / 10, 0.01, Scope.OVERALL), "5 % over 1.5 ms, limit 1 %", CANDIDATES, 10_000, Detection.costing(1.5 / 1.9), 100_000, 196),
        row(new ErrorRatio(1, Scope.OVERALL), "1 % fail, baseline 0.1 %, weight 10 %", CANDIDATES, 1_000, Detection.split(0.001, 0.01), 100_000, 712),
        row(new ErrorRatio(1, Scope.OVERALL), "5 % fail, baseline 0.1 %, weight 10 %", CANDIDATES, 1_000, Detection.split(0.001, 0.05), 100_000, 84),
        row(new ErrorRatio(1, Scope.OVERALL), "50 % fail, baseline 0.1 %, weight 10 %", CANDIDATES, 1_000, Detection.split(0.001, 0.5), 100_000, 8),
        row(quantiles, "25 % slower, weight 10 %", CANDIDATES, 1_000, Detection.slower(0.5, 1.25), 100_000, 251),
        row(quantiles, "twice as slow, weight 10 %", CANDIDATES, 1_000, Detection.slower(0.5, 2), 100_000, 24),
        row(new PairedLatency(0.02, Scope.OVERALL), "5 % slower, 2 % allowed", "pairs", 0, Detection.slowerPairs(0.15, 1.05), 100_000, 661),
        SLOW_PAIRS,
        row(new PairedLatency(0.02, Scope.OVERALL), "25 % slower, 2 % allowed", "pairs", 0, Detection.slowerPairs(0.15, 1.25), 100_000, 18),
        row(new PairedErrors(Scope.OVERALL), "5 % fail, baseline 0.1 %", "pairs", 0, Detection.failingPairs(0.001, 0.05), 100_000, 246),
        row(new PairedErrors(Scope.OVERALL), "50 % fail, baseline 0.1 %", "pairs", 0, Detection.failingPairs(0.001, 0.5), 100_000, 24),
        row(new NoiseFloor(Scope.OVERALL), "disagrees in 5 %, noise 2 %", "triples", 0, Detection.triples(0.02, 0.05), 100_000, 1_100),
        NOISY,
        row(new NoiseFloor(Scope.OVERALL), "disagrees in 20 %, noise 2 %", "triples", 0, Detection.triples(0.02, 0.20), 100_000, 87),
        row(new ScoreDifference(0.02, Scope.OVERALL), "0.05 apart, limit 0.02", "pairs", 0, Detection.apart(0.05), 100_000, 17),
        row(new ScoreDifference(0.02, Scope.OVERALL), "0.03 apart, limit 0.02", "pairs", 0, Detection.apart(0.03), 100_000, 64),
        row(new MeanCost(10 * MILLISECOND, 100 * MILLISECOND, Scope.OVERALL), "12 ms on the mean, limit 10 ms", CANDIDATES, 10_000, Detection.costing(12), 100_000, 0),
        row(new MeanDrift(AGE, 40, 12, 0.5), "shifted by 1 deviation, 0.5 allowed", CANDIDATES, 2_500, Detection.drifting(0, 1), 100_000, 116),
        row(new MeanDrift(AGE, 40, 12, 0.5), "shifted by 1.5 deviations, 0.5 allowed", CANDIDATES, 2_500, Detection.drifting(0, 1.5), 100_000, 55),
        row(bins, "30 % in one bin of 10 %, 15 % allowed", CANDIDATES, 2_500, Detection.crowding(0.3), 100_000, 0),
        row(new SampleRatio(), "8 % of requests at a weight of 10 % (holds)", "requests", 1_000, Detection.misrouted(0.08), 100_000, 0),
        row(new SampleRatio(), "5 % of requests at a weight of 10 % (holds)", "requests", 1_000, Detection.misrouted(0.05), 100_000, 0),
        row(new Calibration(0.02, Scope.OVERALL), "loss 0.1 above the baseline's, limit 0.02", "labels", 0, Detection.labelled(0.1), 100_000, 0));
  }

  private static List<Double> tenths() {
    List<Double> shares = new ArrayList<>(Collections.nCopies(10, 0.1));
    shares.add(0.0);
    return shares;
  }

  Delays run(int runs, long seed) {
    return Detection.run(rule, Detection.ALPHA, weight, goodFirst, before, traffic, most, runs, seed);
  }
}
