package dev.sluice.gateway.simulation;

import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.SegmentRule.Condition;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.rollout.RolloutNote;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/// A described stream of requests: how many, from whom, and what both versions do with them.
///
/// @param parts of the traffic; their shares add up to 1
/// @param keys sticky callers there are, each as busy as the others
public record World(Traffic traffic, List<Part> parts, int keys) {

  /// The share of the traffic that has these attributes.
  ///
  /// @param name of its segment; [Segments#OTHER] for requests without attributes
  public record Part(String name, Map<String, String> attributes, double share, Behaviour baseline, Behaviour candidate) {
    public Part {
      attributes = Map.copyOf(attributes);
    }
  }

  private static final int KEYS_MAX = 10_000_000;

  public World {
    parts = List.copyOf(parts);
    if (keys < 1 || keys > KEYS_MAX) {
      throw new IllegalArgumentException("keys: %,d is not between 1 and %,d".formatted(keys, KEYS_MAX));
    }
  }

  /// The traffic as a note divides it.
  ///
  /// @param shares of the traffic by segment; what is left is spread evenly over the other segments of the note and the rest of
  ///     the traffic
  /// @param candidates by segment, the candidate where it is not the same as everywhere
  public static World of(
      RolloutNote note,
      Traffic traffic,
      Behaviour baseline,
      Behaviour candidate,
      Map<String, Double> shares,
      Map<String, Behaviour> candidates,
      int keys) {
    List<SegmentRule> segments = new ArrayList<>(note.segments());
    for (String name : named(shares, candidates)) {
      SegmentRule segment = SegmentRule.parse(name);
      if (segments.stream().noneMatch(s -> s.name().equals(segment.name()))) {
        checkOccurs(segment, note);
        segments.add(segment);
      }
    }
    double given = shares.values().stream().mapToDouble(Double::doubleValue).sum();
    boolean other = !shares.containsKey(Segments.OTHER);
    long open = segments.stream().filter(segment -> !shares.containsKey(segment.name())).count() + (other ? 1 : 0);
    if (given > 1 + 1e-9 || (open == 0 && given < 1 - 1e-9)) {
      throw new IllegalArgumentException(
          "the segments' shares add up to %.4g %%, expected %s100 %%".formatted(given * 100, open == 0 ? "" : "at most "));
    }
    double each = open == 0 ? 0 : Math.max(0, 1 - given) / open;
    List<Part> parts = new ArrayList<>();
    for (SegmentRule segment : segments) {
      Map<String, String> attributes = new HashMap<>();
      segment.conditions().forEach(condition -> attributes.put(condition.attribute(), condition.value()));
      parts.add(
          new Part(
              segment.name(), attributes, shares.getOrDefault(segment.name(), each), baseline,
              candidates.getOrDefault(segment.name(), candidate)));
    }
    parts.add(
        new Part(
            Segments.OTHER, Map.of(), shares.getOrDefault(Segments.OTHER, each), baseline,
            candidates.getOrDefault(Segments.OTHER, candidate)));
    return new World(traffic, parts, keys);
  }

  private static List<String> named(Map<String, Double> shares, Map<String, Behaviour> candidates) {
    List<String> names = new ArrayList<>(shares.keySet());
    candidates.keySet().stream().filter(Predicate.not(shares::containsKey)).forEach(names::add);
    names.remove(Segments.OTHER);
    return names;
  }

  /// A segment that the note does not declare can still be found on the way, by its one attribute.
  private static void checkOccurs(SegmentRule segment, RolloutNote note) {
    List<Condition> conditions = segment.conditions();
    boolean found =
        note.discovery() != null
            && conditions.size() == 1
            && conditions.getFirst().attribute().equals(note.discovery().attribute());
    if (!found) {
      throw new IllegalArgumentException(
          "segment '%s' is not in the note, which has %s"
              .formatted(segment.name(), note.segments().stream().map(SegmentRule::name).toList()));
    }
  }

  /// The share of traffic that a segment of the note has; 0 for one that is not described.
  double share(String segment) {
    return parts.stream().filter(part -> part.name().equals(segment)).mapToDouble(Part::share).sum();
  }
}
