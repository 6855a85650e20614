package dev.sluice.gateway.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.loadtest.paired.Estimate;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.HdrHistogram.Histogram;
import org.junit.jupiter.api.Test;

class ComparisonTest {
  private static final Contender BARE = new Named("bare");
  private static final Contender FULL = new Named("full");

  @Test
  void whatSlowsBothSidesOfAPassLeavesTheRatioAlone() {
    Comparison comparison =
        new Comparison(
            BenchModel.TINY, new Load.InFlight(8),
            Map.of("bare", List.of(round(10), round(30), round(11)), "full", List.of(round(12), round(36), round(13.2))));

    Estimate ratio = comparison.ratio(FULL, BARE, Round::cpuMicros);

    assertThat(ratio.median()).isBetween(1.19, 1.21);
    assertThat(ratio.spread()).isLessThan(0.01);
    assertThat(comparison.of("bare", Round::cpuMicros).spread()).isGreaterThan(1);
  }

  @Test
  void aContenderThatWasNotThereIsNamed() {
    Comparison comparison =
        new Comparison(BenchModel.TINY, new Load.InFlight(8), Map.of("bare", List.of(round(1))));
    assertThatThrownBy(() -> comparison.ratio(FULL, BARE, Round::cpuMicros)).hasMessageContaining("'full'");
  }

  @Test
  void aRoundSurvivesTheWayToAnotherProcess() throws IOException {
    Histogram latency = Round.histogram();
    latency.recordValue(2_600);
    latency.recordValue(1_000_000_000);
    Round round = new Round(100, 3, 1.25, 700_000, 4_000, 900, 0.125, latency);
    assertThat(Round.parse(("run " + round.words()).split(" ", -1))).isEqualTo(round);
    assertThatThrownBy(() -> Round.parse(new String[] {"run", "?"})).hasMessageContaining("not a round");
  }

  private static Round round(double cpuMicros) {
    return new Round(1_000, 0, 1, (long) (cpuMicros * 1e6), 5_000, 0, 0, Round.histogram());
  }

  private record Named(String name) implements Contender {
    @Override
    public Round round(BenchModel model, Load load, Duration lead, Duration measured) {
      throw new UnsupportedOperationException(name + " has been measured already");
    }
  }
}
