package dev.sluice.router.statistics;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.ToLongFunction;

/// How long a test takes to fire, over many seeded runs, printed beside the reference figure.
final class Delays {

  private final String what;
  private final long seed;
  private final long[] sorted;

  private Delays(String what, long seed, long[] sorted) {
    this.what = what;
    this.seed = seed;
    this.sorted = sorted;
  }

  static Delays of(String what, long seed, int runs, ToLongFunction<SplittableRandom> run) {
    long[] delays = new long[runs];
    for (int i = 0; i < runs; i++) {
      delays[i] = run.applyAsLong(new SplittableRandom(seed * 1_000_003 + i));
    }
    Arrays.sort(delays);
    return new Delays(what, seed, delays);
  }

  long least() {
    return sorted[0];
  }

  long median() {
    return sorted[sorted.length / 2];
  }

  long p95() {
    return sorted[sorted.length * 95 / 100];
  }

  /// Prints the line of the table; a reference of 0 means that the page gives none.
  Delays besideReference(long median, long p95) {
    System.out.printf(
        "| %s | %d (%d) | %s (%s) |%n",
        what, median(), p95(), median == 0 ? "-" : Long.toString(median), p95 == 0 ? "-" : Long.toString(p95));
    return this;
  }

  Delays medianAtMost(double most) {
    assertThat((double) median()).as("median delay, %s, seeds from %d", what, seed * 1_000_003).isLessThanOrEqualTo(most);
    return this;
  }

  Delays p95AtMost(double most) {
    assertThat((double) p95()).as("95th percentile, %s, seeds from %d", what, seed * 1_000_003).isLessThanOrEqualTo(most);
    return this;
  }

  /// Events up to and including the next one of this rate.
  static long gap(SplittableRandom random, double rate) {
    return rate == 1 ? 1 : 1 + (long) (Math.log1p(-random.nextDouble()) / Math.log1p(-rate));
  }
}
