package dev.sluice.router.rollout;

import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.StopRule;
import java.util.ArrayList;
import java.util.List;

/// A rollout's ledger as expansion looks at it.
public record LedgerEvidence(EvidenceLedger ledger, List<Double> margins) implements RolloutMachine.Evidence {

  @Override
  public long shadowsCompleted(int segment) {
    return ledger.shadowsCompleted(segment);
  }

  @Override
  public long liveCompleted(int segment) {
    return ledger.liveCompleted(segment);
  }

  @Override
  public List<String> holding() {
    List<String> holding = new ArrayList<>();
    for (StopRule rule : ledger.holding()) {
      holding.add(rule.name() + " holds the rollout until a person ends or promotes it");
    }
    double threshold = ledger.rules().threshold();
    for (ArmedRule test : ledger.rules().armed()) {
      StopRule rule = ledger.rules().rules().get(test.rule());
      // Half of the way, on the logarithmic scale on which evidence grows.
      // A dry run that has had its verdict goes on as it would without rules.
      if (ledger.trip() == null
          && rule.action() == StopRule.Action.STOP
          && test.segment() < ledger.segmentCount()
          && test.share() > 0
          && ledger.evidence(test) >= Math.sqrt(threshold / test.share())) {
        String segment = ledger.segmentName(test.segment());
        holding.add(
            "%s%s to calm down: it has heard half of what it needs to stop"
                .formatted(rule.name(), segment.isEmpty() ? "" : " in " + segment));
      }
    }
    for (int r = 0; r < ledger.rules().rules().size(); r++) {
      if (ledger.rules().rules().get(r) instanceof StopRule.LatencyRatio && ledger.frozenNanos(r, 0) == 0) {
        holding.add(
            "latency-ratio to freeze the baseline's quantiles: %,d answers of the baseline are needed"
                .formatted(StopRule.LatencyRatio.OBSERVATIONS_MIN));
      }
    }
    return holding;
  }

  @Override
  public RolloutMachine.RateSeen rate(StopRule.LimitRule rule) {
    int index = ledger.rules().rules().indexOf(rule);
    return new RolloutMachine.RateSeen(ledger.maturedInStep(rule.counted()), ledger.badInStep(index));
  }

  @Override
  public double errorRatioBelow(double margin) {
    return ledger.acceptance(margins.indexOf(margin));
  }
}
