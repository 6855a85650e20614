package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.Routes;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.repository.ControlMode;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The version that a model's unversioned calls reach, once a rollout has decided on it: served whatever the model's version
/// policy names, and loaded if it is not.
public final class Defaults {

  private static final Logger log = LoggerFactory.getLogger(Defaults.class);

  private Defaults() {}

  /// At a start: in explicit mode a model is loaded when somebody asks for it, and this version with it.
  public static void restore(String model, long version, ModelRepository repository, Routes routes) {
    Model found = repository.find(model);
    if (repository.controlMode() == ControlMode.EXPLICIT && found != null && found.versions().isEmpty()) {
      routes.serve(model, version);
    } else {
      serve(model, version, repository, routes);
    }
  }

  public static void serve(String model, long version, ModelRepository repository, Routes routes) {
    routes.serve(model, version);
    Model found = repository.find(model);
    if (found != null) {
      try {
        var _ = repository.ensureLoaded(model, version);
      } catch (ModelLoadException e) {
        log.error("model '{}' has no default: its version {} does not load: {}", model, version, e.getMessage());
      }
    }
  }
}
