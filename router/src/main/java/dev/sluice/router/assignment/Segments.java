package dev.sluice.router.assignment;

import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The segments of one rollout: those its note declares, in order, and then `other` for every request that fits none.
///
/// A request belongs to exactly one segment, the first that matches, so the segments add up to the whole. A note may also
/// name an attribute whose values become segments when they are first seen; their number is bounded by the note, and what
/// comes later stays in `other`. Which values those are is the evidence ledger's to remember.
public final class Segments {

  /// @param attribute whose values become segments
  /// @param max the most of them
  public record Discovery(String attribute, int max) {
    public Discovery {
      if (!attribute.matches("[a-z0-9][a-z0-9_.-]{0,62}") || max < 1 || max > DISCOVERED_MAX) {
        throw new IllegalArgumentException(
            "discover: attribute '%s', max %d: expected a lower-case name and 1 to %d values"
                .formatted(attribute, max, DISCOVERED_MAX));
      }
    }
  }

  /// The most segments that may be found on the way.
  public static final int DISCOVERED_MAX = 1_024;

  /// The segment of everything that no declared segment matches.
  public static final String OTHER = "other";

  /// The most segments that a note may declare.
  public static final int DECLARED_MAX = 256;

  /// The rules that begin with one attribute: by its value, their indices, ascending. A request is asked for each such attribute once,
  /// however many segments there are: what its caller says about itself takes some work to find.
  private record FirstCondition(String attribute, Map<String, int[]> rulesByValue) {}

  private final List<FirstCondition> firstConditions;
  private final List<SegmentRule> declared;
  private final @Nullable Discovery discovery;

  public Segments(List<SegmentRule> declared) {
    this(declared, null);
  }

  /// @param discovery null: only declared segments
  public Segments(List<SegmentRule> declared, @Nullable Discovery discovery) {
    this.declared = List.copyOf(declared);
    this.discovery = discovery;
    if (declared.size() > DECLARED_MAX) {
      throw new IllegalArgumentException("%d segments declared, at most %d allowed".formatted(declared.size(), DECLARED_MAX));
    }
    Set<String> names = new HashSet<>();
    for (SegmentRule rule : declared) {
      if (!names.add(rule.name())) {
        throw new IllegalArgumentException("segment '" + rule.name() + "' is declared twice");
      }
    }
    this.firstConditions = firstConditions(this.declared);
  }

  private static List<FirstCondition> firstConditions(List<SegmentRule> declared) {
    Map<String, Map<String, int[]>> byAttribute = new LinkedHashMap<>();
    for (int i = 0; i < declared.size(); i++) {
      SegmentRule.Condition first = declared.get(i).conditions().getFirst();
      byAttribute
          .computeIfAbsent(first.attribute(), _ -> new HashMap<>())
          .merge(
              first.value(),
              new int[] {i},
              (before, more) -> IntStream.concat(IntStream.of(before), IntStream.of(more)).toArray());
    }
    return byAttribute.entrySet().stream()
        .map(entry -> new FirstCondition(entry.getKey(), Map.copyOf(entry.getValue())))
        .toList();
  }

  /// Declared segments and `other`; segments found on the way have the numbers that follow.
  public int declaredAndOther() {
    return declared.size() + 1;
  }

  /// The most segments there can ever be.
  public int capacity() {
    return declaredAndOther() + (discovery == null ? 0 : discovery.max());
  }

  /// The attribute whose values become segments, or null.
  public @Nullable String discovered() {
    return discovery == null ? null : discovery.attribute();
  }

  public boolean anyDeclared() {
    return !declared.isEmpty();
  }

  /// The name of a declared segment or of `other`.
  public String name(int segment) {
    return segment < declared.size() ? declared.get(segment).name() : OTHER;
  }

  /// The index of a segment by name, or -1.
  public int indexOf(String name) {
    for (int i = 0; i < declaredAndOther(); i++) {
      if (name(i).equals(name)) {
        return i;
      }
    }
    return -1;
  }

  /// The declared segment of a request, or that of `other`: an index.
  public int of(Attributes attributes) {
    return of(attributes, Attributes::value);
  }

  /// The same of one of many callers.
  public <C> int of(C caller, Attributes.Of<C> attributes) {
    int found = declared.size();
    for (int a = 0; a < firstConditions.size(); a++) {
      FirstCondition first = firstConditions.get(a);
      String value = attributes.value(caller, first.attribute());
      int[] rules = value == null ? null : first.rulesByValue().get(value);
      for (int r = 0; rules != null && r < rules.length && rules[r] < found; r++) {
        if (declared.get(rules[r]).matchesBeyondFirst(caller, attributes)) {
          found = rules[r];
        }
      }
    }
    return found;
  }

  public List<SegmentRule> declared() {
    return declared;
  }
}
