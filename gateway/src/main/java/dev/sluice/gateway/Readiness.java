package dev.sluice.gateway;

import dev.sluice.gateway.routing.Routes;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.VersionStatus;
import java.util.List;

/// Whether the models are there that a ready server is expected to have.
///
/// Strictly, that is every model that was asked for and not unloaded since, in the sense that it can answer: a version
/// that failed beside one that answers is reported in the index and takes no server out of its balancer's rotation. (A
/// broken version in a shared directory would otherwise take all of them out at once.)
///
/// @param strict if not, a server is ready whatever its models are
record Readiness(ModelRepository repository, Routes routes, boolean strict) {

  boolean modelsReady() {
    return !strict || repository.statuses().stream().allMatch(this::mayBeSo);
  }

  private boolean mayBeSo(VersionStatus status) {
    return switch (status.state()) {
      case UNKNOWN, READY, UNLOADING -> true;
      case LOADING -> answers(status.model());
      case UNAVAILABLE -> !status.isFault() || answers(status.model());
    };
  }

  private boolean answers(String model) {
    return routes.defaultVersion(model) != 0;
  }

  /// What was asked for and is not there, one sentence each.
  List<String> faults() {
    return repository.statuses().stream()
        .filter(VersionStatus::isFault)
        .map(
            status ->
                status.version() == 0
                    ? "model '%s': %s".formatted(status.model(), status.reason())
                    : "model '%s' version %d: %s".formatted(status.model(), status.version(), status.reason()))
        .toList();
  }
}
