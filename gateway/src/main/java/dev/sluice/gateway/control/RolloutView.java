package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.rollout.LedgerEvidence;
import dev.sluice.router.rollout.RolloutMachine;
import dev.sluice.router.rollout.RolloutNote;
import org.jspecify.annotations.Nullable;

/// A rollout as readers see it: what is written down, and the live evidence while this process has it.
///
/// @param live null for a rollout that ended before this process began
public record RolloutView(StoredRollout stored, @Nullable RolloutNote note, @Nullable LiveRollout live) {

  /// What the present step still lacks at this time, in words; empty for nothing. They are made for whoever asks: evidence moves
  /// with every request, and people look seldom.
  String waitingFor(long nowMillis) {
    return note == null || live == null || stored.state().stage().isEnded()
        ? ""
        : new RolloutMachine(note).waitingFor(stored.state(), new LedgerEvidence(live.ledger(), note.margins()), nowMillis);
  }
}
