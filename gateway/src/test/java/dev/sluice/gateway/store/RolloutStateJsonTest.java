package dev.sluice.gateway.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class RolloutStateJsonTest {

  static Stream<Stage> stages() {
    return Stream.of(
        new Stage.Running(3, 1_700_000_000_123L),
        new Stage.Paused(0, "a \"quoted\" reason\nwith a line, é and \ud83d\ude00"),
        new Stage.CoolingDown(Long.MAX_VALUE),
        new Stage.Promoted(1),
        new Stage.Stopped(""),
        new Stage.Aborted("by hand"));
  }

  @ParameterizedTest
  @MethodSource("stages")
  void everyStageComesBackAsItWas(Stage stage) {
    RolloutState state = new RolloutState(stage, 1L << 31, 25, 10_000, List.of(0L, 7L, Long.MAX_VALUE));
    assertThat(RolloutStateJson.read(RolloutStateJson.write(state))).isEqualTo(state);
  }

  @Test
  void noStageIsForgottenByTheTestAbove() {
    assertThat(stages().map(Object::getClass)).containsExactlyInAnyOrder(Stage.class.getPermittedSubclasses());
  }

  /// What older versions have written must stay readable: this text may never change.
  @Test
  void theTextOnDiskIsThis() {
    String text =
        "{\"format\":1,\"stage\":{\"kind\":\"running\",\"step\":2,\"enteredMillis\":9},\"epoch\":3,"
            + "\"weightBasisPoints\":500,\"shadowBasisPoints\":0,\"observedAtEntry\":[4,5]}";
    RolloutState state = new RolloutState(new Stage.Running(2, 9), 3, 500, 0, List.of(4L, 5L));
    assertThat(RolloutStateJson.write(state)).isEqualTo(text);
    assertThat(RolloutStateJson.read(text)).isEqualTo(state);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "\"format\":1 | \"format\":2 | has the format 2; expected 1",
        "\"format\":1, | | in format; expected a whole number",
        "running | walking | unknown stage 'walking'",
        "\"epoch\":3 | \"epoch\":3.5 | has 3.5 in epoch; expected a whole number",
        "\"epoch\":3 | \"epoch\":3,\"era\":1 | has the fields [epoch, era, format,",
        "\"epoch\":3 | \"epoch\":3,\"epoch\":4 | is not JSON",
        "\"step\":2, | | has the fields [enteredMillis, kind]; expected [enteredMillis, kind, step]",
        "\"step\":2 | \"step\":4294967296 | in step; expected a whole number",
        "[4,5] | [4,null] | in observedAtEntry; expected a whole number",
        "[4,5] | 4 | in observedAtEntry; expected a list",
        "[4,5]} | [4,5]} {} | is not JSON",
        "[4,5]} | [4,5] | is not JSON",
      })
  void anythingElseIsAnErrorAndNeverAGuess(String part, String becomes, String message) {
    String text =
        RolloutStateJson.write(new RolloutState(new Stage.Running(2, 9), 3, 500, 0, List.of(4L, 5L)));
    assertThat(text).contains(part);
    assertThatThrownBy(() -> RolloutStateJson.read(text.replace(part, becomes == null ? "" : becomes)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }
}
