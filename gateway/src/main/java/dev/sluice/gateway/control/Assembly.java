package dev.sluice.gateway.control;

import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.routing.Lanes;
import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.LiveRollout.FlipListener;
import dev.sluice.gateway.routing.Rehearsal;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.gateway.store.LedgerFiles;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;

/// Puts together what a rollout runs on: its ledger in a mapped file, its rules armed, its live half.
public record Assembly(LedgerFiles ledgerFiles, Routes routes, Lanes lanes, GatewayMetrics metrics) {

  /// What a ledger file says once it could be mapped.
  sealed interface OpenedLedger {
    record Usable(EvidenceLedger ledger) implements OpenedLedger {}

    record Unusable(String reason) implements OpenedLedger {}
  }

  /// A fresh ledger at the rollout's first exposure.
  EvidenceLedger createLedger(RolloutNote note, StoredRollout stored) {
    EvidenceLedger.Plan plan = note.plan(stored.attempt());
    EvidenceLedger ledger = new EvidenceLedger(plan, ledgerFiles.create(note.name(), plan.wordsNeeded()));
    ledger.initialize(mark(stored), exposure(stored.state()));
    return ledger;
  }

  /// The ledger that a former process left.
  OpenedLedger openLedger(RolloutNote note, StoredRollout stored) {
    EvidenceLedger.Plan plan = note.plan(stored.attempt());
    return switch (ledgerFiles.open(note.name(), plan.wordsNeeded())) {
      case LedgerFiles.Opened.Missing _ -> new OpenedLedger.Unusable("its evidence ledger is missing");
      case LedgerFiles.Opened.Unusable unusable -> new OpenedLedger.Unusable(unusable.reason());
      case LedgerFiles.Opened.Found found -> {
        EvidenceLedger ledger = new EvidenceLedger(plan, found.words());
        yield ledger.mark() == mark(stored)
            ? new OpenedLedger.Usable(ledger)
            : new OpenedLedger.Unusable("its evidence ledger belongs to another rollout, to another Sluice, or is damaged");
      }
    };
  }

  LiveRollout live(RolloutNote note, StoredRollout stored, EvidenceLedger ledger, FlipListener flips) {
    Rehearsal.of(note, stored.attempt());
    return new LiveRollout(note, stored.salt(), ledger, routes, lanes, metrics.rollout(note, ledger::segmentName), flips);
  }

  /// Only when no request can use the ledger any more.
  void retireLedger(String rollout) {
    ledgerFiles.retire(rollout);
  }

  static long exposure(RolloutState state) {
    return Exposure.of(state.epoch(), state.weightBasisPoints(), state.shadowBasisPoints());
  }

  /// Tells a rollout's ledger from any other; never 0, which fresh memory holds.
  static long mark(StoredRollout stored) {
    return stored.salt() | 1;
  }
}
