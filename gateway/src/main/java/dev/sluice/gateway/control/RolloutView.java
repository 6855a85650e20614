package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.rollout.RolloutNote;
import org.jspecify.annotations.Nullable;

/// A rollout as readers see it: what is written down, and the live evidence while this process has it.
///
/// @param live null for a rollout that ended before this process began
/// @param waitingFor what the present step still lacks
public record RolloutView(
    StoredRollout stored, @Nullable RolloutNote note, @Nullable LiveRollout live, String waitingFor) {}
