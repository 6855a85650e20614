package dev.sluice.gateway.routing;

import dev.sluice.runtime.tensor.Tensor;
import java.util.List;

/// One request, checked against the model's signature and ready to run.
///
/// @param inputs their bytes are read by holders of `memory` only
/// @param outputs the names of the outputs wanted, in order, never empty
/// @param priority as the model's configuration counts them, 1 the most urgent; 0: the caller named none
/// @param timeoutNanos how long it may wait for its run; 0: the caller did not say
/// @param id the caller's id for the request, empty when it gave none
/// @param startedNanos when the request came in, by `System.nanoTime`
public record InferenceRequest(
    String id,
    List<Tensor> inputs,
    RequestMemory memory,
    List<String> outputs,
    int priority,
    long timeoutNanos,
    CallerAttributes caller,
    CallLifetime lifetime,
    long startedNanos) {}
