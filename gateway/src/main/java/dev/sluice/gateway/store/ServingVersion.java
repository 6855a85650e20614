package dev.sluice.gateway.store;

/// The version that a model's unversioned calls reach.
public record ServingVersion(String model, long version) {}
