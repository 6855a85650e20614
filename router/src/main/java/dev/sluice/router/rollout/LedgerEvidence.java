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
  public boolean holds() {
    if (ledger.isHolding()) {
      return true;
    }
    List<StopRule> rules = ledger.rules().rules();
    for (int r = 0; r < rules.size(); r++) {
      if (isUnfrozen(rules.get(r), r)) {
        return true;
      }
    }
    if (ledger.trip() == null) {
      List<ArmedRule> armed = ledger.rules().armed();
      for (int i = 0; i < armed.size(); i++) {
        if (isHalfWay(armed.get(i))) {
          return true;
        }
      }
    }
    return false;
  }

  @Override
  public List<String> holding() {
    List<String> holding = new ArrayList<>();
    for (StopRule rule : ledger.holding()) {
      holding.add(rule.name() + " holds the rollout until a person ends or promotes it");
    }
    List<StopRule> rules = ledger.rules().rules();
    // A dry run that has had its verdict goes on as it would without rules.
    if (ledger.trip() == null) {
      for (ArmedRule test : ledger.rules().armed()) {
        if (isHalfWay(test)) {
          String segment = ledger.segmentName(test.segment());
          holding.add(
              "%s%s to calm down: it has heard half of what it needs to stop"
                  .formatted(rules.get(test.rule()).name(), segment.isEmpty() ? "" : " in " + segment));
        }
      }
    }
    for (int r = 0; r < rules.size(); r++) {
      if (isUnfrozen(rules.get(r), r)) {
        holding.add(
            "latency-ratio to freeze the baseline's quantiles: %,d answers of the baseline are needed"
                .formatted(StopRule.LatencyRatio.OBSERVATIONS_MIN));
      }
    }
    return holding;
  }

  private boolean isUnfrozen(StopRule rule, int index) {
    return rule instanceof StopRule.LatencyRatio && ledger.frozenNanos(index, 0) == 0;
  }

  /// Half of the way, on the logarithmic scale on which evidence grows.
  private boolean isHalfWay(ArmedRule test) {
    return test.segment() < ledger.segmentCount()
        && test.share() > 0
        && ledger.rules().rules().get(test.rule()).action() == StopRule.Action.STOP
        && ledger.hasReached(test, Math.sqrt(ledger.rules().threshold() / test.share()));
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
