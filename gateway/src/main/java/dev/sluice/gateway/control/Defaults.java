package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.Routes;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The version that a model's unversioned calls reach, once a rollout has decided on it: served whatever the model's version
/// policy names, and loaded if it is not.
public final class Defaults {

  private static final Logger log = LoggerFactory.getLogger(Defaults.class);

  private Defaults() {}

  public static void serve(String model, long version, ModelRepository repository, Routes routes) {
    routes.serve(model, version);
    Model found = repository.find(model);
    if (found != null && found.version(version) == null) {
      try {
        repository.load(model, version);
      } catch (ModelLoadException e) {
        log.error("model '{}' has no default: its version {} does not load: {}", model, version, e.getMessage());
      }
    }
  }
}
