package dev.sluice.gateway.store;

/// One change of one label, to be written down with its audit event.
///
/// @param version that the label names from now on; 0: the label is no more
/// @param actor who wants it
/// @param kind one word for the audit trail, such as `labelled`
/// @param detailJson the change, for programs
public record LabelChange(
    String model,
    String label,
    long version,
    String actor,
    String kind,
    String reason,
    String detailJson,
    long nowMillis) {}
