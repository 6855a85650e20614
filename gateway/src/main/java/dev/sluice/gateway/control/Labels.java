package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.gateway.routing.VersionLabel;
import dev.sluice.gateway.store.LabelChange;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.VersionStatus;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.json.JsonMapper;

/// Names for versions: `stable`, `canary` and whatever else an owner needs. Only on the single writer's thread.
///
/// A label moves to a loaded version only, so that moving one is never an outage; and what is labelled stays loaded.
record Labels(Journal journal, ModelRepository repository, Routes routes) {

  private static final Logger log = LoggerFactory.getLogger(Labels.class);
  private static final JsonMapper JSON = JsonMapper.builder().build();

  void set(String model, String label, long version, String actor, String reason) throws ControlFailure {
    if (!VersionLabel.isOne(label)) {
      throw new ControlFailure(
          Kind.INVALID_ARGUMENT,
          "label '%s': expected a letter, then at most 62 letters, digits, '.', '_' and '-'".formatted(label));
    }
    requireLoaded(model, label, version);
    TreeMap<String, Long> labels = new TreeMap<>(routes.labels(model));
    Long before = labels.put(label, version);
    if (labels.size() > VersionLabel.PER_MODEL_MAX) {
      throw new ControlFailure(
          Kind.REFUSED,
          "model '%s' has %d labels, and no more are allowed: remove one".formatted(model, VersionLabel.PER_MODEL_MAX));
    }
    if (before != null && before == version) {
      return;
    }
    String what =
        before == null
            ? "label '%s' of model '%s' is set to version %d".formatted(label, model, version)
            : "label '%s' of model '%s' moves from version %d to version %d".formatted(label, model, before, version);
    write(model, label, version, actor, "labelled", what, reason);
    routes.label(model, labels);
    log.info("{}", what);
  }

  /// @return the version that had the label
  long remove(String model, String label, String actor, String reason) throws ControlFailure {
    TreeMap<String, Long> labels = new TreeMap<>(routes.labels(model));
    Long version = labels.remove(label);
    if (version == null) {
      throw new ControlFailure(
          Kind.NOT_FOUND,
          "model '%s' has no label '%s'; its labels are %s".formatted(model, label, labels.keySet()));
    }
    String what = "label '%s' of model '%s' is removed from version %d".formatted(label, model, version);
    write(model, label, 0, actor, "unlabelled", what, reason);
    routes.label(model, labels);
    log.info("{}", what);
    return version;
  }

  /// Takes up what the store holds. Labelled versions are loaded, whatever the version policy names; where one does not
  /// load, calls by its label are refused until it does.
  void restore() {
    journal.store().labels().forEach(
        (model, labels) -> {
          routes.label(model, new TreeMap<>(labels));
          labels.forEach(
              (label, version) -> {
                try {
                  var _ = repository.ensureLoaded(model, version);
                } catch (ModelLoadException e) {
                  log.error("label '{}' of model '{}' has no version: {}", label, model, e.getMessage());
                }
              });
        });
  }

  private void requireLoaded(String model, String label, long version) throws ControlFailure {
    Model found = repository.find(model);
    if (found == null) {
      throw new ControlFailure(Kind.NOT_FOUND, "model '%s' is not in the repository".formatted(model));
    }
    if (found.version(version) == null) {
      VersionStatus status = repository.status(model, version);
      throw new ControlFailure(
          Kind.REFUSED,
          "label '%s': version %d of model '%s' is %s; a label moves to a loaded version only"
              .formatted(label, version, model, status == null ? "not loaded" : words(status)));
    }
  }

  private static String words(VersionStatus status) {
    return status.reason().isEmpty() ? status.state().name() : status.state() + " (" + status.reason() + ")";
  }

  private void write(
      String model, String label, long version, String actor, String kind, String what, String reason)
      throws ControlFailure {
    String detail =
        JSON.writeValueAsString(
            JSON.createObjectNode().put("model", model).put("label", label).put("version", version));
    journal.write(
        new LabelChange(
            model, label, version, actor, kind, reason.isEmpty() ? what : what + ": " + reason, detail,
            journal.clock().millis()));
  }
}
