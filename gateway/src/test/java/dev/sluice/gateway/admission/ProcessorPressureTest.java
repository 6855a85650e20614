package dev.sluice.gateway.admission;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ProcessorPressureTest {

  @Test
  void copiesGiveWayWithinLessThanHalfASecondAndComeBackWithinTwo() {
    int share = ProcessorPressure.ALL;
    for (long millis = 0; millis < 500; millis += ProcessorPressure.LOOK_MILLIS) {
      share = ProcessorPressure.next(share, 1);
    }
    assertThat(share).isEqualTo(ProcessorPressure.LEAST);
    for (long millis = 0; millis < 2_000; millis += ProcessorPressure.LOOK_MILLIS) {
      share = ProcessorPressure.next(share, 0.5);
    }
    assertThat(share).isEqualTo(ProcessorPressure.ALL);
  }

  @Test
  void besideLiveWorkThatFillsHalfOfTheMachineCopiesSettleBelowWhatHurts() {
    int share = ProcessorPressure.ALL;
    double sum = 0;
    int looks = 400;
    for (int look = 0; look < looks; look++) {
      double busy = Math.min(1, 0.5 + 0.8 * share / ProcessorPressure.ALL); // copies alone would fill 80 % of it
      sum += busy;
      share = ProcessorPressure.next(share, busy);
    }
    assertThat(sum / looks).isBetween(0.7, 0.87);
  }

  @Test
  void aProcessThatRestsLetsEverythingThrough() {
    ProcessorPressure pressure = new ProcessorPressure();
    assertThat(pressure.admitsCopy()).isTrue();
  }
}
