package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.LiveRollout.FlipListener;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.stop.StopRule;
import dev.sluice.runtime.repository.ModelRepository;
import org.jspecify.annotations.Nullable;

/// What becomes of a rollout that a former process has left.
///
/// It goes on only if everything about it can be confirmed: its note, its ledger, both of its versions. Otherwise it ends at its
/// baseline. A guess would be either a stopped candidate served again or a healthy release lost without a word.
///
/// @param processDied the last process did not end in good order
/// @param lastMomentLost the machine itself went down under the last process, so a flip of its last moment may not be on disk
record Restoration(Assembly assembly, ModelRepository repository, boolean processDied, boolean lastMomentLost) {

  /// The verdict on one rollout.
  sealed interface Outcome {

    /// It had ended before; nothing to do.
    record Ended(@Nullable RolloutNote note) implements Outcome {}

    /// It takes up its exposure again.
    record GoesOn(RolloutNote note, LiveRollout live) implements Outcome {}

    /// A rule had flipped it in the last moments of the former process; only the paper is missing.
    record WasFlipped(RolloutNote note, LiveRollout live, String reason) implements Outcome {}

    /// It cannot be confirmed.
    record Unconfirmed(@Nullable RolloutNote note, String because) implements Outcome {}
  }

  Outcome restore(StoredRollout stored, FlipListener flips) {
    RolloutNote note;
    try {
      note = Notes.read(stored.noteYaml());
    } catch (ControlFailure e) {
      return stored.state().stage().isEnded()
          ? new Outcome.Ended(null)
          : new Outcome.Unconfirmed(null, "its note cannot be read any more: " + e.getMessage());
    }
    if (stored.state().stage().isEnded()) {
      return new Outcome.Ended(note);
    }
    return switch (assembly.openLedger(note, stored)) {
      case Assembly.OpenedLedger.Unusable unusable -> new Outcome.Unconfirmed(note, unusable.reason());
      case Assembly.OpenedLedger.Usable usable -> restore(stored, note, usable.ledger(), flips);
    };
  }

  private Outcome restore(StoredRollout stored, RolloutNote note, EvidenceLedger ledger, FlipListener flips) {
    RolloutState state = stored.state();
    String damage = weighAgain(ledger);
    long word = ledger.exposure();
    if (Exposure.isFlipped(word)) {
      // Whatever else is lost or gone, the flip is certain.
      return new Outcome.WasFlipped(note, assembly.live(note, stored, ledger, flips), reason(ledger));
    }
    if (lastMomentLost) {
      return new Outcome.Unconfirmed(note, "the machine went down under it, and a flip in the last moment may be lost");
    }
    if (!damage.isEmpty()) {
      return new Outcome.Unconfirmed(note, "its evidence cannot be weighed again: " + damage);
    }
    if (processDied
        && note.mode() == RolloutNote.Mode.LIVE
        && note.stopRules().stream().anyMatch(StopRule.Crash.class::isInstance)
        && Exposure.weightBasisPoints(word) + Exposure.shadowBasisPoints(word) > 0) {
      return new Outcome.Unconfirmed(note, "crash: the process died while it ran the candidate");
    }
    // The end of a cool-down disarms the rules before it is written down; nothing else gets ahead of the paper.
    boolean coolDownWasEnding =
        state.stage() instanceof Stage.CoolingDown && Exposure.epoch(word) == state.epoch() + 1;
    if (Exposure.epoch(word) > state.epoch() && !coolDownWasEnding) {
      return new Outcome.Unconfirmed(
          note,
          "its ledger is at epoch %d, but only epoch %d was written down"
              .formatted(Exposure.epoch(word), state.epoch()));
    }
    try {
      CandidateCheck.prepare(note, repository);
    } catch (ControlFailure e) {
      return new Outcome.Unconfirmed(note, String.valueOf(e.getMessage()));
    }
    // The process may have died between writing a change down and making it.
    if (Exposure.epoch(word) < state.epoch()) {
      ledger.expose(word, Assembly.exposure(state));
      ledger.enterStep();
    } else {
      ledger.expose(word, Assembly.exposure(state));
    }
    return new Outcome.GoesOn(note, assembly.live(note, stored, ledger, flips));
  }

  /// @return what is wrong with the ledger; empty if nothing
  private static String weighAgain(EvidenceLedger ledger) {
    try {
      ledger.restore();
      return "";
    } catch (RuntimeException damaged) {
      return String.valueOf(damaged.getMessage()); // pages that reached the disk in another order than they were written
    }
  }

  private static String reason(EvidenceLedger ledger) {
    EvidenceLedger.Trip trip = ledger.trip();
    return trip == null
        ? "flipped to the baseline just before the process ended; the reason was lost with it"
        : ledger.describe(trip).reason() + " (found at start: the process ended before it was written down)";
  }
}
