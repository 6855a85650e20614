package dev.sluice.router.assignment;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ExposureTest {

  private static final long EPOCH_LAST = (1L << 31) - 2;

  @Test
  void whatIsPackedComesBack() {
    long seed = 11;
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < 100_000; i++) {
      long epoch = i == 0 ? EPOCH_LAST : random.nextLong(EPOCH_LAST + 1);
      int weight = i % 3 == 0 ? 10_000 : random.nextInt(10_001);
      int shadow = i % 5 == 0 ? 10_000 : random.nextInt(10_001);
      long word = Exposure.of(epoch, weight, shadow);
      String what = "seed %d: epoch %d, weight %d, shadow %d".formatted(seed, epoch, weight, shadow);
      assertThat(Exposure.epoch(word)).as(what).isEqualTo(epoch);
      assertThat(Exposure.weightBasisPoints(word)).as(what).isEqualTo(weight);
      assertThat(Exposure.shadowBasisPoints(word)).as(what).isEqualTo(shadow);
      assertThat(Exposure.isFlipped(word)).as(what).isFalse();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 77, EPOCH_LAST})
  void aFlipTakesEverythingFromTheCandidateAndEndsTheEpoch(long epoch) {
    long flipped = Exposure.flipped(Exposure.of(epoch, 10_000, 10_000));
    assertThat(Exposure.isFlipped(flipped)).isTrue();
    assertThat(Exposure.weightBasisPoints(flipped)).isZero();
    assertThat(Exposure.shadowBasisPoints(flipped)).isZero();
    assertThat(Exposure.epoch(flipped)).isEqualTo(epoch + 1);
  }

  @ParameterizedTest
  @CsvSource({
    "-1, 0, 0, epoch: -1", "2147483648, 0, 0, epoch: 2147483648",
    "1, -1, 0, -1 basis points", "1, 10001, 0, 10001 basis points",
    "1, 0, -1, -1 basis points", "1, 0, 10001, 10001 basis points",
  })
  void whatDoesNotFitIsRefused(long epoch, int weight, int shadow, String message) {
    assertThatThrownBy(() -> Exposure.of(epoch, weight, shadow))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  /// A flip out of the last epoch would otherwise spill into the flipped bit and begin again at epoch 0.
  @Test
  void theLastEpochIsLeftForTheFlip() {
    assertThatThrownBy(() -> Exposure.of(EPOCH_LAST + 1, 0, 0)).isInstanceOf(IllegalArgumentException.class);
  }
}
