package dev.sluice.router.assignment;

import java.util.ArrayList;
import java.util.List;

/// A named slice of traffic: requests whose attributes have all of these values, such as `country=DE, tier=vip`.
///
/// @param name what people and metrics call it: its own text
/// @param conditions at least one; all must hold
public record SegmentRule(String name, List<Condition> conditions) {

  /// One attribute, as the caller gives it in `sluice-segment-<attribute>`, and the value it must have.
  public record Condition(String attribute, String value) {}

  public SegmentRule {
    conditions = List.copyOf(conditions);
    if (conditions.isEmpty()) {
      throw new IllegalArgumentException("segment '" + name + "' has no condition");
    }
  }

  /// Reads `attribute=value`, or several of them joined by commas.
  public static SegmentRule parse(String text) {
    List<Condition> conditions = new ArrayList<>();
    for (String part : text.split(",", -1)) {
      int equals = part.indexOf('=');
      String attribute = equals < 0 ? "" : part.substring(0, equals).strip();
      String value = equals < 0 ? "" : part.substring(equals + 1).strip();
      if (!attribute.matches("[a-z0-9][a-z0-9_.-]{0,62}") || value.isEmpty() || value.length() > 128) {
        throw new IllegalArgumentException(
            "'" + text + "' is not a segment: expected attribute=value with a lower-case attribute name, such as country=DE");
      }
      conditions.add(new Condition(attribute, value));
    }
    StringBuilder name = new StringBuilder();
    for (Condition condition : conditions) {
      name.append(name.isEmpty() ? "" : ",").append(condition.attribute()).append('=').append(condition.value());
    }
    return new SegmentRule(name.toString(), conditions);
  }

  /// Whether all conditions but the first hold.
  <C> boolean matchesBeyondFirst(C caller, Attributes.Of<C> attributes) {
    for (int i = 1; i < conditions.size(); i++) {
      Condition condition = conditions.get(i);
      if (!condition.value().equals(attributes.value(caller, condition.attribute()))) {
        return false;
      }
    }
    return true;
  }
}
