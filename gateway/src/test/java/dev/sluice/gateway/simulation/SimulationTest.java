package dev.sluice.gateway.simulation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.simulation.Simulation.Report;
import dev.sluice.router.rollout.RolloutNote;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// What comes of a note, told beforehand by the router itself.
class SimulationTest {

  private static final long SEED = 7;

  private static RolloutNote note(String rules) throws Exception {
    return NoteReader.read(
        """
        rollout: trial
        model: fraud
        owner: me
        baseline: 1
        candidate: 2
        segments: [country=DE, tier=vip]
        compare: { y: exact }
        labels: { output: y, horizon: 1h }
        steps:
          - shadow: 100%
            until: { observations: 2000, time: 10s }
          - canary: 10%
            shadow: 20%
            until: { observations: 500 }
        stopRules:
        """
            + rules);
  }

  private static World world(RolloutNote note, String baseline, String candidate, Map<String, Double> shares) {
    Behaviour trusted = Behaviour.USUAL_BASELINE.with(baseline);
    return World.of(note, Traffic.parse("100/s"), trusted, trusted.with(candidate), shares, Map.of(), 1_000);
  }

  @Test
  void aHealthyCandidateIsPromotedStepByStep() throws Exception {
    RolloutNote note = note("  - error-rate: { limit: 2% }\n  - disagreement-rate: { limit: 2% }\n");

    Report report = Simulation.described(note, world(note, "error=0.1%", "disagreement=0.2%", Map.of()), 40, SEED);

    assertThat(report.promoted()).as("of 40, seed %d", SEED).isEqualTo(40);
    // 2000 copies at 100 a second; then 500 answers for 10 % of them; then the cool-down.
    assertThat(report.steps().get(0).median()).isBetween(19_000L, 22_000L);
    assertThat(report.steps().get(1).median()).isBetween(45_000L, 56_000L);
    assertThat(report.steps().get(2).median()).isBetween(600_000L, 602_000L);
  }

  @ParameterizedTest(name = "{1} is stopped by {2}")
  @CsvSource(
      delimiter = '|',
      value = {
        "error-rate: { limit: 1% } | error=10% | error-rate",
        "disagreement-rate: { limit: 1% } | disagreement=10% | disagreement-rate",
        "latency: { over: 100ms, limit: 1% } | latency=90ms | latency-over-100ms",
        "fallback-rate: { limit: 1% } | error=10% | fallback-rate",
        "error-ratio: { margin: 1.5 } | error=10% | error-ratio",
        "latency-ratio: {} | latency=x3 | latency-ratio",
        "paired-errors: {} | error=10% | paired-errors",
        "paired-latency: {} | latency=x1.2 | paired-latency",
        "disagreement-over-noise: {} | disagreement=20% | disagreement-over-noise",
        "score-difference: { limit: 2% } | difference=0.1 | score-difference",
        "mean-cost: { limit: 12ms, cap: 100ms } | latency=20ms | mean-cost",
        "calibration: { limit: 0.002 } | loss=0.1 | calibration",
        "drift: { input: x, mean: 0, deviation: 1, tolerance: 0.5 } | shift=1.5 | drift-of-x[0]",
        "'drift: { output: y, edges: [0.5], shares: [60%, 40%, 0%], tolerance: 5% }' | missing=30% | drift-of-y[0]-bins",
        "max-requests: 20 | error=0% | max-requests",
        "max-keys: 20 | error=0% | max-keys",
        "max-run-time: 200ms | error=0% | max-run-time",
        "max-failures: 20 | error=2% | max-failures",
        "crash: {} | crash=1% | crash",
      })
  void everyRuleStopsTheCandidateThatItIsAbout(String rule, String candidate, String name) throws Exception {
    RolloutNote note = note("  - " + rule.replace("'", "") + "\n");

    Report report = Simulation.described(note, world(note, "error=0%", candidate, Map.of()), 10, SEED);

    assertThat(report.stopped()).as("of 10, seed %d: %s", SEED, report).isEqualTo(10);
    assertThat(report.stops()).as("seed %d", SEED).allSatisfy(stopped -> assertThat(stopped.rule()).isEqualTo(name));
  }

  @Test
  void aSegmentThatAloneIsBadIsNamed() throws Exception {
    RolloutNote note = note("  - error-rate: { limit: 1% }\n");
    Behaviour trusted = Behaviour.USUAL_BASELINE;
    World world =
        World.of(
            note, Traffic.parse("100/s"), trusted, trusted, Map.of("tier=vip", 0.1),
            Map.of("tier=vip", trusted.with("error=30%")), 1_000);

    Report report = Simulation.described(note, world, 20, SEED);

    assertThat(report.stopped()).as("of 20, seed %d", SEED).isEqualTo(20);
    assertThat(report.stops().getFirst().segment()).as("seed %d: %s", SEED, report).isEqualTo("tier=vip");
  }

  @Test
  void theSameSeedGivesTheSameReport() throws Exception {
    RolloutNote note = note("  - error-rate: { limit: 1% }\n");
    World world = world(note, "error=0.1%", "error=5%", Map.of());

    assertThat(Simulation.described(note, world, 20, SEED)).isEqualTo(Simulation.described(note, world, 20, SEED));
    assertThat(Simulation.described(note, world, 20, SEED)).isNotEqualTo(Simulation.described(note, world, 20, SEED + 1));
  }

  @Test
  void whatHasNotEndedSaysWhatItLacks() throws Exception {
    RolloutNote note = note("  - error-rate: { limit: 1% }\n");
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      lines.add(line(i * 1_000L, true));
    }

    Report report = Simulation.recorded(note, RecordedCalls.read(lines.iterator(), note), 3, SEED);

    assertThat(report.unfinished()).isEqualTo(3);
    assertThat(report.waitingFor()).startsWith("1701 more shadowed requests");
  }

  @Test
  void aRecordedStreamIsReplayedAsItWas() throws Exception {
    RolloutNote note = note("  - error-rate: { limit: 1% }\n");
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      lines.add(line(i * 1_000L, i < 100));
    }

    Report report = Simulation.recorded(note, RecordedCalls.read(lines.iterator(), note), 3, SEED);

    assertThat(report.stopped()).isEqualTo(3);
    assertThat(report.stops().getFirst().requests().median()).as("after 100 good ones, %s", report).isBetween(103L, 110L);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"t\": 5 | is not JSON: ",
        "{\"t\": 5} {} | is not JSON: ",
        "[] | the line is not an object with [baseline, candidate, ",
        "{} | baseline is missing",
        "{\"t\":1,\"baseline\":{\"ms\":1,\"ok\":true}} | candidate is missing",
        "{\"t\":1,\"baseline\":{\"ms\":1,\"ok\":1},\"candidate\":{\"ms\":1,\"ok\":true}} | baseline.ok: 1 is neither true nor false",
        "{\"t\":1,\"baseline\":{\"ms\":-1,\"ok\":true},\"candidate\":{\"ms\":1,\"ok\":true}} | baseline.ms: -1 is not a number from 0.0 to"
            + " 3600000.0",
        "{\"t\":1,\"time\":2} | the line has a field 'time'; expected [baseline, ",
        "{\"t\":-1,\"baseline\":{\"ms\":1,\"ok\":true},\"candidate\":{\"ms\":1,\"ok\":true}} | t: -1 is not a number from 0.0 to ",
        "{\"t\":0,\"baseline\":{\"ms\":1,\"ok\":true},\"candidate\":{\"ms\":1,\"ok\":true}} | t: 0 is before the line above, 7",
        "{\"t\":9,\"segment\":7,\"baseline\":{\"ms\":1,\"ok\":true},\"candidate\":{\"ms\":1,\"ok\":true}} | segment: 7 is not an object of"
            + " attributes",
      })
  void aDamagedLineIsRefusedWithItsNumber(String damaged, String problem) throws Exception {
    RolloutNote note = note("  - error-rate: { limit: 1% }\n");

    assertThatThrownBy(() -> RecordedCalls.read(List.of(line(3, true), line(7, true), damaged).iterator(), note))
        .isInstanceOf(RecordedCalls.DamagedException.class)
        .hasMessageStartingWith("line 3: " + problem);
  }

  @Test
  void segmentsThatNeverOccurAndSharesThatDoNotAddUpAreRefused() throws Exception {
    RolloutNote note = note("  - error-rate: { limit: 1% }\n");

    assertThatThrownBy(() -> world(note, "error=0%", "error=0%", Map.of("country=FR", 0.1)))
        .hasMessage("segment 'country=FR' is not in the note, which has [country=DE, tier=vip]");
    assertThatThrownBy(() -> world(note, "error=0%", "error=0%", Map.of("country=DE", 0.7, "tier=vip", 0.7)))
        .hasMessage("the segments' shares add up to 140.0 %, expected at most 100 %");
    assertThatThrownBy(() -> Behaviour.USUAL_BASELINE.with("eror=1%"))
        .hasMessageStartingWith("'eror' is unknown; expected some of error=5%, latency=x1.1 or 20ms,");
    assertThatThrownBy(() -> Behaviour.USUAL_BASELINE.with("error=101%"))
        .hasMessage("error: '101%' is not a percentage from 0% to 100%");
    assertThatThrownBy(() -> Traffic.parse("600")).hasMessage("'600' is not traffic such as 50/s, 600/min or 1000/h");
    assertThatThrownBy(() -> Traffic.parse("0/s")).hasMessageContaining("is not above 0");
  }

  private static String line(long millis, boolean ok) {
    return "{\"t\":%d,\"key\":\"k%d\",\"segment\":{\"country\":\"FR\"},\"baseline\":{\"ms\":2,\"ok\":true},\"candidate\":{\"ms\":2.5,\"ok\":%s}}"
        .formatted(millis, millis, ok);
  }
}
