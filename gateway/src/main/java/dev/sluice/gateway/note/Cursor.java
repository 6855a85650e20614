package dev.sluice.gateway.note;

import static java.util.Objects.requireNonNull;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.nodes.MappingNode;
import org.snakeyaml.engine.v2.nodes.Node;
import org.snakeyaml.engine.v2.nodes.NodeTuple;
import org.snakeyaml.engine.v2.nodes.ScalarNode;
import org.snakeyaml.engine.v2.nodes.SequenceNode;
import org.snakeyaml.engine.v2.nodes.Tag;

/// One place in a note: reads what stands there, or writes down a problem and goes on.
///
/// So that one reading finds every problem, a read that fails answers with a stand-in (an empty text, a zero). No
/// stand-in is ever used: [#make] builds a value only where there is no problem at or below its place. A cursor may
/// also point at a field that is missing and has been reported as such; it reads as stand-ins and reports nothing more.
final class Cursor {

  private static final Pattern PERCENT = Pattern.compile("(\\d{1,9}(?:\\.\\d{1,9})?)%");
  private static final Pattern DURATION = Pattern.compile("(\\d{1,9})(us|ms|s|m|h)");
  private static final Pattern DECIMAL = Pattern.compile("-?\\d{1,30}(?:\\.\\d{0,30})?(?:[eE][-+]?\\d{1,3})?");
  private static final Map<String, Long> UNIT_NANOS =
      Map.of("us", 1_000L, "ms", 1_000_000L, "s", 1_000_000_000L, "m", 60_000_000_000L, "h", 3_600_000_000_000L);
  private static final long HOURS_MAX = 8_784; // a leap year
  private static final int TEXT_MAX = 4_096;
  private static final int SHOWN_MAX = 60;

  private final @Nullable Node node;
  private final Optional<Mark> mark;
  private final String path;
  private final List<NoteProblem> problems;

  private Cursor(@Nullable Node node, Optional<Mark> mark, String path, List<NoteProblem> problems) {
    this.node = node;
    this.mark = mark;
    this.path = path;
    this.problems = problems;
  }

  static Cursor root(Node node, List<NoteProblem> problems) {
    return new Cursor(node, node.getStartMark(), "", problems);
  }

  // --- problems ------------------------------------------------------------------------------------------------------

  String path() {
    return path;
  }

  void problem(String message) {
    problem(mark, path, message);
  }

  private void problem(Optional<Mark> where, String path, String message) {
    problems.add(
        new NoteProblem(
            where.map(Mark::getLine).orElse(0) + 1, where.map(Mark::getColumn).orElse(0) + 1, path, message));
  }

  /// Whether there is a problem at this place or below it.
  boolean hasProblems() {
    return problems.stream()
        .map(NoteProblem::path)
        .anyMatch(p -> path.isEmpty() || p.equals(path) || p.startsWith(path + ".") || p.startsWith(path + "["));
  }

  /// Builds the value of this place if nothing is wrong with it; a refusal by the value itself is a problem of this
  /// place.
  <T> Optional<T> make(Supplier<T> maker) {
    if (hasProblems()) {
      return Optional.empty();
    }
    try {
      return Optional.of(maker.get());
    } catch (IllegalArgumentException refused) {
      problem(String.valueOf(refused.getMessage()));
      return Optional.empty();
    }
  }

  private void expected(String expectation) {
    if (node != null) {
      problem(seen(node) + "; expected " + expectation);
    }
  }

  private static String seen(Node node) {
    if (node instanceof ScalarNode scalar) {
      Tag tag = scalar.getTag();
      String value = shortened(scalar.getValue());
      if (tag.equals(Tag.NULL)) {
        return "is empty";
      }
      if (tag.equals(Tag.STR)) {
        return "is the text '" + value + "'";
      }
      return tag.equals(Tag.INT) || tag.equals(Tag.FLOAT) ? "is the number " + value : "is " + value;
    }
    return node instanceof MappingNode ? "is a mapping" : "is a list";
  }

  private static String shortened(String text) {
    return text.length() <= SHOWN_MAX ? text : text.substring(0, SHOWN_MAX) + "...";
  }

  // --- structure -----------------------------------------------------------------------------------------------------

  /// The fields of a mapping that may have these fields and no others.
  Fields fields(List<String> known) {
    Map<String, Cursor> found = new LinkedHashMap<>();
    if (node instanceof MappingNode mapping) {
      for (NodeTuple tuple : mapping.getValue()) {
        String name = key(tuple.getKeyNode(), found);
        if (name != null && known.contains(name)) {
          found.put(name, child(tuple, name));
        } else if (name != null) {
          String hint =
              Spelling.nearest(name, known)
                  .map(near -> "did you mean '" + near + "'?")
                  .orElse(known.isEmpty() ? "expected {}" : "expected one of " + String.join(", ", known));
          problem(tuple.getKeyNode().getStartMark(), below(name), "is not a field of a rollout note here; " + hint);
        }
      }
    } else {
      expected(known.isEmpty() ? "{}" : "a mapping with " + String.join(", ", known));
    }
    return new Fields(this, found);
  }

  /// The one entry of a mapping that chooses among names, such as `error-rate: { limit: 1% }`.
  Optional<Named> single(List<String> known, String example) {
    Map<String, Cursor> found = fields(known).found();
    if (found.size() != 1 && !hasProblems()) {
      problem("has %d entries; expected one, such as %s".formatted(found.size(), example));
    }
    return found.size() == 1
        ? found.entrySet().stream().map(entry -> new Named(entry.getKey(), entry.getValue())).findFirst()
        : Optional.empty();
  }

  /// An entry and what it is called.
  record Named(String name, Cursor at) {}

  /// The entries of a mapping whose keys are names of the owner's choice.
  Map<String, Cursor> entries() {
    Map<String, Cursor> found = new LinkedHashMap<>();
    if (node instanceof MappingNode mapping) {
      for (NodeTuple tuple : mapping.getValue()) {
        String name = key(tuple.getKeyNode(), found);
        if (name != null) {
          found.put(name, child(tuple, name));
        }
      }
    } else {
      expected("a mapping by name");
    }
    return found;
  }

  private @Nullable String key(Node key, Map<String, Cursor> before) {
    if (!(key instanceof ScalarNode scalar)) {
      problem(key.getStartMark(), path, "a key " + seen(key) + "; expected a name");
      return null;
    }
    if (before.containsKey(scalar.getValue())) {
      problem(key.getStartMark(), below(scalar.getValue()), "is given twice");
      return null;
    }
    return scalar.getValue();
  }

  private Cursor child(NodeTuple tuple, String name) {
    return new Cursor(tuple.getValueNode(), tuple.getValueNode().getStartMark(), below(name), problems);
  }

  private String below(String name) {
    return (path.isEmpty() ? "" : path + ".") + shortened(name);
  }

  boolean isList() {
    return node instanceof SequenceNode;
  }

  /// Reads each element of a list of at least `min`, and keeps the good ones with their places.
  <T> List<Placed<T>> each(int min, Function<Cursor, Optional<T>> read) {
    List<Placed<T>> all = new ArrayList<>();
    if (node instanceof SequenceNode sequence) {
      if (sequence.getValue().size() < min) {
        problem("has %d elements; at least %d expected".formatted(sequence.getValue().size(), min));
      }
      for (int i = 0; i < sequence.getValue().size(); i++) {
        Node element = sequence.getValue().get(i);
        Cursor at = new Cursor(element, element.getStartMark(), path + "[" + i + "]", problems);
        read.apply(at).ifPresent(value -> all.add(new Placed<>(at, value)));
      }
    } else {
      expected("a list");
    }
    return all;
  }

  /// A value and where it came from, for checks that look at several places at once.
  record Placed<T>(Cursor at, T value) {
    static <T> List<T> values(List<Placed<T>> placed) {
      return placed.stream().map(Placed::value).toList();
    }
  }

  /// The fields found in a mapping.
  static final class Fields {
    private final Cursor at;
    private final Map<String, Cursor> found;

    private Fields(Cursor at, Map<String, Cursor> found) {
      this.at = at;
      this.found = found;
    }

    Cursor at() {
      return at;
    }

    boolean has(String name) {
      return found.containsKey(name);
    }

    Map<String, Cursor> found() {
      return found;
    }

    Optional<Cursor> optional(String name) {
      return Optional.ofNullable(found.get(name));
    }

    Cursor required(String name) {
      return optional(name)
          .orElseGet(
              () -> {
                Cursor missing = at.absent(name);
                if (at.node instanceof MappingNode) {
                  missing.problem("is missing");
                }
                return missing;
              });
    }

    /// The fields of a mapping within this one; none of them if it is left out.
    Fields section(String name, List<String> known) {
      return optional(name)
          .map(section -> section.fields(known))
          .orElseGet(() -> new Fields(at.absent(name), Map.of()));
    }
  }

  private Cursor absent(String name) {
    return new Cursor(null, mark, below(name), problems);
  }

  // --- scalars -------------------------------------------------------------------------------------------------------

  boolean isScalar() {
    return node instanceof ScalarNode;
  }

  String text() {
    return scalar(Tag.STR)
        .filter(text -> !text.isBlank() && text.length() <= TEXT_MAX)
        .orElseGet(
            () -> {
              expected("a text of 1 to " + TEXT_MAX + " characters");
              return "";
            });
  }

  String text(Pattern pattern, String expectation) {
    return scalar(Tag.STR)
        .filter(text -> pattern.matcher(text).matches())
        .orElseGet(
            () -> {
              expected(expectation);
              return "";
            });
  }

  <T> Optional<T> oneOf(Map<String, T> values) {
    Optional<T> value = scalar(Tag.STR).flatMap(text -> Optional.ofNullable(values.get(text)));
    if (value.isEmpty()) {
      expected(String.join(" or ", new TreeSet<>(values.keySet())));
    }
    return value;
  }

  long wholeNumber(long min) {
    Optional<String> text = scalar(Tag.INT).filter(number -> number.matches("\\d{1,18}"));
    if (text.isEmpty() || Long.parseLong(text.get()) < min) {
      expected("a whole number of at least " + min);
      return min;
    }
    return Long.parseLong(text.get());
  }

  double decimal() {
    Optional<String> text =
        scalar(Tag.INT)
            .or(() -> scalar(Tag.FLOAT))
            .filter(number -> DECIMAL.matcher(number).matches() && Double.isFinite(Double.parseDouble(number)));
    if (text.isEmpty()) {
      expected("a number such as 0.5 or 1e-4");
    }
    return text.map(Double::parseDouble).orElse(0.0);
  }

  /// A percentage as a fraction: `2.5%` is 0.025.
  double fraction() {
    return percent().movePointLeft(2).doubleValue();
  }

  /// A share of traffic: `2.5%` is 250. The finest share is a basis point.
  int basisPoints() {
    BigDecimal percent = percent();
    if (percent.compareTo(BigDecimal.valueOf(100)) > 0) {
      problem(percent.toPlainString() + "% is not between 0% and 100%");
      return 0;
    }
    BigDecimal basisPoints = percent.movePointRight(2);
    if (basisPoints.stripTrailingZeros().scale() > 0) {
      problem(percent.toPlainString() + "% is not a multiple of 0.01%");
      return 0;
    }
    return basisPoints.intValue();
  }

  private BigDecimal percent() {
    Optional<Matcher> match = scalar(Tag.STR).map(PERCENT::matcher).filter(Matcher::matches);
    if (match.isEmpty()) {
      expected("a percentage such as 5% or 0.25%");
      return BigDecimal.ZERO;
    }
    return new BigDecimal(requireNonNull(match.get().group(1)));
  }

  long nanos() {
    Optional<Matcher> match = scalar(Tag.STR).map(DURATION::matcher).filter(Matcher::matches);
    if (match.isEmpty()) {
      expected("a duration such as 500us, 200ms, 10s, 5m or 2h");
      return 0;
    }
    long count = Long.parseLong(requireNonNull(match.get().group(1)));
    long unit = requireNonNull(UNIT_NANOS.get(match.get().group(2)));
    long most = HOURS_MAX * requireNonNull(UNIT_NANOS.get("h"));
    if (count > most / unit) {
      problem(match.get().group() + " is longer than " + HOURS_MAX + "h");
      return 0;
    }
    return count * unit;
  }

  long millis() {
    long nanos = nanos();
    if (nanos % 1_000_000 != 0) {
      expected("whole milliseconds");
      return 0;
    }
    return nanos / 1_000_000;
  }

  private Optional<String> scalar(Tag tag) {
    return node instanceof ScalarNode scalar && scalar.getTag().equals(tag)
        ? Optional.of(scalar.getValue())
        : Optional.empty();
  }
}
