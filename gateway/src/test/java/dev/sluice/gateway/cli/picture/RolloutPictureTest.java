package dev.sluice.gateway.cli.picture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.RuleEvidence;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class RolloutPictureTest {
  private static final RolloutPicture PLAIN = new RolloutPicture(100, false);

  @Test
  void aRunningRolloutIsDrawnWhole() {
    assertThat(String.join("\n", PLAIN.lines(Rollouts.canary())) + "\n").isEqualTo("""
        fraud-v2  fraud 1 → 2  CANARY  step 2/4  revision 12
        candidate ██████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ answers 20 %, shadowed 50 %
        reason    step 2 began after 10,000 requests
        waits for 1,200 more requests in country=JP

                     baseline    p50    p99 latency         candidate    p50    p99 latency          differ
        overall        80,000  420µs  1.9ms  ▂█▆▄▂▁▁▁          20,000  610µs  2.4ms    ▂▅▇█▂▂▁▁▁▁     0.5 %
        country=JP        900  430µs  2.0ms  ▂█▆▄▂▁               210      -      -                       -
        failed (candidate) 3, fallback (failed) 3, fallback (late) 7, shadows dropped 12

        stop rule         segment        bad       of  evidence against the candidate
        disagreement-rate country=JP       4       60  ██████████████████▊░░░░░░░░░░░ 178 of 4,000
        failure-rate      overall          3   20,000  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0.0002 of 4,000
        """);
  }

  @Test
  void aStoppedRolloutNamesTheRuleTheSegmentAndTheCounts() {
    assertThat(String.join("\n", PLAIN.lines(Rollouts.stopped()))).startsWith("""
        fraud-v2  fraud 1 → 2  STOPPED  step 2/4  revision 13
        candidate ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ answers 0 %, shadowed 0 %
        reason    disagreement-rate fired in country=JP
        stopped   by disagreement-rate in country=JP: 5 bad of the first 21, flipped in 1.8µs
        """);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 20, 60, 75, 76, 80, 100, 200})
  void noLineIsWiderThanTheTerminal(int columns) {
    assertThat(new RolloutPicture(columns, false).lines(Rollouts.canary()))
        .allSatisfy(line -> assertThat(line.length()).isLessThanOrEqualTo(columns));
  }

  @Test
  void colourAddsEscapesAndNothingElse() {
    List<String> coloured = new RolloutPicture(100, true).lines(Rollouts.canary());

    assertThat(coloured).anyMatch(line -> line.contains("\u001b["));
    assertThat(coloured.stream().map(line -> line.replaceAll("\u001b\\[[0-9;]*m", "").stripTrailing()))
        .containsExactlyElementsOf(PLAIN.lines(Rollouts.canary()));
  }

  @ParameterizedTest
  @EnumSource(RolloutState.class)
  void everyStateIsDrawnEvenOneFromANewerServer(RolloutState state) {
    Rollout rollout = state == RolloutState.UNRECOGNIZED
        ? Rollout.newBuilder().setName("r").setStateValue(99).build()
        : Rollout.newBuilder().setName("r").setState(state).build();

    assertThat(PLAIN.lines(rollout).getFirst()).contains(state.toString());
  }

  @Test
  void textFromTheServerCannotMoveTheCursor() {
    Rollout hostile = Rollouts.canary().toBuilder().setReason("a\u001b[2Jb\nc").build();

    assertThat(PLAIN.lines(hostile)).noneMatch(line -> line.contains("\u001b") || line.contains("\n"));
    assertThat(RolloutPicture.line(hostile)).endsWith("a [2Jb c");
  }

  @Test
  void aManyRuledRolloutShowsTheNearestRulesAndCountsTheOthers() {
    Rollout.Builder many = Rollout.newBuilder().setName("r");
    IntStream.range(0, 30).forEach(i -> many.addRules(
        RuleEvidence.newBuilder().setRule("rule-" + i).setEvidence(i).setThreshold(1_000)));

    List<String> lines = PLAIN.lines(many.build());

    assertThat(lines).anyMatch(line -> line.startsWith("rule-29"));
    assertThat(lines).noneMatch(line -> line.startsWith("rule-1 "));
    assertThat(lines.getLast()).isEqualTo("and 22 further from firing");
  }

  @ParameterizedTest
  @CsvSource({"0.001, 4000, 0", "1, 4000, 0", "63.2456, 4000, 0.5", "4000, 4000, 1", "9e9, 4000, 1", "2, 1, 1"})
  void nearnessIsLogarithmicAndEndsAtTheThreshold(double evidence, double threshold, double nearness) {
    RuleEvidence rule = RuleEvidence.newBuilder().setEvidence(evidence).setThreshold(threshold).build();

    assertThat(RolloutPicture.nearness(rule)).isCloseTo(nearness, within(1e-4));
  }

  @Test
  void histogramsOfOneRowShareTheirAxis() {
    var early = Rollouts.latency(100, 1, 1, 100, 0, 0, 0);
    var late = Rollouts.latency(100, 1, 1, 0, 0, 0, 0, 0, 0, 0, 100);
    Bars.Axis axis = Bars.axis(early, late);

    assertThat(Bars.histogram(early, axis, 8)).isEqualTo("█       ");
    assertThat(Bars.histogram(late, axis, 8)).isEqualTo("       █");
  }

  @ParameterizedTest
  @CsvSource({"0, ░░░░", "0.0001, ▏░░░", "0.5, ██░░", "0.53125, ██▏░", "1, ████", "7, ████"})
  void aBarIsFilledToAnEighthOfACell(double fraction, String bar) {
    assertThat(Bars.filled(fraction, 4)).isEqualTo(bar);
  }

  @ParameterizedTest
  @CsvSource({"1.8, 1.8µs", "94, 94µs", "999.6, 1.0ms", "1900, 1.9ms", "118000, 118ms", "2500000, 2.5s"})
  void durationsHaveTheUnitThatKeepsThemShort(double micros, String text) {
    assertThat(Figures.micros(micros)).isEqualTo(text);
  }

  @ParameterizedTest
  @CsvSource({"0.02, 0.02", "1.2, 1.2", "178.3, 178", "4000, '4,000'", "0, 0", "0.00002, 2.0e-05", "NaN, NaN"})
  void numbersAreRoundedToThreeDigits(double number, String text) {
    assertThat(Figures.number(number)).isEqualTo(text);
  }
}
