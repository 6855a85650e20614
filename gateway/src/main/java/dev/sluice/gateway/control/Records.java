package dev.sluice.gateway.control;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import com.google.protobuf.util.Timestamps;
import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.gateway.store.LedgerFiles;
import dev.sluice.gateway.store.SqliteStore;
import dev.sluice.gateway.store.StoreException;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutReport;
import dev.sluice.router.rollout.RolloutNote;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// What is left of rollouts to look at: kept with each decision, so that explanations, replays and reports can be had after the
/// live half is gone, after a restart, and from the files alone.
public record Records(LedgerFiles files) {

  private static final Logger log = LoggerFactory.getLogger(Records.class);

  /// Keeps what a report is made of. What cannot be kept is reported and not fatal: the store and the ledger are the truth.
  void keep(ManagedRollout rollout, long nowMillis) {
    if (rollout.live == null) {
      return;
    }
    RolloutReport.Builder report = report(rollout, nowMillis);
    RolloutReport kept = kept(rollout.stored.name());
    if (rollout.observedSince != 0 && kept != null && ranNothing(report.getRollout())) {
      // Nothing has run since the restart: what ran before it says more.
      report.setRollout(withEvidence(report.getRollout(), kept.getRollout())).clearObservedSince();
    }
    try {
      files.keep(rollout.stored.name(), JsonFormat.printer().omittingInsignificantWhitespace().print(report));
    } catch (StoreException | InvalidProtocolBufferException e) {
      log.warn("what rollout '{}' was is not kept for its report: {}", rollout.stored.name(), e.getMessage());
    }
  }

  private static boolean ranNothing(Rollout rollout) {
    return rollout.getBaselineExposed().getRequests() + rollout.getCandidateExposed().getRequests()
            + rollout.getCandidateExposed().getCopies()
        == 0;
  }

  /// A rollout that this process has, without its trail and its replay.
  static RolloutReport.Builder report(ManagedRollout rollout, long nowMillis) {
    RolloutReport.Builder report =
        RolloutReport.newBuilder().setRollout(RolloutMessages.forReport(rollout.view(), nowMillis));
    if (rollout.live != null) {
      report.setCourse(rollout.course.message(rollout.live.ledger()));
    }
    if (rollout.observedSince != 0) {
      report.setObservedSince(Timestamps.fromMillis(rollout.observedSince));
    }
    return report;
  }

  /// What was kept of a rollout; null for nothing that can be read.
  @Nullable RolloutReport kept(String name) {
    try {
      String json = files.kept(name);
      if (json == null) {
        return null;
      }
      RolloutReport.Builder report = RolloutReport.newBuilder();
      JsonFormat.parser().ignoringUnknownFields().merge(json, report);
      return report.build();
    } catch (StoreException | InvalidProtocolBufferException e) {
      log.warn("what was kept of rollout '{}' cannot be read: {}", name, e.getMessage());
      return null;
    }
  }

  /// A rollout in the words of the control API: with the evidence that was kept, where the live one is gone.
  Rollout rollout(RolloutView view, long nowMillis) {
    Rollout rollout = RolloutMessages.rollout(view, nowMillis);
    RolloutReport kept = view.live() == null ? kept(view.stored().name()) : null;
    return kept == null ? rollout : withEvidence(rollout, kept.getRollout());
  }

  /// @param rollout as it is written down
  /// @param kept the same when it still had its evidence
  private static Rollout withEvidence(Rollout rollout, Rollout kept) {
    Rollout.Builder filled =
        rollout.toBuilder()
            .clearRules()
            .addAllRules(kept.getRulesList())
            .clearSegments()
            .addAllSegments(kept.getSegmentsList())
            .setShadowsDropped(kept.getShadowsDropped())
            .setBaselineExposed(kept.getBaselineExposed())
            .setCandidateExposed(kept.getCandidateExposed());
    if (rollout.hasStop() && kept.hasStop()) {
      filled.getStopBuilder()
          .setRequestId(kept.getStop().getRequestId())
          .setAssignedAfterFlip(kept.getStop().getAssignedAfterFlip())
          .setAlphaShare(kept.getStop().getAlphaShare())
          .setRuleEvidence(kept.getStop().getRuleEvidence());
    }
    return filled.build();
  }

  // --- reports ----------------------------------------------------------------------------------------------------------

  /// A rollout whose live half is gone.
  RolloutReport.Builder report(RolloutView view, long nowMillis) {
    RolloutReport kept = kept(view.stored().name());
    Rollout now = RolloutMessages.forReport(view, nowMillis);
    return kept == null
        ? RolloutReport.newBuilder().setRollout(now)
        : kept.toBuilder().setRollout(withEvidence(now, kept.getRollout()));
  }

  /// Adds what the store says.
  void complete(RolloutReport.Builder report, List<AuditEvent> events, long nowMillis) {
    events.forEach(event -> report.addEvents(RolloutMessages.event(event)));
    report.setTime(Timestamps.fromMillis(nowMillis));
  }

  Replay replay(RolloutView view) throws ControlFailure {
    return Replays.of(view.stored(), view.note(), files);
  }

  // --- without a gateway ---------------------------------------------------------------------------------------------------

  /// The report of a rollout from the data directory of a gateway that is not running.
  ///
  /// @throws ControlFailure if there is no such rollout, or its files cannot be read
  public static RolloutReport reportFrom(Path data, String name, long nowMillis) throws ControlFailure {
    Offline found = find(data, name);
    RolloutReport.Builder report = found.records.report(found.view, nowMillis);
    found.records.complete(report, found.events, nowMillis);
    try {
      report.setReplay(found.records.replay(found.view));
    } catch (ControlFailure e) {
      report.setNoReplay(String.valueOf(e.getMessage()));
    }
    return report.build();
  }

  /// As the control API replays a rollout, from such a directory.
  public static Replay replayFrom(Path data, String name) throws ControlFailure {
    Offline found = find(data, name);
    return found.records.replay(found.view);
  }

  private record Offline(Records records, RolloutView view, List<AuditEvent> events) {}

  private static Offline find(Path data, String name) throws ControlFailure {
    Path store = data.resolve("sluice.db");
    if (!Files.isRegularFile(store)) {
      throw new ControlFailure(Kind.INVALID_ARGUMENT, store + ": there is no such file, so this is no gateway's data directory");
    }
    try {
      SqliteStore.Found found = SqliteStore.find(store, name);
      StoredRollout stored = found.rollout();
      if (stored == null) {
        throw RolloutRegistry.unknown(name);
      }
      return new Offline(
          new Records(new LedgerFiles(data.resolve("ledgers"))),
          new RolloutView(stored, noteOf(stored), null),
          found.events());
    } catch (StoreException e) {
      throw new ControlFailure(Kind.UNAVAILABLE, String.valueOf(e.getMessage()));
    }
  }

  private static @Nullable RolloutNote noteOf(StoredRollout stored) {
    try {
      return Notes.read(stored.noteYaml());
    } catch (ControlFailure e) {
      return null;
    }
  }
}
