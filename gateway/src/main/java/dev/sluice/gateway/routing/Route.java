package dev.sluice.gateway.routing;

import dev.sluice.gateway.metrics.CallMeters;
import dev.sluice.runtime.model.ModelVersion;
import org.jspecify.annotations.Nullable;

/// Where requests for a model (or for one version of it) go. Immutable: a change replaces the route.
///
/// @param version who answers when there is no rollout, and the baseline when there is one
/// @param rollout the release in progress; null when there is none or the caller asked for a version
/// @param candidate of the rollout; null when there is none or its candidate is not loaded
public record Route(
    ModelVersion version, CallMeters meters, @Nullable LiveRollout rollout, @Nullable ModelVersion candidate) {}
