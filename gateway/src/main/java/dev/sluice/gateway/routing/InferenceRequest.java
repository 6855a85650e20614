package dev.sluice.gateway.routing;

import dev.sluice.runtime.tensor.Tensor;
import java.util.List;

/// One request, checked against the model's signature and ready to run.
///
/// @param outputs the names of the outputs wanted, in order, never empty
/// @param id the caller's id for the request, empty when it gave none
/// @param startedNanos when the request came in, by `System.nanoTime`
public record InferenceRequest(
    String id,
    List<Tensor> inputs,
    List<String> outputs,
    CallerAttributes caller,
    CallLifetime lifetime,
    long startedNanos) {}
