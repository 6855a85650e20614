package dev.sluice.gateway.routing;

import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What goes back to the caller.
///
/// @param version the version that answered
/// @param variant its part in the rollout, null when the model is not in one
/// @param fallback why the baseline answered in the candidate's place, null when it did not
public record Answer(
    long version, List<Tensor> outputs, @Nullable Variant variant, @Nullable FallbackReason fallback) {}
