package dev.sluice.gateway.store;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The control plane's memory: every rollout as it stands, and every change that led there.
///
/// Revisions count the changes of all rollouts together: 1, 2, 3, without gaps. A change is there with its audit event,
/// or it is not there at all. Implementations may be called from any thread. Every method throws [StoreException] when
/// the storage fails, which no caller can mend: it is unchecked.
public interface Store extends AutoCloseable {

  /// The most events that one call of [#events] returns.
  int EVENTS_MAX = 10_000;

  /// The newest revision; 0 before the first change.
  long revision();

  /// All rollouts, ended ones included, in the order of their creation.
  List<StoredRollout> rollouts();

  /// The version that a promotion made the default, by model. Models without a promotion are not in it.
  Map<String, Long> servingVersions();

  /// The version that each label names, by model and label. Models without labels are not in it.
  Map<String, Map<String, Long>> labels();

  /// The audit trail, oldest first. Events of labels belong to no rollout: their rollout is empty.
  ///
  /// @param rollout only this one's; null for all
  /// @param max at most this many, and never more than [#EVENTS_MAX]
  List<AuditEvent> events(@Nullable String rollout, long afterRevision, int max);

  /// Writes one change down. When this returns, the change survives a crash of the machine.
  ///
  /// @return its audit event, with the new revision
  /// @throws StaleRevisionException if the rollout is not at the revision that the change expects; nothing is written
  /// @throws IllegalArgumentException if the rollout exists with another note or salt: both are frozen, and names are
  ///     unique for ever
  AuditEvent commit(Change change) throws StaleRevisionException;

  /// Writes a change of a label down, as above.
  AuditEvent commit(LabelChange change);

  /// Recomputes the hash chain over the whole audit trail.
  ///
  /// @throws AuditBrokenException naming the first event that does not fit
  void verify();

  @Override
  void close();
}
