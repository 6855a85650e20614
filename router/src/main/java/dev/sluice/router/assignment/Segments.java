package dev.sluice.router.assignment;

import java.util.HashSet;
import java.util.List;
import java.util.Set;

/// The segments of one rollout: those its note declares, in order, and then `other` for every request that fits none.
///
/// A request belongs to exactly one segment, the first that matches, so the segments add up to the whole. Values that no one
/// declared never create a segment: their number is bounded by the note.
public final class Segments {

  /// The segment of everything that no declared segment matches.
  public static final String OTHER = "other";

  /// The most segments that a note may declare.
  public static final int DECLARED_MAX = 256;

  private final List<SegmentRule> declared;

  public Segments(List<SegmentRule> declared) {
    this.declared = List.copyOf(declared);
    if (declared.size() > DECLARED_MAX) {
      throw new IllegalArgumentException("%d segments declared, at most %d allowed".formatted(declared.size(), DECLARED_MAX));
    }
    Set<String> names = new HashSet<>();
    for (SegmentRule rule : declared) {
      if (!names.add(rule.name())) {
        throw new IllegalArgumentException("segment '" + rule.name() + "' is declared twice");
      }
    }
  }

  /// Declared segments and `other`.
  public int count() {
    return declared.size() + 1;
  }

  public boolean anyDeclared() {
    return !declared.isEmpty();
  }

  public String name(int segment) {
    return segment < declared.size() ? declared.get(segment).name() : OTHER;
  }

  /// The index of a segment by name, or -1.
  public int indexOf(String name) {
    for (int i = 0; i < count(); i++) {
      if (name(i).equals(name)) {
        return i;
      }
    }
    return -1;
  }

  /// The segment of a request, an index.
  public int of(Attributes attributes) {
    for (int i = 0; i < declared.size(); i++) {
      if (declared.get(i).matches(attributes)) {
        return i;
      }
    }
    return declared.size();
  }

  public List<SegmentRule> declared() {
    return declared;
  }
}
