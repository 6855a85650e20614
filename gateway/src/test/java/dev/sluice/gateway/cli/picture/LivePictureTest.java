package dev.sluice.gateway.cli.picture;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.proto.control.v1.Rollout;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LivePictureTest {
  private final StringWriter written = new StringWriter();

  private LivePicture on(Terminal terminal) {
    return new LivePicture(new PrintWriter(written), terminal);
  }

  @Test
  void onATerminalTheNextPictureIsDrawnOverTheLast() {
    LivePicture live = on(new Terminal(true, false, 100, 40));
    live.show(Rollouts.canary());
    int drawn = (int) written.toString().lines().filter(line -> line.contains("\u001b[K")).count();
    written.getBuffer().setLength(0);

    live.show(Rollouts.stopped());

    assertThat(written.toString()).startsWith("\u001b[" + drawn + "A\rfraud-v2").endsWith("\u001b[J");
  }

  @Test
  void aPictureTallerThanTheTerminalIsCutSoThatItNeverScrolls() {
    on(new Terminal(true, false, 100, 4)).show(Rollouts.canary());

    assertThat(written.toString().chars().filter(c -> c == '\n')).hasSize(3);
  }

  @Test
  void elsewhereThereIsOneLineForEachChangeAndNoneForGrowingEvidence() {
    LivePicture live = on(Terminal.none());
    Rollout first = Rollouts.canary();
    live.show(first);
    live.show(first.toBuilder().setShadowsDropped(13).build());
    live.show(Rollouts.stopped());

    assertThat(written.toString().lines()).containsExactly(
        "2026-11-20T09:30:00Z fraud-v2 CANARY step 2/4 candidate 20 % shadow 50 % revision 12:"
            + " step 2 began after 10,000 requests",
        "2026-11-20T09:30:00Z fraud-v2 STOPPED step 2/4 candidate 0 % shadow 0 % revision 13:"
            + " disagreement-rate fired in country=JP");
  }

  @ParameterizedTest
  @CsvSource({"'24 80\n', 80, 24", "'0 0', 100, 40", "'', 100, 40", "'stty: not a tty', 100, 40"})
  void anUnknownSizeFallsBackToARoomyOne(String stty, int columns, int rows) {
    assertThat(Terminal.parseSize(stty, false)).isEqualTo(new Terminal(true, false, columns, rows));
  }
}
