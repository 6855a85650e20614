package dev.sluice.gateway.store;

/// One decision: what changed, by whom, why, with which numbers.
///
/// @param hash SHA-256, in hex, over the previous event's hash and this event: a change to any event shows in all later
///     ones
public record AuditEvent(
    long revision,
    long timeMillis,
    String rollout,
    String actor,
    String kind,
    String reason,
    String detailJson,
    String hash) {

  /// What the first event is chained to.
  static final String NO_HASH = "0".repeat(64);

  /// The event that follows the one with the hash `previous`.
  static AuditEvent chained(String previous, long revision, Change change) {
    return new AuditEvent(
            revision, change.nowMillis(), change.rollout().name(), change.actor(), change.kind(), change.reason(),
            change.detailJson(), "")
        .chainedTo(previous);
  }

  /// The same for a label, which belongs to no rollout.
  static AuditEvent chained(String previous, long revision, LabelChange change) {
    return new AuditEvent(
            revision, change.nowMillis(), "", change.actor(), change.kind(), change.reason(), change.detailJson(), "")
        .chainedTo(previous);
  }

  private AuditEvent chainedTo(String previous) {
    return new AuditEvent(
        revision, timeMillis, rollout, actor, kind, reason, detailJson, hashAfter(previous));
  }

  String hashAfter(String previous) {
    return new Fingerprint()
        .add(previous).add(revision).add(timeMillis).add(rollout).add(actor).add(kind).add(reason).add(detailJson)
        .hex();
  }
}
