package dev.sluice.gateway.simulation;

import dev.sluice.gateway.simulation.Simulation.Spread;
import dev.sluice.router.statistics.BinTest;
import dev.sluice.router.statistics.LimitTest;
import dev.sluice.router.statistics.MeanTest;
import dev.sluice.router.statistics.RatioAcceptance;
import dev.sluice.router.statistics.RatioTest;
import dev.sluice.router.statistics.ShareTest;
import dev.sluice.router.statistics.ShiftTest;
import dev.sluice.router.statistics.SignTest;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/// How many observations a test needs to notice something, found out by letting it: the router's own tests, on drawn observations,
/// until their evidence reaches the threshold.
///
/// What may be spent on one question is counted in updates of a test, not in time, so that the same seed gives the same answer on
/// every machine. A question that would cost more is answered from fewer runs, and in the end with "more than".
final class Detection {

  private static final int RUNS_MAX = 300;
  private static final int RUNS_MIN = 40;

  /// How a test is fed until it has had enough.
  private interface Trial {
    /// @return the observations until the threshold is reached, or more than `most` when it was not
    long observations(SplittableRandom random, long most);
  }

  private static final double UPDATES_MIN = 20_000;

  /// Most questions are easy and leave more than they take, so a hard one may take so many times its part.
  private static final double HARD = 8;

  private final long seed;
  private double updatesLeft;
  private int questionsLeft;

  /// @param updates what all questions together may cost
  /// @param questions about how many there will be; what one does not need is for those after it
  Detection(double updates, int questions, long seed) {
    this.updatesLeft = updates;
    this.questionsLeft = questions;
    this.seed = seed;
  }

  /// @param updatesPerObservation about how many updates of a test an observation costs; less than 1 where most cost none
  /// @return null if half of the trials go on for longer than can be tried
  private @Nullable Spread spread(double updatesPerObservation, Trial trial) {
    double updates = Math.max(UPDATES_MIN, Math.min(updatesLeft / 4, HARD * updatesLeft / Math.max(1, questionsLeft)));
    long most = Math.max(1, (long) (updates / updatesPerObservation / RUNS_MIN));
    SplittableRandom random = new SplittableRandom(seed);
    long[] observations = new long[RUNS_MAX];
    double spent = 0;
    int runs = 0;
    while (runs < RUNS_MAX && (runs < RUNS_MIN || spent < updates)) {
      long needed = trial.observations(random, most);
      observations[runs++] = needed;
      spent += Math.min(needed, most) * updatesPerObservation;
    }
    questionsLeft--;
    updatesLeft -= spent;
    long[] sorted = Arrays.copyOf(observations, runs);
    Arrays.sort(sorted);
    return sorted[(runs - 1) / 2] > most ? null : Spread.of(sorted);
  }

  @Nullable Spread limit(LimitTest test, double threshold, double rate) {
    return spread(
        rate + 1.0 / LimitTest.SPACING,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          long events = 0;
          long generation = 0;
          while (events <= most) {
            events += gap(random, rate);
            for (; (generation + 1) * LimitTest.SPACING < events; generation++) {
              test.restart(state, 0, (generation + 1) * LimitTest.SPACING, generation + 1);
            }
            test.bad(state, 0, events, generation);
            if (test.evidence(state, 0) >= threshold) {
              return events;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// In requests of callers.
  ///
  /// @param baseline the baseline's rate of bad events, `candidate` the candidate's
  /// @param share the candidate's of the requests
  @Nullable Spread ratio(RatioTest test, double threshold, double baseline, double candidate, double share) {
    double either = share * candidate + (1 - share) * baseline;
    return spread(
        either,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          long requests = 0;
          while (requests <= most) {
            requests += gap(random, either);
            boolean bad = random.nextDouble() < share * candidate / either;
            test.add(state, 0, bad ? 1 : 0, bad ? 0 : 1, share);
            if (test.evidence(state, 0) >= threshold) {
              return requests;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// In requests of callers, until a candidate that is like the baseline is shown to be below the margin.
  @Nullable Spread ratioBelow(double margin, double threshold, double baseline, double share) {
    RatioAcceptance test = new RatioAcceptance(margin);
    return spread(
        baseline,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          long requests = 0;
          while (requests <= most) {
            requests += gap(random, baseline);
            boolean candidates = random.nextDouble() < share;
            test.add(state, 0, candidates ? 1 : 0, candidates ? 0 : 1, share);
            if (test.evidence(state, 0) >= threshold) {
              return requests;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// In requests of callers: latencies are log-normal, and the candidate's are longer by a factor.
  ///
  /// @param exceeded for each of the baseline's frozen quantiles, how often the baseline is slower than it, and `slower` how often the
  ///     candidate is; the quantiles in rising order
  @Nullable Spread latencies(RatioTest test, double threshold, double[] exceeded, double[] slower, double share) {
    return spread(
        exceeded.length * (share * slower[0] + (1 - share) * exceeded[0]),
        (random, most) -> {
          double[] state = new double[test.size() * exceeded.length];
          for (int part = 0; part < exceeded.length; part++) {
            test.begin(state, part * test.size());
          }
          double either = share * slower[0] + (1 - share) * exceeded[0];
          long requests = 0;
          while (requests <= most) {
            // Whoever is faster than the lowest quantile says nothing.
            requests += gap(random, either);
            boolean candidate = random.nextDouble() < share * slower[0] / either;
            double[] rates = candidate ? slower : exceeded;
            double depth = random.nextDouble() * rates[0];
            double sum = 0;
            for (int part = 0; part < rates.length; part++) {
              if (depth < rates[part]) {
                test.add(state, part * test.size(), candidate ? 1 : 0, candidate ? 0 : 1, share);
              }
              sum += test.evidence(state, part * test.size());
            }
            if (sum / rates.length >= threshold) {
              return requests;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// In pairs.
  ///
  /// @param against the chance that a pair speaks against the candidate, `inFavour` that it speaks for it
  @Nullable Spread sign(double threshold, double against, double inFavour) {
    SignTest test = new SignTest();
    double either = against + inFavour;
    return spread(
        either,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          long pairs = 0;
          while (pairs <= most) {
            pairs += gap(random, either);
            test.add(state, 0, random.nextDouble() < against / either);
            if (test.evidence(state, 0) >= threshold) {
              return pairs;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// A number for each observation.
  interface Draw {
    double next(SplittableRandom random);
  }

  @Nullable Spread mean(MeanTest test, double threshold, Draw draw) {
    return spread(
        1,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          for (long seen = 1; seen <= most; seen++) {
            test.add(state, 0, draw.next(random));
            if (test.evidence(state, 0) >= threshold) {
              return seen;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  @Nullable Spread shift(ShiftTest test, double threshold, double deviations) {
    return spread(
        1,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          for (long seen = 1; seen <= most; seen++) {
            test.add(state, 0, deviations + random.nextGaussian());
            if (test.evidence(state, 0) >= threshold) {
              return seen;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// @param bin that is too full; what falls outside it falls into no bin that is
  @Nullable Spread bins(BinTest test, double threshold, int bin, int other, double share) {
    return spread(
        test.size() / 6.0,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          for (long seen = 1; seen <= most; seen++) {
            test.add(state, 0, random.nextDouble() < share ? bin : other);
            if (test.evidence(state, 0) >= threshold) {
              return seen;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// In requests of callers.
  @Nullable Spread share(double threshold, double planned, double actual) {
    ShareTest test = new ShareTest();
    return spread(
        1,
        (random, most) -> {
          double[] state = new double[test.size()];
          test.begin(state, 0);
          for (long seen = 1; seen <= most; seen++) {
            test.add(state, 0, random.nextDouble() < actual, planned);
            if (test.evidence(state, 0) >= threshold) {
              return seen;
            }
          }
          return Long.MAX_VALUE;
        });
  }

  /// Events up to and including the next of those that have this rate.
  private static long gap(SplittableRandom random, double rate) {
    return rate >= 1 ? 1 : 1 + (long) (Math.log1p(-random.nextDouble()) / Math.log1p(-rate));
  }
}
