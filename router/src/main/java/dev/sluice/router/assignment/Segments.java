package dev.sluice.router.assignment;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
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
