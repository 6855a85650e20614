package dev.sluice.loadtest.schedule;

import java.util.SplittableRandom;
import java.util.function.LongSupplier;

/// When the requests of an open loop are due. The same arrivals always give the same times, so two servers can be
/// measured under the very same traffic.
public sealed interface Arrivals {
  /// The highest rate that can be asked for: one request per ten nanoseconds is far beyond any generator.
  double PER_SECOND_MAX = 1e8;

  /// The average number of requests per second.
  double perSecond();

  /// A fresh run through the due times: each call answers with the next one, in nanoseconds since the start.
  LongSupplier dueNanos();

  /// One request every `1/perSecond`, the first one at once.
  record Constant(double perSecond) implements Arrivals {
    public Constant {
      requireRate(perSecond);
    }

    @Override
    public LongSupplier dueNanos() {
      return new LongSupplier() {
        private long n;

        @Override
        public long getAsLong() {
          // From n, not by adding gaps: a rounded gap would add up to a wrong rate.
          return Math.round(n++ * (1e9 / perSecond));
        }
      };
    }
  }

  /// Independent callers: the gaps are exponential, so requests bunch up as they do in production.
  record Poisson(double perSecond, long seed) implements Arrivals {
    public Poisson {
      requireRate(perSecond);
    }

    @Override
    public LongSupplier dueNanos() {
      var random = new SplittableRandom(seed);
      return new LongSupplier() {
        // A double keeps whole nanoseconds for a hundred days.
        private double due;

        @Override
        public long getAsLong() {
          // 1 - u lies in (0, 1], so the logarithm is finite.
          due -= Math.log(1 - random.nextDouble()) * (1e9 / perSecond);
          return (long) due;
        }
      };
    }
  }

  private static void requireRate(double perSecond) {
    if (!(perSecond > 0 && perSecond <= PER_SECOND_MAX)) {
      throw new IllegalArgumentException(
          "rate: %s requests per second; expected more than 0 and at most %.0f".formatted(perSecond, PER_SECOND_MAX));
    }
  }
}
