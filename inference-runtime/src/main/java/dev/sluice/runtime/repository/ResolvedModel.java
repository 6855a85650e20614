package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.runtime.model.Scheduling;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import java.util.Map;

/// A configuration and a model that were held against each other and agree.
///
/// @param config with nothing left out
/// @param signature as callers see it
/// @param inputReshapes by input: from the callers' shape to the model's
/// @param outputReshapes by output: from the model's shape to the callers'
record ResolvedModel(
    ModelConfig config,
    Signature signature,
    Map<String, Reshape> inputReshapes,
    Map<String, Reshape> outputReshapes,
    Scheduling scheduling) {

  ResolvedModel {
    inputReshapes = Map.copyOf(inputReshapes);
    outputReshapes = Map.copyOf(outputReshapes);
  }

  /// The session as callers see it; it owns the given one from now on.
  Session seenByCallers(Session session) {
    return signature.equals(session.signature()) && inputReshapes.isEmpty() && outputReshapes.isEmpty()
        ? session
        : new ConfiguredSession(session, this);
  }
}
