package dev.sluice.gateway.cli;

import static dev.sluice.gateway.cli.Typed.sluice;
import static dev.sluice.gateway.testing.Notes.note;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `sluice rollout label`: the truth, typed or from a file.
class LabelCommandTest {

  @TempDir Path models;
  @TempDir Path data;

  @Test
  void labelsAreTakenOnceAndWhatIsNoneIsSaidToBe() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(
          note(
              "told",
              """
              labels: { output: y, horizon: 1h }
              steps:
                - shadow: 100%
                  until: { observations: 1000000 }
              stopRules:
                - calibration: { limit: 0.01 }
              """));
      for (int i = 0; i < 3; i++) {
        var _ = gateway.inference().modelInfer(Calls.of(0).setId("r=" + i).build());
      }
      await()
          .until(() -> gateway.rollout("told").getSegments(0).getCandidate().getShadowed() + gateway.rollout("told").getShadowsDropped() == 3);
      String address = "localhost:" + gateway.gateway().controlPort();

      Typed typed = sluice("rollout", "label", "told", "r=0=1", "nobody=0", "--server", address);
      assertThat(typed.out()).isEqualTo("1 taken, 0 labelled before, 1 not waited for\n");
      Path file = Files.writeString(data.resolve("labels"), "r=0=0\n\nr=1=0\n");
      Typed fromFile = sluice("rollout", "label", "told", "-f", file.toString(), "--server", address);
      assertThat(fromFile.out()).isEqualTo("1 taken, 1 labelled before, 0 not waited for\n");

      Path damaged = Files.writeString(data.resolve("damaged"), "r=2=0\nr=2=maybe\n");
      Typed refused = sluice("rollout", "label", "told", "-f", damaged.toString(), "--server", address);
      assertThat(refused.exitCode()).isNotZero();
      assertThat(refused.err()).contains("line 2: 'r=2=maybe' is no label; expected ID=0 or ID=1");
      assertThat(sluice("rollout", "label", "told", "--server", address).err()).contains("no labels");
      Typed other = sluice("rollout", "label", "nobody", "a=1", "--server", address);
      assertThat(other.err()).contains("nobody");
    }
  }
}
