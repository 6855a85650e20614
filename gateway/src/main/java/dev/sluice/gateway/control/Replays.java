package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.store.LedgerFiles;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.gateway.store.StoredRollout.Firing;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.Verdict;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.stop.Stop;
import org.jspecify.annotations.Nullable;

/// Decisions reached again: a rollout's log, read from its file, is weighed with the rules of its note as they were armed, and the
/// verdict is held against the ledger's and against what is written down.
final class Replays {

  private Replays() {}

  private sealed interface Outcome {
    record Replayed(Replay replay) implements Outcome {}

    record Impossible(String reason) implements Outcome {}
  }

  /// Of a ledger that is at work.
  static Replay of(StoredRollout stored, EvidenceLedger ledger) throws ControlFailure {
    return replay(stored, outcome(stored, ledger));
  }

  /// Of a ledger's file, which stays when the ledger is not needed any more.
  ///
  /// @throws ControlFailure if the log is missing, damaged or another rollout's
  static Replay of(StoredRollout stored, @Nullable RolloutNote note, LedgerFiles files) throws ControlFailure {
    if (note == null) {
      throw impossible(stored, "its note cannot be read any more, so its rules are not known");
    }
    EvidenceLedger.Plan plan = note.plan(stored.attempt());
    Outcome outcome =
        files.read(
            stored.name(),
            plan.wordsNeeded(),
            opened ->
                switch (opened) {
                  case LedgerFiles.Opened.Missing _ -> new Outcome.Impossible("its evidence ledger is missing");
                  case LedgerFiles.Opened.Unusable unusable -> new Outcome.Impossible(unusable.reason());
                  case LedgerFiles.Opened.Found found -> outcome(stored, new EvidenceLedger(plan, found.words()));
                });
    return replay(stored, outcome);
  }

  private static Replay replay(StoredRollout stored, Outcome outcome) throws ControlFailure {
    return switch (outcome) {
      case Outcome.Replayed replayed -> replayed.replay();
      case Outcome.Impossible because -> throw impossible(stored, because.reason());
    };
  }

  private static ControlFailure impossible(StoredRollout stored, String reason) {
    return new ControlFailure(Kind.REFUSED, "rollout '%s' cannot be replayed: %s".formatted(stored.name(), reason));
  }

  private static Outcome outcome(StoredRollout stored, EvidenceLedger ledger) {
    if (ledger.mark() != Assembly.mark(stored)) {
      return new Outcome.Impossible("its evidence ledger belongs to another rollout, to another Sluice, or is damaged");
    }
    EvidenceLedger.Replay replay;
    try {
      replay = ledger.replay();
    } catch (IllegalStateException e) {
      return new Outcome.Impossible(String.valueOf(e.getMessage()));
    }
    Replay.Builder message =
        Replay.newBuilder()
            .setRollout(stored.name())
            .setFirstLine(replay.firstLine())
            .setLines(replay.lines())
            .setWeightsCompared(replay.weightsCompared())
            .setAlpha(ledger.rules().alpha())
            .setThreshold(ledger.rules().threshold())
            .setAttempt(stored.attempt());
    EvidenceLedger.Trip now = replay.trip();
    EvidenceLedger.Trip then = replay.then();
    if (now != null) {
      message.setNow(verdict(ledger.describe(now)));
    }
    if (then != null) {
      message.setThen(verdict(ledger.describe(then)));
    }
    Firing firing = stored.firing();
    if (firing != null) {
      message.setWritten(verdict(firing.stop()));
    }
    // What has just happened may not be written down yet.
    boolean asWritten = firing == null || (message.hasNow() && message.getNow().equals(message.getWritten()));
    return new Outcome.Replayed(message.setIdentical(replay.identical() && asWritten).build());
  }

  private static Verdict verdict(Stop stop) {
    return Verdict.newBuilder()
        .setRule(stop.rule())
        .setSegment(stop.segment())
        .setBad(stop.bad())
        .setEvents(stop.events())
        .setEvidence(stop.evidence())
        .setEvidenceBits(bits(stop.evidence()))
        .setLine(stop.line())
        .build();
  }

  /// All 64 of them, in hex: what two verdicts must have in common to be the same.
  static String bits(double evidence) {
    return "%016x".formatted(Double.doubleToRawLongBits(evidence));
  }
}
