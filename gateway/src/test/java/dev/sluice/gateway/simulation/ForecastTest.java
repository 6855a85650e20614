package dev.sluice.gateway.simulation;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.simulation.Forecast.Boundary;
import dev.sluice.gateway.simulation.Forecast.Detected;
import dev.sluice.gateway.simulation.Forecast.Report;
import dev.sluice.gateway.simulation.Forecast.Rule;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.statistics.LimitTest;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// What a note promises to see, against what its rollout then does.
class ForecastTest {

  private static final String NOTE =
      """
      rollout: trial
      model: fraud
      owner: me
      baseline: 1
      candidate: 2
      segments: [tier=vip]
      steps:
        - shadow: 50%
          until: { observations: 3000, accept: [{ error-rate: 2% }] }
        - canary: 1%
          until: { observations: 600, time: 1h }
      stopRules:
        - error-rate: { limit: 1% }
        - error-ratio: { margin: 1.5, segments: overall }
        - sample-ratio: {}
        - crash: {}
      """;

  private static Report report(RolloutNote note, String traffic) {
    Behaviour baseline = Behaviour.USUAL_BASELINE;
    World world = World.of(note, Traffic.parse(traffic), baseline, baseline, Map.of("tier=vip", 0.01), Map.of(), 1_000);
    return Forecast.of(note, world, baseline, 1);
  }

  @Test
  void theBudgetAddsUpToAlpha() throws Exception {
    Report report = report(NoteReader.read(NOTE), "600/min");

    double stopping =
        report.groups().stream().filter(g -> !g.name().contains("hold")).mapToDouble(Forecast.Group::alpha).sum();
    assertThat(stopping).isCloseTo(report.alpha(), within(1e-12));
    assertThat(report.rules().stream().filter(r -> r.rule().equals("error-rate")).map(Rule::place))
        .containsExactly("all traffic", "tier=vip", "other");
    assertThat(report.certain()).containsExactly("crash");
  }

  @Test
  void boundariesAreTheTestsOwn() throws Exception {
    Rule rule = report(NoteReader.read(NOTE), "600/min").rules().getFirst();

    assertThat(rule.threshold()).isCloseTo(1 / rule.alpha(), within(1e-6));
    for (Boundary boundary : rule.boundaries()) {
      assertThat(boundary.events()).isEqualTo(new LimitTest(0.01).boundary(boundary.bad(), rule.threshold()));
    }
  }

  @Test
  void stepsTakeAsLongAsTheirSlowestCondition() throws Exception {
    RolloutNote note = NoteReader.read(NOTE);

    Report slow = report(note, "600/min");
    assertThat(slow.steps().get(0).millis()).isEqualTo(600_000);
    assertThat(slow.steps().get(0).because()).isEqualTo("3,000 observations");
    assertThat(slow.steps().get(1).millis()).isEqualTo(6_000_000);
    Report fast = report(note, "6000/min");
    assertThat(fast.steps().get(1).millis()).isEqualTo(3_600_000);
    assertThat(fast.steps().get(1).because()).isEqualTo("its minimum time");
  }

  @Test
  void whatThePlanLeavesNoTimeForIsSaid() throws Exception {
    Report report = report(NoteReader.read(NOTE), "600/min");

    assertThat(report.cannotSee()).anyMatch(line -> line.startsWith("error-rate in tier=vip: 5 % bad needs "));
    assertThat(report.cannotSee()).noneMatch(line -> line.startsWith("error-rate in all traffic: 5 % bad"));
    assertThat(report.remarks()).singleElement().asString().startsWith("step 1 accepts error-rate below 2 %, more than the 1 %");
  }

  @Test
  void withoutTrafficNothingIsSaidAboutTime() throws Exception {
    Report report = Forecast.of(NoteReader.read(NOTE), null, Behaviour.USUAL_BASELINE, 1);

    assertThat(report.steps()).isEmpty();
    assertThat(report.cannotSee()).isEmpty();
    assertThat(report.rules()).allSatisfy(rule -> assertThat(rule.detects()).allMatch(d -> d.millis() == null));
  }

  /// The forecast tries each test by itself; the simulation, the rollout as a whole.
  @Test
  void theRolloutStopsWhenTheForecastSaysItWill() throws Exception {
    RolloutNote note = NoteReader.read(NOTE.replace("segments: [tier=vip]\n", ""));
    Detected forecast =
        Forecast.of(note, null, Behaviour.USUAL_BASELINE, 1).rules().getFirst().detects().stream()
            .filter(d -> d.effect().equals("10 % bad"))
            .findFirst()
            .orElseThrow();
    Behaviour baseline = Behaviour.USUAL_BASELINE;
    World world =
        World.of(note, Traffic.parse("600/min"), baseline, baseline.with("error=10%"), Map.of(), Map.of(), 1_000);

    Simulation.Report simulated = Simulation.described(note, world, 200, 5);

    assertThat(simulated.stopped()).isEqualTo(200);
    double expected = requireNonNull(forecast.observations()).median();
    double median = simulated.stops().getFirst().candidateRequests().median();
    assertThat(median).as("seed 5, forecast %s", forecast).isCloseTo(expected, within(0.2 * expected));
  }
}
