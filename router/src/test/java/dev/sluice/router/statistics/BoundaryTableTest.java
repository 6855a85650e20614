package dev.sluice.router.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class BoundaryTableTest {

  private static final long[] BAD = {2, 3, 4, 5, 6, 8, 10, 20, 50, 100};

  /// Figures worked out apart from this code. "5 bad among 39" is what an operator checks a flip against by hand.
  @ParameterizedTest(name = "limit {0}, alpha {1}")
  @CsvSource({
    "0.005, 1e-3, 3 15 39 74 118 230 370 1307 4716 12644",
    "0.01,  1e-3, 2  8 21 39  62 119 189  653 2435  6332",
    "0.01,  1e-6, 0  0  5 11  20  48  88  417 2000  5014",
    "0.05,  1e-3, 0  3  6 10  15  28  43  140  524  1283",
  })
  void theBoundariesAreTheKnownOnes(double limit, double alpha, String boundaries) {
    BoundaryTable table = table(limit, alpha);
    long[] expected = Arrays.stream(boundaries.split(" +")).mapToLong(Long::parseLong).toArray();
    assertThat(Arrays.stream(BAD).map(table::boundary).toArray()).isEqualTo(expected);
  }

  @Test
  void oneBadEventAloneNeverStopsAtTheseLimits() {
    assertThat(table(0.005, 1e-3).boundary(1)).isZero();
    assertThat(table(0.01, 1e-3).boundary(1)).isZero();
    assertThat(table(0.05, 1e-3).boundary(1)).isZero();
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.0001, 0.005, 0.01, 0.05, 0.3, 0.5})
  void tableAndFormulaAgreeWithinAndPastTheLastRow(double limit) {
    BoundaryTable table = table(limit, 1e-3);
    GridLikelihoodRatio test = new GridLikelihoodRatio(limit);
    long before = 0;
    for (long bad = 1; bad < 3000; bad += bad < 600 ? 1 : 97) {
      long boundary = table.boundary(bad);
      assertThat(boundary).as("boundary of %d bad at limit %s", bad, limit).isGreaterThanOrEqualTo(before);
      before = boundary;
      if (boundary == 0) {
        assertThat(test.logEvidence(bad, bad)).isLessThan(table.logThreshold());
        assertThat(table.isCrossed(bad, bad)).isFalse();
      } else {
        assertThat(test.logEvidence(boundary, bad)).isGreaterThanOrEqualTo(table.logThreshold());
        assertThat(test.logEvidence(boundary + 1, bad)).isLessThan(table.logThreshold());
        assertThat(table.isCrossed(bad, bad)).isTrue();
        assertThat(table.isCrossed(boundary, bad)).as("%d bad among %d", bad, boundary).isTrue();
        assertThat(table.isCrossed(boundary + 1, bad)).as("%d bad among %d", bad, boundary + 1).isFalse();
      }
    }
  }

  @Test
  void theVerdictIsTheFormulasForAnyCounts() {
    long seed = 20251121;
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < 50_000; i++) {
      double limit = new double[] {0.005, 0.01, 0.05}[i % 3];
      BoundaryTable table = TABLES[i % 3];
      long bad = random.nextLong(0, 1200);
      long events = bad + random.nextLong(0, 100_000);
      assertThat(table.isCrossed(events, bad))
          .as("seed %d, limit %s, %d bad among %d", seed, limit, bad, events)
          .isEqualTo(table.logEvidence(events, bad) >= table.logThreshold());
    }
  }

  private static final BoundaryTable[] TABLES = {table(0.005, 1e-3), table(0.01, 1e-3), table(0.05, 1e-3)};

  @Test
  void nothingBadNeverStops() {
    assertThat(table(0.01, 0.1).isCrossed(0, 0)).isFalse();
    assertThat(table(0.01, 0.1).isCrossed(1_000_000, 0)).isFalse();
    assertThat(table(0.01, 0.1).boundary(0)).isZero();
  }

  @ParameterizedTest
  @ValueSource(doubles = {1, 0, -5, Double.NaN, Double.POSITIVE_INFINITY})
  void aThresholdThatCannotBoundAlarmsIsRefused(double threshold) {
    assertThatThrownBy(() -> new BoundaryTable(new GridLikelihoodRatio(0.01), threshold))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("threshold: " + threshold);
  }

  static BoundaryTable table(double limit, double alpha) {
    return new BoundaryTable(new GridLikelihoodRatio(limit), 1 / alpha);
  }
}
