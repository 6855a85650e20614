package dev.sluice.gateway.note;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.assignment.Segments.Discovery;
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
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Cap.Bounded;
import dev.sluice.router.stop.StopRule.Feature;
import dev.sluice.router.stop.StopRule.Scope;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class NoteReaderTest {

  private static final String FULL =
      """
      rollout: fraud-v2
      model: fraud
      owner: payments-risk@example.com
      summary: Factorization machine in place of logistic regression
      baseline: 1
      candidate: 2
      key: sluice-tenant
      segments: [country=JP, "country=US, tier=vip"]
      compare:
        probabilities: { threshold: 0.5, column: 1 }
        "495": { absolute: 1e-4, relative: 1e-3 }
        label: top-1
        id: exact
      steps:
        - shadow: 100%
          until: { observations: 500, perSegment: 20, time: 10s }
        - canary: 0.25%
          shadow: 20%
          until: { observations: 1000, time: 10m }
        - canary: 50%
          until: { observations: 5000 }
      stopRules:
        - error-rate: { limit: 1% }
        - fallback-rate: { limit: 2%, segments: overall }
        - disagreement-rate: { limit: 3%, segments: each }
        - latency: { over: 50ms, limit: 1% }
      alpha: 0.0001
      fallback: { deadlineShare: 40%, timeout: 200ms }
      blastRadius: { weight: 60%, exclude: [tier=vip] }
      promotion: automatic
      coolDown: 2h
      successMetrics: [Chargebacks fall by a tenth]
      contacts: [risk-oncall@example.com]
      """;

  private static final String SHORT =
      """
      rollout: short
      model: fraud
      owner: me
      baseline: 1
      candidate: 2
      steps:
        - canary: 5%
          until: { observations: 10 }
      stopRules:
        - error-rate: { limit: 1% }
      """;

  @Test
  void everyFieldArrivesInTheNote() throws Exception {
    RolloutNote note = NoteReader.read(FULL);

    assertThat(note)
        .isEqualTo(
            new RolloutNote(
                "fraud-v2", "fraud", "payments-risk@example.com", 1, 2, StickyKey.TENANT,
                List.of(SegmentRule.parse("country=JP"), SegmentRule.parse("country=US,tier=vip")),
                Map.of(
                    "probabilities", new Comparison.Threshold(0.5, 1),
                    "495", new Comparison.Numeric(1e-4, 1e-3),
                    "label", new Comparison.TopOne(),
                    "id", new Comparison.Exact()),
                List.of(
                    new Step.Shadow(10_000, new ExpansionCondition(500, 20, 10_000)),
                    new Step.Canary(25, 2_000, new ExpansionCondition(1_000, 0, 600_000)),
                    new Step.Canary(5_000, 0, new ExpansionCondition(5_000, 0, 0))),
                List.of(
                    new StopRule.ErrorRate(0.01, Scope.ALL),
                    new StopRule.FallbackRate(0.02, Scope.OVERALL),
                    new StopRule.DisagreementRate(0.03, Scope.EACH),
                    new StopRule.LatencyOver(50_000_000, 0.01, Scope.ALL)),
                0.0001, new FallbackPath(0.4, 200), new BlastRadius(6_000, List.of(SegmentRule.parse("tier=vip"))),
                Promotion.AUTOMATIC, 7_200_000, null, 0, Mode.LIVE, null));
  }

  private static final String RULES =
      """
      rollout: all-rules
      model: fraud
      owner: me
      baseline: 1
      candidate: 2
      segments: [country=DE, tier=vip]
      discover: { attribute: country, max: 100 }
      compare: { probabilities: { threshold: 0.5, column: 1 } }
      repeat: 10%
      mode: dry-run
      alpha: 0.3
      steps:
        - shadow: 100%
          until: { observations: 500, accept: [{ error-rate: 1% }, { disagreement-rate: 5% }] }
        - canary: 1%
          until: { observations: 1000, accept: [{ error-ratio: 10 }, { fallback-rate: 2% }] }
      stopRules:
        - error-rate: { limit: 0.5% }
        - fallback-rate: { limit: 1%, segments: overall }
        - disagreement-rate: { limit: 3% }
        - latency: { over: 100ms, limit: 5% }
        - error-ratio: { margin: 1.5 }
        - latency-ratio: {}
        - paired-errors: { segments: each }
        - paired-latency: {}
        - disagreement-over-noise: {}
        - score-difference: { limit: 2% }
        - mean-cost: { limit: 20ms, cap: 100ms }
        - calibration: { limit: 0.002 }
        - drift: { input: amount, column: 3, mean: 52.1, deviation: 30.5, tolerance: 0.5 }
        - drift: { output: probabilities, column: 1, edges: [0.1, 0.5, 0.9], shares: [70%, 20%, 6%, 4%, 0%], tolerance: 5% }
        - sample-ratio: {}
        - max-requests: 10000
        - max-failures: 50
        - max-keys: 2000
        - max-run-time: 30s
        - crash: {}
      labels: { output: probabilities, column: 1, horizon: 24h, missing: negative }
      """;

  @Test
  void everyRuleArrivesInTheNote() throws Exception {
    RolloutNote note = NoteReader.read(RULES);

    assertThat(note.stopRules())
        .containsExactly(
            new StopRule.ErrorRate(0.005, Scope.ALL),
            new StopRule.FallbackRate(0.01, Scope.OVERALL),
            new StopRule.DisagreementRate(0.03, Scope.ALL),
            new StopRule.LatencyOver(100_000_000, 0.05, Scope.ALL),
            new StopRule.ErrorRatio(1.5, Scope.ALL),
            new StopRule.LatencyRatio(1, List.of(0.5, 0.9, 0.99), Scope.ALL),
            new StopRule.PairedErrors(Scope.EACH),
            new StopRule.PairedLatency(0.02, Scope.ALL),
            new StopRule.NoiseFloor(Scope.ALL),
            new StopRule.ScoreDifference(0.02, Scope.ALL),
            new StopRule.MeanCost(20_000_000, 100_000_000, Scope.ALL),
            new StopRule.Calibration(0.002, Scope.ALL),
            new StopRule.MeanDrift(new Feature("amount", true, 3), 52.1, 30.5, 0.5),
            new StopRule.BinDrift(
                new Feature("probabilities", false, 1), List.of(0.1, 0.5, 0.9), List.of(0.7, 0.2, 0.06, 0.04, 0.0), 0.05),
            new StopRule.SampleRatio(),
            new StopRule.Cap(Bounded.REQUESTS, 10_000),
            new StopRule.Cap(Bounded.FAILURES, 50),
            new StopRule.Cap(Bounded.KEYS, 2_000),
            new StopRule.Cap(Bounded.RUN_MILLIS, 30_000),
            new StopRule.Crash());
    assertThat(note.discovery()).isEqualTo(new Discovery("country", 100));
    assertThat(note.repeatBasisPoints()).isEqualTo(1_000);
    assertThat(note.labels()).isEqualTo(new LabelPlan("probabilities", 1, 86_400_000, LabelPlan.Missing.NEGATIVE));
    assertThat(note.mode()).isEqualTo(Mode.DRY_RUN);
    assertThat(note.alpha()).isEqualTo(0.3);
    assertThat(note.steps().getFirst().until().accept())
        .containsExactly(new Acceptance.RateBelow("error-rate", 0.01), new Acceptance.RateBelow("disagreement-rate", 0.05));
    assertThat(note.steps().getLast().until().accept())
        .containsExactly(new Acceptance.ErrorRatioBelow(10), new Acceptance.RateBelow("fallback-rate", 0.02));
    assertThat(note.arm(1).armed()).isNotEmpty();
  }

  @Test
  void theBaselineRunsTwiceByDefaultOnlyWhereARuleNeedsIt() throws Exception {
    String shadowed = SHORT.replace("canary: 5%", "shadow: 5%");

    assertThat(NoteReader.read(shadowed).repeatBasisPoints()).isZero();
    assertThat(NoteReader.read(shadowed + "  - paired-latency: {}\n").repeatBasisPoints()).isEqualTo(2_000);
  }

  /// The line of the note with all rules that changes, what it becomes, and the one problem that follows.
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "max: 100 | max: 5000 | line 7: discover: discover: attribute 'country', max 5000: expected a lower-case name and 1 to"
            + " 1024 values",
        "discover: { attribute: country, max: 100 } | discover: { max: 100 } | line 7: discover.attribute: is missing",
        "[country=DE, tier=vip] | [country=DE, \"country=DE, tier=vip\"] | line 6: segments[1]: 'country=DE,tier=vip' can never"
            + " occur: 'country=DE' stands before it and matches every such request",
        "[country=DE, tier=vip] | [\"country=DE, country=FR\"] | line 6: segments[0]: 'country=DE, country=FR' can never occur:"
            + " it names an attribute twice, and a request has one value of each",
        "mode: dry-run | mode: dry | line 10: mode: is the text 'dry'; expected dry-run or live",
        "alpha: 0.3 | alpha: 0.5 | line 11: alpha: alpha: 0.5 is not above 0 and below 0.5",
        "{ error-rate: 1% } | { error-rate: 100% } | line 14: steps[0].until.accept[0]: limit: 100.0 % is not above 0 % and below"
            + " 100 %",
        "{ error-rate: 1% } | { error-rate: 1%, error-ratio: 2 } | line 14: steps[0].until.accept[0]: has 2 entries; expected one,"
            + " such as error-rate: 1%",
        "{ disagreement-rate: 5% } | { error-ratio: 3 } | line 13: steps[0]: accept: error-ratio can never be shown: no step up to"
            + " this one has a canary below 100%",
        "{ disagreement-rate: 5% } | { fallback-rate: 3% } | line 13: steps[0]: accept: fallback-rate can never be shown: no step"
            + " up to this one has canary",
        "- fallback-rate: { limit: 1%, segments: overall } | - crash: {} | line 37: stopRules[19]: crash is declared twice over all"
            + " traffic: stopRules[1] says so already",
        "- fallback-rate: { limit: 1%, segments: overall } | - latency: { over: 10ms, limit: 50% } | line 15: steps[1]: accept:"
            + " fallback-rate is of no stop rule; declare fallback-rate in stopRules, or leave it out",
        "- fallback-rate: { limit: 1%, segments: overall } | - fallback-rate: { limit: 1% }\\n  - error-rate: { limit: 2%,"
            + " segments: each } | line 20: stopRules[2]: error-rate is declared twice in each segment: stopRules[0] says so already",
        "- fallback-rate: { limit: 1%, segments: overall } | - fallback-rate: { limit: 1% }\\n  - latency: { over: 200ms, limit: 5%"
            + " } | line 20: stopRules[2]: latency-over-200ms at most 5% can never be needed: stopRules[4] allows no more than 5% to"
            + " be slower than less",
        "margin: 1.5 | margin: 0.5 | line 22: stopRules[4]: margin: 0.5 is not between 1 and 100",
        "latency-ratio: {} | latency-ratio: { quantiles: [90%, 50%] } | line 23: stopRules[5]: quantiles: [0.9, 0.5] is not in"
            + " rising order between 0 and 1",
        "latency-ratio: {} | latency-ratio: { quantiles: [] } | line 23: stopRules[5].latency-ratio.quantiles: has 0 elements; at"
            + " least 1 expected",
        "paired-latency: {} | paired-latency: { margin: 2 } | line 25: stopRules[7].paired-latency.margin: is the number 2;"
            + " expected a percentage such as 5% or 0.25%",
        "repeat: 10% | repeat: 0% | line 25: stopRules[7]: paired-latency can never see anything: repeat is 0%, so the baseline"
            + " never runs twice;line 26: stopRules[8]: disagreement-over-noise can never see anything: repeat is 0%, so the"
            + " baseline never runs twice",
        "cap: 100ms | cap: 20ms | line 28: stopRules[10]: mean-cost: limit 20000000 ns must be above 0 and below the cap of"
            + " 20000000 ns",
        "limit: 0.002 | limit: 1 | line 29: stopRules[11]: limit: 1.0 is not at least 0 and below 1",
        "input: amount, | input: amount, output: y, | line 30: stopRules[12].drift: expected the name of either an input or an"
            + " output",
        "mean: 52.1, deviation: 30.5, | | line 30: stopRules[12].drift: expected either mean and deviation, or edges and shares",
        "mean: 52.1, | | line 30: stopRules[12].drift.mean: is missing",
        "deviation: 30.5 | deviation: 0 | line 30: stopRules[12]: drift: mean 52.1 must be finite, deviation 0.0 above 0",
        "4%, 0%] | 4%] | line 31: stopRules[13]: shares: 4 of them, expected 5: 4 bins between and beyond the edges, and missing"
            + " values",
        "edges: [0.1, 0.5, 0.9], shares: [70%, 20%, 6%, 4%, 0%], tolerance: 5% | edges: [0.1], shares: [50%, 50%, 0%], tolerance:"
            + " 99.9% | ",
        "edges: [0.1, 0.5, 0.9], shares: [70%, 20%, 6%, 4%, 0%], tolerance: 5% | edges: [0.1], shares: [33%, 34%, 33%],"
            + " tolerance: 90% | line 31: stopRules[13]: limits: [1.0, 1.0, 1.0] has no bin with a limit below 1",
        "sample-ratio: {} | sample-ratio: { segments: all } | line 32: stopRules[14].sample-ratio.segments: is not a field of a"
            + " rollout note here; expected {}",
        "sample-ratio: {} | sample-ratio | line 32: stopRules[14]: is the text 'sample-ratio'; expected a mapping with error-rate,"
            + " fallback-rate, disagreement-rate, latency, error-ratio, latency-ratio, paired-errors, paired-latency,"
            + " disagreement-over-noise, score-difference, mean-cost, calibration, drift, sample-ratio, max-requests,"
            + " max-failures, max-keys, max-run-time, crash",
        "max-requests: 10000 | max-requests: 0 | line 33: stopRules[15].max-requests: is the number 0; expected a whole number of at"
            + " least 1",
        "max-run-time: 30s | max-run-time: 30 | line 36: stopRules[18].max-run-time: is the number 30; expected a duration such as"
            + " 500us, 200ms, 10s, 5m or 2h",
      })
  void oneWrongThingAmongTheRulesIsOneProblem(String line, String becomes, String problems) {
    assertThat(RULES).contains(line);
    String replacement = becomes == null ? "" : becomes.replace("\\n", "\n");
    assertThat(problemsOf(RULES.replace(line, replacement)))
        .containsExactlyInAnyOrder(problems == null ? new String[0] : problems.split(";(?=line)"));
  }

  @Test
  void rulesAboutBothVersionsSideBySideNeedACanaryBelowAll() {
    assertThat(problemsOf(SHORT.replace("canary: 5%", "canary: 100%") + "  - error-ratio: { margin: 1 }\n  - sample-ratio: {}\n"))
        .containsExactly(
            "line 11: stopRules[1]: error-ratio can never see anything: no step has a canary below 100%, so the two versions"
                + " never answer side by side",
            "line 12: stopRules[2]: sample-ratio can never see anything: no step has a canary below 100%, so the two versions"
                + " never answer side by side");
    assertThat(problemsOf(SHORT.replace("canary: 5%", "shadow: 5%") + "  - max-keys: 7\n  - max-failures: 7\n"))
        .containsExactly(
            "line 11: stopRules[1]: max-keys can never see anything: no step has canary, so the candidate answers nobody");
  }

  @Test
  void rulesAboutPairsNeedAShadowAndSomethingToCompare() {
    assertThat(problemsOf(SHORT + "  - paired-errors: {}\n  - disagreement-over-noise: {}\n  - score-difference: { limit: 1% }\n"))
        .containsExactly(
            "line 11: stopRules[1]: paired-errors can never see anything: no step has shadow",
            "line 12: stopRules[2]: disagreement-over-noise can never see anything: no output is named in compare, and no step"
                + " has shadow",
            "line 13: stopRules[3]: score-difference can never see anything: no output is named in compare, and no step has"
                + " shadow");
  }

  @Test
  void withoutSegmentsARuleForEachOfThemHoldsOverAllTraffic() {
    assertThat(problemsOf(SHORT + "  - error-rate: { limit: 2%, segments: each }\n"))
        .containsExactly(
            "line 11: stopRules[1]: error-rate is declared twice over all traffic: stopRules[0] says so already");
    assertThat(
            problemsOf(
                "segments: [a=b]\n" + SHORT.replace("limit: 1%", "limit: 1%, segments: overall")
                    + "  - error-rate: { limit: 2%, segments: each }\n"))
        .isEmpty();
  }

  @Test
  void whatIsLeftOutHasTheDocumentedDefault() throws Exception {
    RolloutNote note = NoteReader.read(SHORT);

    assertThat(note.stickyKey()).isEqualTo(StickyKey.KEY);
    assertThat(note.segments()).isEmpty();
    assertThat(note.comparisons()).isEmpty();
    assertThat(note.alpha()).isEqualTo(0.001);
    assertThat(note.fallback()).isEqualTo(new FallbackPath(0.5, 1_000));
    assertThat(note.blastRadius()).isEqualTo(new BlastRadius(500, List.of()));
    assertThat(note.promotion()).isEqualTo(Promotion.MANUAL);
    assertThat(note.coolDownMillis()).isEqualTo(600_000);
  }

  @Test
  void allProblemsAreFoundAtOnceInTheOrderOfTheNote() {
    assertThat(
            problemsOf(
                """
                rollout: Fraud V2
                modle: fraud
                owner:
                baseline: 2
                candidate: 2
                steps:
                  - canary: 5%
                    until: { observations: many, time: 10 }
                  - canary: 120%
                    untill: { observations: 10 }
                  - canary: 0.255%
                    until: { observations: 10 }
                stopRules:
                  - eror-rate: { limit: 1% }
                  - latency: { limit: 0.5 }
                fallback: [50%]
                promotion: at-once
                """))
        .containsExactly(
            "line 1: model: is missing",
            "line 1: rollout: is the text 'Fraud V2'; expected 1 to 63 lower-case letters, digits and hyphens, "
                + "beginning with a letter or digit",
            "line 2: modle: is not a field of a rollout note here; did you mean 'model'?",
            "line 3: owner: is empty; expected a text of 1 to 4096 characters",
            "line 5: candidate: is 2, as the baseline is; expected another version",
            "line 8: steps[0].until.observations: is the text 'many'; expected a whole number of at least 1",
            "line 8: steps[0].until.time: is the number 10; expected a duration such as 500us, 200ms, 10s, 5m or 2h",
            "line 9: steps[1].until: is missing",
            "line 9: steps[1].canary: 120% is not between 0% and 100%",
            "line 10: steps[1].untill: is not a field of a rollout note here; did you mean 'until'?",
            "line 11: steps[2].canary: 0.255% is not a multiple of 0.01%",
            "line 14: stopRules[0].eror-rate: is not a field of a rollout note here; did you mean 'error-rate'?",
            "line 15: stopRules[1].latency.over: is missing",
            "line 15: stopRules[1].latency.limit: is the number 0.5; expected a percentage such as 5% or 0.25%",
            "line 16: fallback: is a list; expected a mapping with deadlineShare, timeout",
            "line 17: promotion: is the text 'at-once'; expected automatic or manual");
  }

  /// The line that changes, what it becomes, and the one problem that follows.
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "model: fraud | model: fraud\\nmodel: fraud | line 3: model: is given twice",
        "model: fraud | model: 7 | line 2: model: is the number 7; expected a text of 1 to 4096 characters",
        "candidate: 2 | candidate: 1 | line 6: candidate: is 1, as the baseline is; expected another version",
        "candidate: 2 | candidate: \"2\" | line 6: candidate: is the text '2'; expected a whole number of at least 1",
        "key: sluice-tenant | key: tenant | line 7: key: is the text 'tenant'; expected sluice-key or sluice-tenant",
        "[country=JP, | [country=JP, country=JP, | line 8: segments: segment 'country=JP' is declared twice",
        "[country=JP, | [JP, | line 8: segments[0]: 'JP' is not a segment: expected attribute=value with a lower-case attribute"
            + " name, such as country=DE",
        "threshold: 0.5, | | line 10: compare.probabilities: says nothing to compare by; expected top-1, exact, or one of"
            + " threshold, absolute, relative, ulp, top-k, rank-correlation, cosine, kl, js, iou",
        "threshold: 0.5, | threshold: .inf, | line 10: compare.probabilities.threshold: is the number .inf; expected a number"
            + " such as 0.5 or 1e-4",
        "threshold: 0.5, | threshold: 0.5, absolute: 1, | line 10: compare.probabilities: is both 'threshold' and 'absolute';"
            + " expected one of them, or a list of comparisons",
        "threshold: 0.5, | relative: 0.5, | line 10: compare.probabilities: has fields of 'absolute' and of 'threshold'; expected"
            + " those of one",
        "threshold: 0.5, column: 1 | ulp: 0.5 | line 10: compare.probabilities.ulp: is the number 0.5; expected a whole number of"
            + " at least 0",
        "threshold: 0.5, column: 1 | top-k: 0 | line 10: compare.probabilities: top-k: 0 is not between 1 and 1000",
        "threshold: 0.5, column: 1 | cosine: 2 | line 10: compare.probabilities: cosine: 2.0 is not at least 0 and below 2",
        "threshold: 0.5, column: 1 | js: 0.7 | line 10: compare.probabilities: js: 0.7 is not at least 0 and below ln 2, which is"
            + " 0.693",
        "threshold: 0.5, column: 1 | rank-correlation: 1.1 | line 10: compare.probabilities: rank-correlation: 1.1 is not above -1"
            + " and at most 1",
        "threshold: 0.5, column: 1 | absolute: 1, scale: 0 | line 10: compare.probabilities.scale: is 0.0; expected a number above 0",
        "threshold: 0.5, column: 1 | iou: 0.5 | line 10: compare.probabilities.format: is missing",
        "threshold: 0.5, column: 1 | iou: 0.5, format: corners | line 10: compare.probabilities.format: is the text 'corners';"
            + " expected cxcywh or xywh or xyxy",
        "id: exact | id: [exact, top1] | line 13: compare.id[1]: is the text 'top1'; expected exact or top-1",
        "id: exact | id: [] | line 13: compare.id: has 0 elements; at least 1 expected",
        "label: top-1 | label: top1 | line 12: compare.label: is the text 'top1'; expected exact or top-1",
        "shadow: 100% | shadow: 0% | line 15: steps[0]: shadow: 0.0 % is not between 0.01 % and 100 %",
        "canary: 50% | canary: 0.2% | line 20: steps[2]: the candidate's weight falls from 0.25% to 0.2%",
        "canary: 50% | shadow: 50% | line 20: steps[2]: the candidate's weight falls from 0.25% to 0%",
        "canary: 50% | canary: 61% | line 20: steps[2]: canary 61% is beyond the blast radius of 60%",
        "time: 10s | time: 500us | line 16: steps[0].until.time: is the text '500us'; expected whole milliseconds",
        "time: 10s | time: 9000h | line 16: steps[0].until.time: 9000h is longer than 8784h",
        "limit: 2%, | limit: 0%, | line 24: stopRules[1]: limit: 0.0 % is not above 0 % and at most 50.0 %",
        "- fallback-rate: { limit: 2%, segments: overall } | - error-rate: { limit: 2% } | line 24: stopRules[1]: error-rate is"
            + " declared twice over all traffic: stopRules[0] says so already",
        "segments: each | segments: every | line 25: stopRules[2].disagreement-rate.segments: is the text 'every'; expected all"
            + " or each or overall",
        "alpha: 0.0001 | alpha: 0.7 | line 27: alpha: alpha: 0.7 is not above 0 and below 0.5",
        "deadlineShare: 40% | deadlineShare: 100% | line 28: fallback: deadlineShare: 100.0 % is not above 0 % and below 100 %",
        "weight: 60% | weight: 6% | line 20: steps[2]: canary 50% is beyond the blast radius of 6%",
        "contacts: [risk | contacts: [[], risk | line 33: contacts[0]: is a list; expected a text of 1 to 4096 characters",
      })
  void oneWrongThingIsOneProblem(String line, String becomes, String problem) {
    assertThat(FULL).contains(line);
    String replacement = becomes == null ? "" : becomes.replace("\\n", "\n");
    assertThat(problemsOf(FULL.replace(line, replacement))).containsExactly(problem);
  }

  @Test
  void everyComparisonCanBeSaid() throws NoteProblemsException {
    String compare =
        """
        compare:
          tolerance: { absolute: 1e-4, relative: 1e-3, scale: 0.5 }
          scores: { ulp: 4 }
          ranking: { rank-correlation: 0.95 }
          top: { top-k: 5, overlap: 0.8 }
          same-top: { top-k: 5 }
          embedding: { cosine: 0.01 }
          distribution: { js: 0.05 }
          divergence: { kl: 0.1 }
          boxes: { iou: 0.5, format: xyxy }
          label: exact
          both: [{ threshold: 0.5 }, top-1]
        """;
    assertThat(NoteReader.read(SHORT.replace("stopRules:\n", compare + "stopRules:\n")).comparisons())
        .isEqualTo(
            Map.ofEntries(
                Map.entry("tolerance", new Comparison.Numeric(1e-4, 1e-3, 0.5)),
                Map.entry("scores", new Comparison.Ulp(4)),
                Map.entry("ranking", new Comparison.RankCorrelation(0.95)),
                Map.entry("top", new Comparison.TopK(5, 0.8)),
                Map.entry("same-top", new Comparison.TopK(5, 1)),
                Map.entry("embedding", new Comparison.Cosine(0.01)),
                Map.entry("distribution", new Comparison.JensenShannon(0.05)),
                Map.entry("divergence", new Comparison.KullbackLeibler(0.1)),
                Map.entry("boxes", new Comparison.Boxes(0.5, Comparison.Boxes.Format.XYXY)),
                Map.entry("label", new Comparison.Exact()),
                Map.entry(
                    "both",
                    new Comparison.Several(List.of(new Comparison.Threshold(0.5, -1), new Comparison.TopOne())))));
  }

  @Test
  void aDisagreementRuleThatCouldNeverSeeAnythingIsRefused() {
    String rule = "stopRules:\n  - disagreement-rate: { limit: 1% }\n";
    assertThat(problemsOf(SHORT.replace("stopRules:\n", rule)))
        .containsExactly(
            "line 10: stopRules[0]: disagreement-rate can never see anything: no output is named in compare, and no step has"
                + " shadow");
    assertThat(problemsOf(SHORT.replace("stopRules:\n", "compare: { y: exact }\n" + rule)))
        .containsExactly("line 11: stopRules[0]: disagreement-rate can never see anything: no step has shadow");
  }

  @Test
  void emptyListsOfStepsAndRulesAreProblemsTogether() {
    assertThat(problemsOf("{rollout: a, model: m, owner: o, baseline: 1, candidate: 2, steps: [], stopRules: []}"))
        .containsExactly(
            "line 1: steps: has 0 elements; at least 1 expected", "line 1: stopRules: has 0 elements; at least 1 expected");
  }

  @Test
  void moreRulesThanTheRouterCanArmAreRefused() {
    StringBuilder rules = new StringBuilder(SHORT);
    for (int i = 1; i <= 32; i++) {
      rules.append("  - latency: { over: ").append(i).append("ms, limit: ").append(50 - i).append("% }\n");
    }
    assertThat(problemsOf(rules.toString())).containsExactly("line 10: stopRules: 33 stop rules, at most 32 allowed");
  }

  @Test
  void whatIsNotYamlIsOneProblemWithItsPlace() {
    assertThat(problemsOf("rollout: a\nmodel: [b\n")).singleElement().asString().startsWith("line 3: is not YAML: ");
    assertThat(problemsOf("")).containsExactly("line 1: the note is empty");
    assertThat(problemsOf("just words")).singleElement().asString().startsWith("line 1: is the text 'just words'");
    assertThat(problemsOf(SHORT + "---\n" + SHORT)).singleElement().asString().contains("is not YAML: ");
  }

  @Test
  void sizeNestingAndAliasesAreBounded() {
    assertThat(problemsOf("a".repeat(NoteReader.LENGTH_MAX + 1)))
        .containsExactly("line 1: the note has 65537 characters, at most 65536 allowed");
    assertThat(problemsOf("[".repeat(NoteReader.LENGTH_MAX))).containsExactly("line 1: is nested more than 8 deep");
    assertThat(problemsOf("rollout: &x a\nmodel: *x\n"))
        .containsExactly(
            "line 1: anchors and aliases are not allowed: a note says everything in its place",
            "line 2: anchors and aliases are not allowed: a note says everything in its place");
  }

  @Test
  void damagedNotesAreProblemsAndNeverAnythingElse() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (int round = 0; round < 3_000; round++) {
      StringBuilder damaged = new StringBuilder(random.nextBoolean() ? FULL : RULES);
      for (int edits = random.nextInt(4); edits >= 0; edits--) {
        int at = random.nextInt(damaged.length() - 1);
        switch (random.nextInt(3)) {
          case 0 -> damaged.deleteCharAt(at);
          case 1 -> damaged.insert(at, "{}[]:,-%&*!?|>'\"\n\t #\u00e9\ud83d".charAt(random.nextInt(22)));
          default -> damaged.setCharAt(at, (char) (' ' + random.nextInt(95)));
        }
      }
      try {
        NoteReader.read(damaged.toString());
      } catch (NoteProblemsException refused) {
        assertThat(refused.problems()).as("seed %d round %d", seed, round).isNotEmpty();
      } catch (RuntimeException crash) {
        throw new AssertionError("seed " + seed + " round " + round + ":\n" + damaged, crash);
      }
    }
  }

  @Test
  void aFrozenNoteIsKnownByItsHash() {
    assertThat(NoteReader.sha256("abc")).isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }

  @Test
  void theMessageOfTheExceptionHasOneLinePerProblem() {
    assertThatThrownBy(() -> NoteReader.read("rollout: a\nx: b"))
        .hasMessageContaining("line 1: model: is missing\n")
        .hasMessageContaining("line 2: x: is not a field of a rollout note here; expected one of rollout, model,");
  }

  @Test
  void theNoteOfTheDocumentationIsANote() throws Exception {
    String page = Files.readString(Path.of("../docs/rollout-notes.md"));
    String yaml = page.substring(page.indexOf("```yaml\n") + 8, page.indexOf("```\n", page.indexOf("```yaml\n")));

    assertThat(problemsOf(yaml)).isEmpty();
    assertThat(NoteReader.STOP_RULE).allSatisfy(rule -> assertThat(yaml).contains("- " + rule + ": "));
    assertThat(NoteReader.NOTE).allSatisfy(field -> assertThat("\n" + yaml).contains("\n" + field + ":"));
  }

  @Test
  void theSchemaForEditorsHasTheReadersFields() throws IOException {
    JsonNode schema;
    try (InputStream file = NoteReader.class.getResourceAsStream("rollout-note.schema.json")) {
      schema = JsonMapper.shared().readTree(file);
    }
    Map<String, List<String>> parts =
        Map.of(
            "numericComparison", NoteReader.COMPARISON, "step", NoteReader.STEP, "until", NoteReader.UNTIL,
            "stopRule", NoteReader.STOP_RULE, "accept", NoteReader.ACCEPT, "discovery", NoteReader.DISCOVERY, "labels", NoteReader.LABELS,
            "fallback", NoteReader.FALLBACK, "blastRadius", NoteReader.BLAST_RADIUS);
    Map<String, List<String>> rules =
        Map.of(
            "rate", RuleReader.RATE, "latency", RuleReader.LATENCY, "errorRatio", RuleReader.ERROR_RATIO,
            "latencyRatio", RuleReader.LATENCY_RATIO, "pairs", RuleReader.PAIRS, "pairedLatency", RuleReader.PAIRED_LATENCY,
            "meanCost", RuleReader.MEAN_COST, "calibration", RuleReader.CALIBRATION, "drift", RuleReader.DRIFT,
            "nothing", RuleReader.NOTHING);
    Map<String, List<String>> sections = new TreeMap<>(rules);
    sections.putAll(parts);
    assertThat(schema.get("properties").propertyNames()).containsExactlyElementsOf(NoteReader.NOTE);
    schema.get("$defs")
        .properties()
        .forEach(
            section -> {
              if (section.getValue().has("properties")) {
                assertThat(sections).containsKey(section.getKey());
                assertThat(section.getValue().get("properties").propertyNames())
                    .as(section.getKey())
                    .containsExactlyInAnyOrderElementsOf(sections.get(section.getKey()));
                assertThat(section.getValue().get("additionalProperties").booleanValue(true)).isFalse();
              }
            });
    assertThat(schema.get("$defs").propertyNames()).containsAll(sections.keySet());
  }

  private static List<String> problemsOf(String yaml) {
    NoteProblemsException refused = catchThrowableOfType(NoteProblemsException.class, () -> NoteReader.read(yaml));
    return refused == null ? List.of() : refused.problems().stream().map(NoteProblem::toString).toList();
  }
}
