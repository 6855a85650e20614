package dev.sluice.gateway.store;

import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A rollout's state as JSON, for the database and for people.
///
/// ```json
/// {"format":1,"stage":{"kind":"paused","step":2,"reason":"..."},"epoch":3,"weightBasisPoints":500,
///  "shadowBasisPoints":0,"observedAtEntry":[0,0]}
/// ```
///
/// Written out field by field: what is on disk must not change when a class is renamed. Reading is exact: a field too
/// many, one too few, an unknown stage or another format is an error, because a state half understood would be a guess.
public final class RolloutStateJson {

  private static final int FORMAT = 1;
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private RolloutStateJson() {}

  public static String write(RolloutState state) {
    ObjectNode json = JSON.createObjectNode().put("format", FORMAT);
    ObjectNode stage = json.putObject("stage");
    switch (state.stage()) {
      case Stage.Running s ->
          stage.put("kind", "running").put("step", s.step()).put("enteredMillis", s.enteredMillis());
      case Stage.Paused s -> stage.put("kind", "paused").put("step", s.step()).put("reason", s.reason());
      case Stage.CoolingDown s -> stage.put("kind", "cooling-down").put("promotedMillis", s.promotedMillis());
      case Stage.Promoted s -> stage.put("kind", "promoted").put("promotedMillis", s.promotedMillis());
      case Stage.Stopped s -> stage.put("kind", "stopped").put("reason", s.reason());
      case Stage.Aborted s -> stage.put("kind", "aborted").put("reason", s.reason());
    }
    json.put("epoch", state.epoch())
        .put("weightBasisPoints", state.weightBasisPoints())
        .put("shadowBasisPoints", state.shadowBasisPoints());
    state.observedAtEntry().forEach(json.putArray("observedAtEntry")::add);
    return JSON.writeValueAsString(json);
  }

  /// @throws IllegalArgumentException if it is not exactly what [#write] writes
  public static RolloutState read(String text) {
    JsonNode json;
    try {
      json = JSON.readTree(text);
    } catch (JacksonException broken) {
      throw new IllegalArgumentException("a rollout's state is not JSON: " + broken.getOriginalMessage(), broken);
    }
    if (integer(json, "format") != FORMAT) {
      throw new IllegalArgumentException(
          "a rollout's state has the format %d; expected %d".formatted(integer(json, "format"), FORMAT));
    }
    expectFields(json, "format", "stage", "epoch", "weightBasisPoints", "shadowBasisPoints", "observedAtEntry");
    List<Long> observed = new ArrayList<>();
    if (!json.get("observedAtEntry").isArray()) {
      throw unexpected(json, "observedAtEntry", "a list");
    }
    for (JsonNode element : json.get("observedAtEntry")) {
      observed.add(whole(element, json, "observedAtEntry"));
    }
    return new RolloutState(
        stage(json.get("stage")), integer(json, "epoch"), small(json, "weightBasisPoints"),
        small(json, "shadowBasisPoints"), observed);
  }

  private static Stage stage(JsonNode json) {
    String kind = string(json, "kind");
    return switch (kind) {
      case "running" -> {
        expectFields(json, "kind", "step", "enteredMillis");
        yield new Stage.Running(small(json, "step"), integer(json, "enteredMillis"));
      }
      case "paused" -> {
        expectFields(json, "kind", "step", "reason");
        yield new Stage.Paused(small(json, "step"), string(json, "reason"));
      }
      case "cooling-down" -> {
        expectFields(json, "kind", "promotedMillis");
        yield new Stage.CoolingDown(integer(json, "promotedMillis"));
      }
      case "promoted" -> {
        expectFields(json, "kind", "promotedMillis");
        yield new Stage.Promoted(integer(json, "promotedMillis"));
      }
      case "stopped" -> {
        expectFields(json, "kind", "reason");
        yield new Stage.Stopped(string(json, "reason"));
      }
      case "aborted" -> {
        expectFields(json, "kind", "reason");
        yield new Stage.Aborted(string(json, "reason"));
      }
      default -> throw new IllegalArgumentException("a rollout's state has the unknown stage '" + kind + "'");
    };
  }

  private static void expectFields(JsonNode json, String... names) {
    Set<String> seen = new TreeSet<>(json.propertyNames());
    Set<String> expected = new TreeSet<>(List.of(names));
    if (!seen.equals(expected)) {
      throw new IllegalArgumentException("a rollout's state has the fields %s; expected %s".formatted(seen, expected));
    }
  }

  private static String string(JsonNode json, String field) {
    JsonNode value = json.path(field);
    if (!value.isString()) {
      throw unexpected(json, field, "a text");
    }
    return value.stringValue();
  }

  private static long integer(JsonNode json, String field) {
    return whole(json.path(field), json, field);
  }

  private static int small(JsonNode json, String field) {
    if (!json.path(field).canConvertToInt()) {
      throw unexpected(json, field, "a whole number");
    }
    return (int) integer(json, field);
  }

  private static long whole(JsonNode value, JsonNode json, String field) {
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw unexpected(json, field, "a whole number");
    }
    return value.longValue();
  }

  private static IllegalArgumentException unexpected(JsonNode json, String field, String expected) {
    return new IllegalArgumentException(
        "a rollout's state has %s in %s; expected %s".formatted(json.path(field), field, expected));
  }
}
