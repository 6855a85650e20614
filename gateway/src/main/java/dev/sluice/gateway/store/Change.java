package dev.sluice.gateway.store;

import org.jspecify.annotations.Nullable;

/// One change of one rollout, to be written down with its audit event.
///
/// @param rollout as it will stand; the store sets its revision, and its times from `nowMillis`
/// @param actor who wants it
/// @param kind one word for the audit trail, such as `advanced`
/// @param detailJson the numbers behind it
/// @param serving the model's new default version; null if it stays
/// @param expectedRevision the rollout's revision that the change was decided on; 0 for any
public record Change(
    StoredRollout rollout,
    String actor,
    String kind,
    String reason,
    String detailJson,
    @Nullable ServingVersion serving,
    long expectedRevision,
    long nowMillis) {}
