package dev.sluice.gateway.note;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.note.Cursor.Fields;
import dev.sluice.gateway.note.Cursor.Placed;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.SegmentRule.Condition;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Segments.Discovery;
import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.comparison.Comparison.Boxes;
import dev.sluice.router.rollout.Acceptance;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutNote.BlastRadius;
import dev.sluice.router.rollout.RolloutNote.FallbackPath;
import dev.sluice.router.rollout.RolloutNote.LabelPlan;
import dev.sluice.router.rollout.RolloutNote.Mode;
import dev.sluice.router.rollout.RolloutNote.Promotion;
import dev.sluice.router.rollout.RolloutNote.StickyKey;
import dev.sluice.router.rollout.Step;
import dev.sluice.router.rollout.Step.ExpansionCondition;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.api.lowlevel.Compose;
import org.snakeyaml.engine.v2.api.lowlevel.Parse;
import org.snakeyaml.engine.v2.events.CollectionEndEvent;
import org.snakeyaml.engine.v2.events.CollectionStartEvent;
import org.snakeyaml.engine.v2.events.Event;
import org.snakeyaml.engine.v2.events.NodeEvent;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.nodes.Node;

/// Reads a rollout note, and finds all of its problems in one reading.
///
/// Each method below reads one section and looks like it. Nothing is guessed: an unknown field, a number without its
/// unit or a key given twice is a problem. Limits that belong to a value (how many rules, which alpha) are the
/// router's, asked for by building the value; checks across sections stand at the end.
public final class NoteReader {

  /// What a rollout may be called: its name is also a file name and a metric label.
  public static final Pattern ROLLOUT_NAME = Pattern.compile("[a-z0-9][a-z0-9-]{0,62}");

  /// The longest note, in characters.
  public static final int LENGTH_MAX = 65_536;

  private static final int DEPTH_MAX = 8;

  static final List<String> NOTE =
      List.of(
          "rollout", "model", "owner", "summary", "baseline", "candidate", "key", "segments", "discover", "compare",
          "repeat", "labels", "steps", "stopRules", "alpha", "mode", "fallback", "blastRadius", "promotion", "coolDown",
          "successMetrics", "contacts");
  static final List<String> LABELS = List.of("output", "column", "horizon", "missing");
  static final List<String> DISCOVERY = List.of("attribute", "max");
  static final List<String> COMPARISON =
      List.of(
          "threshold", "column", "absolute", "relative", "scale", "ulp", "top-k", "overlap", "rank-correlation", "cosine",
          "kl", "js", "iou", "format");
  static final List<String> STEP = List.of("shadow", "canary", "until");
  static final List<String> UNTIL = List.of("observations", "perSegment", "time", "accept");
  static final List<String> ACCEPT = List.of("error-rate", "fallback-rate", "disagreement-rate", "error-ratio");
  static final List<String> STOP_RULE =
      List.of(
          "error-rate", "fallback-rate", "disagreement-rate", "latency", "error-ratio", "latency-ratio", "paired-errors",
          "paired-latency", "disagreement-over-noise", "score-difference", "mean-cost", "calibration", "drift",
          "sample-ratio", "max-requests", "max-failures", "max-keys", "max-run-time", "crash");
  static final List<String> FALLBACK = List.of("deadlineShare", "timeout");
  static final List<String> BLAST_RADIUS = List.of("weight", "exclude");

  private static final String COMPARISONS_KNOWN =
      "top-1, exact, or one of threshold, absolute, relative, ulp, top-k, rank-correlation, cosine, kl, js, iou";
  private static final Set<String> WHOLE_NUMBERS = Set.of("ulp", "top-k");
  private static final Map<String, Boxes.Format> BOX_FORMATS =
      Map.of("xyxy", Boxes.Format.XYXY, "xywh", Boxes.Format.XYWH, "cxcywh", Boxes.Format.CXCYWH);

  private static final double ALPHA = 0.001;
  private static final long DISCOVERED = 64;
  private static final int REPEAT_BASIS_POINTS = 2_000;
  private static final double DEADLINE_SHARE = 0.5;
  private static final long TIMEOUT_MILLIS = 1_000;
  private static final long COOL_DOWN_MILLIS = 600_000;

  private NoteReader() {}

  /// The note, ready to be armed.
  ///
  /// @throws NoteProblemsException with every problem there is
  public static RolloutNote read(String yaml) throws NoteProblemsException {
    List<NoteProblem> problems = new ArrayList<>();
    Optional<RolloutNote> note = compose(yaml, problems).flatMap(root -> note(Cursor.root(root, problems)));
    return note.orElseThrow(() -> new NoteProblemsException(problems));
  }

  /// What a note is recognised by once it is frozen: the SHA-256 of its text, in hex.
  public static String sha256(String yaml) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(yaml.getBytes(UTF_8)));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException("every Java platform has SHA-256", impossible);
    }
  }

  // --- YAML ----------------------------------------------------------------------------------------------------------

  private static Optional<Node> compose(String yaml, List<NoteProblem> problems) {
    if (yaml.length() > LENGTH_MAX) {
      String tooLong = "the note has %d characters, at most %d allowed".formatted(yaml.length(), LENGTH_MAX);
      problems.add(problem(Optional.empty(), tooLong));
      return Optional.empty();
    }
    LoadSettings settings = LoadSettings.builder().setLabel("note").setCodePointLimit(LENGTH_MAX).build();
    try {
      // Events first, because they come one by one: composing nodes recurses, so its depth must be known before.
      refuseWhatNodesCannotBear(new Parse(settings).parseString(yaml), problems);
      if (!problems.isEmpty()) {
        return Optional.empty();
      }
      Optional<Node> root = new Compose(settings).composeString(yaml);
      if (root.isEmpty()) {
        problems.add(problem(Optional.empty(), "the note is empty"));
      }
      return root;
    } catch (MarkedYamlEngineException broken) {
      problems.add(problem(broken.getProblemMark(), "is not YAML: " + broken.getProblem()));
    } catch (YamlEngineException broken) {
      problems.add(problem(Optional.empty(), "is not YAML: " + broken.getMessage()));
    }
    return Optional.empty();
  }

  private static void refuseWhatNodesCannotBear(Iterable<Event> events, List<NoteProblem> problems) {
    int depth = 0;
    for (Event event : events) {
      depth += event instanceof CollectionStartEvent ? 1 : event instanceof CollectionEndEvent ? -1 : 0;
      if (depth > DEPTH_MAX) {
        problems.add(problem(event.getStartMark(), "is nested more than %d deep".formatted(DEPTH_MAX)));
        return;
      }
      if (event instanceof NodeEvent node && node.getAnchor().isPresent()) {
        String tooClever = "anchors and aliases are not allowed: a note says everything in its place";
        problems.add(problem(event.getStartMark(), tooClever));
      }
    }
  }

  private static NoteProblem problem(Optional<Mark> mark, String message) {
    return new NoteProblem(mark.map(Mark::getLine).orElse(0) + 1, mark.map(Mark::getColumn).orElse(0) + 1, "", message);
  }

  // --- sections ------------------------------------------------------------------------------------------------------

  private static Optional<RolloutNote> note(Cursor root) {
    Fields note = root.fields(NOTE);
    String name =
        note.required("rollout")
            .text(ROLLOUT_NAME, "1 to 63 lower-case letters, digits and hyphens, beginning with a letter or digit");
    String model = note.required("model").text();
    String owner = note.required("owner").text();
    note.optional("summary").ifPresent(Cursor::text);
    long baseline = note.required("baseline").wholeNumber(1);
    long candidate = note.required("candidate").wholeNumber(1);
    StickyKey key =
        note.optional("key")
            .flatMap(at -> at.oneOf(Map.of("sluice-key", StickyKey.KEY, "sluice-tenant", StickyKey.TENANT)))
            .orElse(StickyKey.KEY);
    List<SegmentRule> segments = note.optional("segments").map(NoteReader::segments).orElse(List.of());
    Optional<Discovery> discovery = note.optional("discover").flatMap(NoteReader::discovery);
    Map<String, Comparison> comparisons = note.optional("compare").map(NoteReader::comparisons).orElse(Map.of());
    List<Placed<Step>> steps = note.required("steps").each(1, NoteReader::step);
    List<Placed<StopRule>> rules = note.required("stopRules").each(1, RuleReader::rule);
    int repeat =
        note.optional("repeat").map(Cursor::basisPoints).orElse(RuleChecks.needRepeats(rules) ? REPEAT_BASIS_POINTS : 0);
    double alpha = note.optional("alpha").map(NoteReader::alpha).orElse(ALPHA);
    Mode mode =
        note.optional("mode").flatMap(at -> at.oneOf(Map.of("live", Mode.LIVE, "dry-run", Mode.DRY_RUN))).orElse(Mode.LIVE);
    Optional<FallbackPath> fallback = fallback(note.section("fallback", FALLBACK));
    int largestWeight = steps.stream().mapToInt(step -> step.value().weightBasisPoints()).max().orElse(0);
    Optional<BlastRadius> blastRadius = blastRadius(note.section("blastRadius", BLAST_RADIUS), largestWeight);
    Promotion promotion =
        note.optional("promotion")
            .flatMap(at -> at.oneOf(Map.of("automatic", Promotion.AUTOMATIC, "manual", Promotion.MANUAL)))
            .orElse(Promotion.MANUAL);
    long coolDownMillis = note.optional("coolDown").map(Cursor::millis).orElse(COOL_DOWN_MILLIS);
    Optional<LabelPlan> labels = note.optional("labels").flatMap(NoteReader::labels);
    note.optional("successMetrics").ifPresent(NoteReader::texts);
    note.optional("contacts").ifPresent(NoteReader::texts);

    note.optional("candidate").ifPresent(at -> checkVersions(baseline, candidate, at));
    blastRadius.ifPresent(radius -> checkWeights(steps, radius));
    boolean anySegments = !segments.isEmpty() || discovery.isPresent();
    note.optional("stopRules").ifPresent(at -> RuleChecks.number(at, rules));
    RuleChecks.labels(rules, note.has("labels"));
    RuleChecks.contradictions(rules, !segments.isEmpty(), anySegments);
    if (!hasProblems(note, "stopRules")) {
      RuleChecks.acceptances(steps, rules);
    }
    if (!hasProblems(note, "compare") && !hasProblems(note, "steps") && !hasProblems(note, "repeat")) {
      RuleChecks.canSee(rules, !comparisons.isEmpty(), repeat, Placed.values(steps));
    }
    return root.make(
        () ->
            new RolloutNote(
                name, model, owner, baseline, candidate, key, segments, comparisons, Placed.values(steps),
                Placed.values(rules), alpha, fallback.orElseThrow(), blastRadius.orElseThrow(), promotion,
                coolDownMillis, discovery.orElse(null), repeat, mode, labels.orElse(null)));
  }

  private static List<SegmentRule> segments(Cursor at) {
    List<Placed<SegmentRule>> rules = at.each(0, NoteReader::segment);
    at.make(() -> new Segments(Placed.values(rules)));
    if (!at.hasProblems()) {
      checkOccurrence(rules);
    }
    return Placed.values(rules);
  }

  private static Optional<SegmentRule> segment(Cursor at) {
    String text = at.text();
    Optional<SegmentRule> rule = at.make(() -> SegmentRule.parse(text));
    rule.ifPresent(
        r -> {
          if (r.conditions().stream().map(Condition::attribute).distinct().count() < r.conditions().size()) {
            at.problem("'%s' can never occur: it names an attribute twice, and a request has one value of each".formatted(text));
          }
        });
    return rule;
  }

  /// A segment is never met if one before it takes every request that it would match.
  private static void checkOccurrence(List<Placed<SegmentRule>> rules) {
    for (int later = 0; later < rules.size(); later++) {
      for (int earlier = 0; earlier < later; earlier++) {
        if (rules.get(later).value().conditions().containsAll(rules.get(earlier).value().conditions())) {
          rules.get(later).at()
              .problem(
                  "'%s' can never occur: '%s' stands before it and matches every such request"
                      .formatted(rules.get(later).value().name(), rules.get(earlier).value().name()));
          break;
        }
      }
    }
  }

  private static Optional<LabelPlan> labels(Cursor at) {
    Fields fields = at.fields(LABELS);
    String output = fields.required("output").text();
    int column = fields.optional("column").map(NoteReader::index).orElse(0);
    long horizonMillis = fields.required("horizon").millis();
    LabelPlan.Missing missing =
        fields.optional("missing")
            .flatMap(m -> m.oneOf(Map.of("excluded", LabelPlan.Missing.EXCLUDED, "negative", LabelPlan.Missing.NEGATIVE)))
            .orElse(LabelPlan.Missing.EXCLUDED);
    return at.make(() -> new LabelPlan(output, column, horizonMillis, missing));
  }

  private static Optional<Discovery> discovery(Cursor at) {
    Fields fields = at.fields(DISCOVERY);
    String attribute = fields.required("attribute").text();
    long max = fields.optional("max").map(c -> c.wholeNumber(1)).orElse(DISCOVERED);
    return at.make(() -> new Discovery(attribute, (int) Math.min(max, Integer.MAX_VALUE)));
  }

  private static Map<String, Comparison> comparisons(Cursor at) {
    Map<String, Comparison> byOutput = new LinkedHashMap<>();
    at.entries().forEach((output, how) -> comparison(how).ifPresent(comparison -> byOutput.put(output, comparison)));
    return byOutput;
  }

  /// One comparison, or a list of them.
  private static Optional<Comparison> comparison(Cursor at) {
    if (at.isList()) {
      List<Comparison> several = Placed.values(at.each(1, NoteReader::oneComparison));
      return at.make(() -> new Comparison.Several(several));
    }
    return oneComparison(at);
  }

  private static Optional<Comparison> oneComparison(Cursor at) {
    if (at.isScalar()) {
      return at.oneOf(Map.of("top-1", new Comparison.TopOne(), "exact", new Comparison.Exact()));
    }
    Fields fields = at.fields(COMPARISON);
    List<String> kinds = fields.found().keySet().stream().map(NoteReader::comparisonKind).distinct().toList();
    List<String> leading = fields.found().keySet().stream()
        .filter(field -> field.equals("relative") || comparisonKind(field).equals(field))
        .map(NoteReader::comparisonKind)
        .distinct()
        .toList();
    if (leading.size() > 1) {
      at.problem(
          "is both '%s' and '%s'; expected one of them, or a list of comparisons"
              .formatted(leading.get(0), leading.get(1)));
    } else if (leading.isEmpty() && !at.hasProblems()) {
      at.problem("says nothing to compare by; expected " + COMPARISONS_KNOWN);
    } else if (kinds.size() > 1 && !at.hasProblems()) {
      at.problem("has fields of '%s' and of '%s'; expected those of one".formatted(kinds.get(0), kinds.get(1)));
    }
    return at.hasProblems() ? Optional.empty() : comparison(leading.getFirst(), at, fields);
  }

  /// The field that says what a comparison is, for this one and those that go with it.
  private static String comparisonKind(String field) {
    return switch (field) {
      case "column" -> "threshold";
      case "relative", "scale" -> "absolute";
      case "overlap" -> "top-k";
      case "format" -> "iou";
      default -> field;
    };
  }

  private static Optional<Comparison> comparison(String kind, Cursor at, Fields fields) {
    double number = WHOLE_NUMBERS.contains(kind) ? 0 : fields.optional(kind).map(Cursor::decimal).orElse(0.0);
    return switch (kind) {
      case "absolute" -> {
        double relative = fields.optional("relative").map(Cursor::decimal).orElse(0.0);
        double scale = fields.optional("scale").map(NoteReader::scale).orElse(0.0);
        yield at.make(() -> new Comparison.Numeric(number, relative, scale));
      }
      case "threshold" -> {
        int column = fields.optional("column").map(NoteReader::index).orElse(-1);
        yield at.make(() -> new Comparison.Threshold(number, column));
      }
      case "ulp" -> {
        long most = fields.required("ulp").wholeNumber(0);
        yield at.make(() -> new Comparison.Ulp(most));
      }
      case "top-k" -> {
        int k = index(fields.required("top-k"));
        double overlap = fields.optional("overlap").map(Cursor::decimal).orElse(1.0);
        yield at.make(() -> new Comparison.TopK(k, overlap));
      }
      case "iou" -> {
        Optional<Boxes.Format> format = fields.required("format").oneOf(BOX_FORMATS);
        yield at.make(() -> new Boxes(number, format.orElseThrow()));
      }
      case "rank-correlation" -> at.make(() -> new Comparison.RankCorrelation(number));
      case "cosine" -> at.make(() -> new Comparison.Cosine(number));
      case "kl" -> at.make(() -> new Comparison.KullbackLeibler(number));
      case "js" -> at.make(() -> new Comparison.JensenShannon(number));
      default -> throw new IllegalStateException("no reader for the comparison " + kind);
    };
  }

  private static double scale(Cursor at) {
    double scale = at.decimal();
    if (scale <= 0 && !at.hasProblems()) {
      at.problem("is %s; expected a number above 0".formatted(scale));
    }
    return scale;
  }

  private static int index(Cursor at) {
    return (int) Math.min(at.wholeNumber(0), Integer.MAX_VALUE);
  }

  private static Optional<Step> step(Cursor at) {
    Fields step = at.fields(STEP);
    Optional<ExpansionCondition> until = until(step.required("until"));
    if (step.has("canary")) {
      int weight = step.required("canary").basisPoints();
      int shadow = step.optional("shadow").map(Cursor::basisPoints).orElse(0);
      return at.make(() -> new Step.Canary(weight, shadow, until.orElseThrow()));
    }
    if (!step.has("shadow") && !at.hasProblems()) {
      at.problem("has neither shadow nor canary; expected one of them, or both");
    }
    int shadow = step.optional("shadow").map(Cursor::basisPoints).orElse(0);
    return at.make(() -> new Step.Shadow(shadow, until.orElseThrow()));
  }

  private static Optional<ExpansionCondition> until(Cursor at) {
    Fields until = at.fields(UNTIL);
    long observations = until.required("observations").wholeNumber(1);
    long perSegment = until.optional("perSegment").map(c -> c.wholeNumber(0)).orElse(0L);
    long millis = until.optional("time").map(Cursor::millis).orElse(0L);
    List<Acceptance> accept =
        until.optional("accept").map(list -> Placed.values(list.each(1, NoteReader::acceptance))).orElse(List.of());
    return at.make(() -> new ExpansionCondition(observations, perSegment, millis, accept));
  }

  /// One thing to be shown: `error-rate: 1%` or `error-ratio: 3`.
  private static Optional<Acceptance> acceptance(Cursor at) {
    return at.single(ACCEPT, "error-rate: 1%").flatMap(named -> acceptance(at, named.name(), named.at()));
  }

  private static Optional<Acceptance> acceptance(Cursor at, String name, Cursor value) {
    if (name.equals("error-ratio")) {
      double margin = value.decimal();
      return at.make(() -> new Acceptance.ErrorRatioBelow(margin));
    }
    double limit = value.fraction();
    return at.make(() -> new Acceptance.RateBelow(name, limit));
  }

  /// The router says which alpha it can arm.
  private static double alpha(Cursor at) {
    double alpha = at.decimal();
    at.make(
        () -> {
          ArmedRules.checkAlpha(alpha);
          return alpha;
        });
    return alpha;
  }

  private static Optional<FallbackPath> fallback(Fields fallback) {
    double share = fallback.optional("deadlineShare").map(Cursor::fraction).orElse(DEADLINE_SHARE);
    long timeoutMillis = fallback.optional("timeout").map(Cursor::millis).orElse(TIMEOUT_MILLIS);
    return fallback.at().make(() -> new FallbackPath(share, timeoutMillis));
  }

  private static Optional<BlastRadius> blastRadius(Fields radius, int largestWeight) {
    int weight = radius.optional("weight").map(Cursor::basisPoints).orElse(largestWeight);
    List<SegmentRule> excluded = radius.optional("exclude").map(NoteReader::segments).orElse(List.of());
    return radius.at().make(() -> new BlastRadius(weight, excluded));
  }

  /// Kept for people, in the note's text.
  private static void texts(Cursor at) {
    at.each(0, text -> Optional.of(text.text()));
  }

  // --- across sections -----------------------------------------------------------------------------------------------

  private static void checkVersions(long baseline, long candidate, Cursor at) {
    if (baseline == candidate && !at.hasProblems()) {
      at.problem("is %d, as the baseline is; expected another version".formatted(candidate));
    }
  }

  private static void checkWeights(List<Placed<Step>> steps, BlastRadius radius) {
    int before = 0;
    for (Placed<Step> step : steps) {
      int weight = step.value().weightBasisPoints();
      if (weight < before) {
        step.at().problem("the candidate's weight falls from %s to %s".formatted(percent(before), percent(weight)));
      }
      if (weight > radius.weightBasisPoints()) {
        step.at()
            .problem(
                "canary %s is beyond the blast radius of %s"
                    .formatted(percent(weight), percent(radius.weightBasisPoints())));
      }
      before = weight;
    }
  }

  private static boolean hasProblems(Fields note, String section) {
    return note.optional(section).map(Cursor::hasProblems).orElse(false);
  }

  private static String percent(int basisPoints) {
    return basisPoints % 100 == 0 ? basisPoints / 100 + "%" : basisPoints / 100.0 + "%";
  }
}
