package dev.sluice.gateway.simulation;

import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.stop.StopRule;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A recorded stream: one JSON object per line, one line per request, in the order of time.
///
/// ```
/// {"t": 1200, "key": "user-7", "segment": {"country": "DE"}, "baseline": {"ms": 3.1, "ok": true}, "candidate": {"ms": 3.4, "ok": true},
///  "disagrees": false, "difference": 0.01, "repeat": {"ms": 3.0, "disagrees": false}, "loss": 0.002,
///  "values": {"amount[0]": {"baseline": 52.1, "candidate": 52.1}}}
/// ```
///
/// Times are milliseconds from any beginning. `t`, `baseline` and `candidate` must be there. What else is missing is: no key, no
/// attributes, no disagreement, a second run of the baseline that is like the first, no label, no numbers.
public final class RecordedCalls {

  /// The longest recording, in requests.
  public static final int REQUESTS_MAX = 2_000_000;

  private static final Set<String> REQUEST =
      new TreeSet<>(
          List.of("t", "key", "segment", "baseline", "candidate", "disagrees", "difference", "repeat", "loss", "values"));
  private static final Set<String> RUN = new TreeSet<>(List.of("ms", "ok", "crash"));
  private static final Set<String> REPEAT = new TreeSet<>(List.of("ms", "disagrees"));
  private static final Set<String> VALUE = new TreeSet<>(List.of("baseline", "candidate"));
  private static final double MILLIS_MAX = 3_600_000;
  private static final long TIME_MAX = 1L << 50;

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(tools.jackson.core.StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build();

  private final List<Call> calls;

  private RecordedCalls(List<Call> calls) {
    this.calls = calls;
  }

  /// A recording that cannot be used.
  public static final class DamagedException extends Exception {
    DamagedException(long line, String problem) {
      super("line %d: %s".formatted(line, problem));
    }
  }

  /// Reads a recording for a note: its drift rules say how numbers are measured.
  ///
  /// @throws DamagedException with the number of the first line that is damaged
  public static RecordedCalls read(Iterator<String> lines, RolloutNote note) throws DamagedException {
    List<Call> calls = new ArrayList<>();
    long number = 0;
    long before = 0;
    while (lines.hasNext()) {
      String line = lines.next();
      number++;
      if (calls.size() == REQUESTS_MAX) {
        throw new DamagedException(number, "there are more than %,d requests".formatted(REQUESTS_MAX));
      }
      Call call = new Line(number, note.stopRules()).read(line);
      if (call.atMillis() < before) {
        throw new DamagedException(number, "t: %d is before the line above, %d".formatted(call.atMillis(), before));
      }
      before = call.atMillis();
      calls.add(call);
    }
    if (calls.isEmpty()) {
      throw new DamagedException(1, "there is no request");
    }
    return new RecordedCalls(calls);
  }

  public int requests() {
    return calls.size();
  }

  /// From the beginning, its first request at 0.
  Calls replay() {
    Iterator<Call> rest = calls.iterator();
    return () -> rest.hasNext() ? rest.next() : null;
  }

  /// One line on its way to a call.
  private record Line(long number, List<StopRule> rules) {

    Call read(String text) throws DamagedException {
      JsonNode line;
      try {
        line = JSON.readTree(text);
      } catch (JacksonException e) {
        throw damaged("is not JSON: " + e.getOriginalMessage());
      }
      check(line, "the line", REQUEST);
      JsonNode key = line.get("key");
      if (key != null && !key.isString()) {
        throw damaged("key: %s is not a text".formatted(key));
      }
      Map<String, JsonNode> values = values(line);
      Call.Run baseline = run(line, "baseline", values);
      Call.Run candidate = run(line, "candidate", values);
      JsonNode repeat = line.get("repeat");
      if (repeat != null) {
        check(repeat, "repeat", REPEAT);
      }
      Map<String, String> attributes = attributes(line.get("segment"));
      return new Call(
          (long) number(required(line, "", "t"), "t", 0, TIME_MAX), key == null ? null : key.stringValue(),
          attributes::get, baseline, candidate, flag(line.get("disagrees"), "disagrees", false),
          number(line.get("difference"), "difference", 0, 1, 0),
          repeat == null
              ? baseline.nanos()
              : (long) (number(required(repeat, "repeat.", "ms"), "repeat.ms", 0, MILLIS_MAX) * 1e6),
          repeat != null && flag(repeat.get("disagrees"), "repeat.disagrees", false),
          number(line.get("loss"), "loss", -1, 1, Double.NaN));
    }

    private Call.Run run(JsonNode line, String name, Map<String, JsonNode> values) throws DamagedException {
      JsonNode run = required(line, "", name);
      check(run, name, RUN);
      double millis = number(required(run, name + ".", "ms"), name + ".ms", 0, MILLIS_MAX);
      double[] measured = new double[rules.size()];
      Arrays.fill(measured, Double.NaN);
      for (int r = 0; r < measured.length; r++) {
        if (rules.get(r) instanceof StopRule.DriftRule drift) {
          String feature = drift.feature().toString();
          JsonNode value = values.get(feature);
          if (value != null) {
            measured[r] = measured(drift, value.get(name), "values." + feature + "." + name);
          }
        }
      }
      return new Call.Run(
          flag(required(run, name + ".", "ok"), name + ".ok", false), flag(run.get("crash"), name + ".crash", false),
          (long) (millis * 1e6), measured);
    }

    /// Numbers by feature, such as `amount[0]`; features that no rule watches are of no interest.
    private Map<String, JsonNode> values(JsonNode line) throws DamagedException {
      JsonNode values = line.get("values");
      Map<String, JsonNode> byFeature = new HashMap<>();
      if (values == null) {
        return byFeature;
      }
      if (!values.isObject()) {
        throw damaged("values: %s is not an object of numbers by feature".formatted(values));
      }
      for (Map.Entry<String, JsonNode> value : values.properties()) {
        check(value.getValue(), "values." + value.getKey(), VALUE);
        byFeature.put(value.getKey(), value.getValue());
      }
      return byFeature;
    }

    private Map<String, String> attributes(@Nullable JsonNode segment) throws DamagedException {
      Map<String, String> attributes = new HashMap<>();
      if (segment == null) {
        return attributes;
      }
      if (!segment.isObject()) {
        throw damaged("segment: %s is not an object of attributes".formatted(segment));
      }
      for (Map.Entry<String, JsonNode> attribute : segment.properties()) {
        if (!attribute.getValue().isString()) {
          throw damaged("segment.%s: %s is not a text".formatted(attribute.getKey(), attribute.getValue()));
        }
        attributes.put(attribute.getKey(), attribute.getValue().stringValue());
      }
      return attributes;
    }

    private double measured(StopRule.DriftRule drift, @Nullable JsonNode value, String path) throws DamagedException {
      double number = number(value, path, -Double.MAX_VALUE, Double.MAX_VALUE, Double.NaN);
      return switch (drift) {
        case StopRule.MeanDrift mean -> mean.measure(number);
        case StopRule.BinDrift bins -> bins.measure(number);
      };
    }

    private void check(JsonNode node, String name, Set<String> known) throws DamagedException {
      if (!node.isObject()) {
        throw damaged("%s is not an object with %s".formatted(name, known));
      }
      for (String field : node.propertyNames()) {
        if (!known.contains(field)) {
          throw damaged("%s has a field '%s'; expected %s".formatted(name, field, known));
        }
      }
    }

    private JsonNode required(JsonNode node, String path, String field) throws DamagedException {
      JsonNode found = node.get(field);
      if (found == null) {
        throw damaged("%s%s is missing".formatted(path, field));
      }
      return found;
    }

    private boolean flag(@Nullable JsonNode node, String path, boolean otherwise) throws DamagedException {
      if (node == null) {
        return otherwise;
      }
      if (!node.isBoolean()) {
        throw damaged("%s: %s is neither true nor false".formatted(path, node));
      }
      return node.booleanValue();
    }

    private double number(@Nullable JsonNode node, String path, double least, double most, double otherwise)
        throws DamagedException {
      return node == null || node.isNull() ? otherwise : number(node, path, least, most);
    }

    private double number(JsonNode node, String path, double least, double most) throws DamagedException {
      double number = node.isNumber() ? node.doubleValue() : Double.NaN;
      if (!(number >= least && number <= most)) {
        throw damaged("%s: %s is not a number from %s to %s".formatted(path, node, least, most));
      }
      return number;
    }

    private DamagedException damaged(String problem) {
      return new DamagedException(number, problem);
    }
  }
}
