package dev.sluice.router.statistics;

import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/// Evidence that bad events come more often than a limit allows, from the first event on and after any long good stretch.
///
/// **The hypothesis.** "Every event is bad with conditional probability at most p0." Rates may drift below the limit and
/// events may depend on each other; only the conditional probability matters.
///
/// **The bets.** For each alternative p_k above the limit, a bet multiplies by `p_k / p0` at a bad event and by
/// `(1 - p_k) / (1 - p0)` at a good one: after n events, S of them bad, by
///
/// ```
/// LR_k(n, S) = (p_k / p0)^S * ((1 - p_k) / (1 - p0))^(n - S)
/// ```
///
/// The mean of each factor grows with the true probability and is 1 at p0. A part of the stake bets from the first event
/// (*plain*), the rest from one restart after the other ([RestartSchedule]); what is unspent counts at its face value. The
/// evidence is the sum. Method of mixtures: H. Robbins, "Statistical methods related to the law of the iterated logarithm"
/// (1970); for 0/1 data a bet is a likelihood ratio: Waudby-Smith and Ramdas, "Estimating means of bounded random variables
/// by betting", JRSS-B 86 (2024).
///
/// **Requests in flight.** Failures tend to return sooner than successes; a test on completed requests would see too many of
/// them and raise false alarms (nearly always, with a thousand in flight). So n counts *dispatches*, and a request in flight
/// counts as good until it turns out bad; then its factor is replaced. This is safe: `LR_k` grows with S and falls with n.
/// Number the requests as dispatched, and let E_n be the evidence once the first n have all ended. At any moment with n
/// dispatched, the value held here differs from E_n only in that some bad requests still count as good, so it is at most
/// E_n, and its supremum over all moments is at most the supremum over n, which Ville bounds. For the same reason counting
/// too many events, or overlooking bad ones, can delay an alarm but never cause one.
///
/// **Requests in flight and restarts.** The argument needs, for every bet, that each bad event it counts is also one of the
/// events it counts, that is, that the request was dispatched after the bet began. A bet that began with 1000 requests in
/// flight and counted their failures would count bad events without their dispatches, and fast failures first: false alarms
/// again. So each request carries the *generation* of restarts at its dispatch, and its failure counts only for bets of that
/// generation or earlier. Bets are kept in three groups, so that this is a comparison:
///
/// - *plain*, began at the first event: counts every bad event.
/// - *young*, the newest restart (generation g): counts bad events of generation g.
/// - *mature*, all restarts before it: counts bad events of generation g - 1 and g. Older ones belong to some of these bets
///   but not to all; they count as good for all of them, which by the argument above is safe.
///
/// A request must read the generation *before* it is counted among the events; then a restart in between makes it a good event
/// of a bet that ignores its failure. The other order could count a failure without its dispatch.
///
/// So that failures that return late still count for mature bets, restart every [#spacing] events, not more often.
///
/// **Cost.** A bad event: 24 multiplications, and 8 for each hexadecimal digit of the good ones since the last update; a restart
/// about the same.
public final class LimitTest implements EProcess {

  /// Events between two restarts while fewer than this many are in flight.
  public static final int SPACING = 64;

  /// The largest limit that leaves room for alternatives above it.
  public static final double LIMIT_MAX = 0.5;

  private static final int GRID_SIZE = 8;
  private static final double NEAREST_ALTERNATIVE = 1.5;
  private static final double FARTHEST_ALTERNATIVE = 0.99;

  /// The stake of each alternative. The farthest has a fifth, so that a candidate that always fails is stopped at the second
  /// request (limit 1 %, alpha 0.001: half the stake x 0.21 x 99^2 is above 1000); most of the rest lies at three to twelve times
  /// the limit, where a test is slow enough for it to matter. Found by simulation.
  static final double[] PRIOR = {0.05, 0.11, 0.23, 0.25, 0.08, 0.04, 0.03, 0.21};

  /// With [#SPACING] the first block of restarts lasts for a million events.
  static final RestartSchedule SCHEDULE = new RestartSchedule(0.5, 16384);

  private static final int MATURE = GRID_SIZE;
  private static final int YOUNG = 2 * GRID_SIZE;
  private static final int UNSPENT = 3 * GRID_SIZE;
  private static final int EVENTS = UNSPENT + 1;
  private static final int BAD = UNSPENT + 2;
  private static final int GENERATION = UNSPENT + 3;
  private static final int SIZE = UNSPENT + 4;

  /// Counts of good events are taken apart into hexadecimal digits.
  private static final int DIGIT_BITS = 4;

  private static final int DIGIT_VALUES = 1 << DIGIT_BITS;
  private static final int DIGITS = Long.SIZE / DIGIT_BITS;

  /// Boundaries hold for evidence this much above the threshold, so that the rounding of the products cannot undo them.
  private static final double ROUNDING = 1e-9;

  private final double limit;
  private final RestartSchedule schedule;
  private final double[] prior;
  private final double[] logGainOfBad = new double[GRID_SIZE];
  private final double[] logLossOfGood = new double[GRID_SIZE];
  private final double[] badInsteadOfGood = new double[GRID_SIZE];

  /// The factor of `value * 16^digit` good events for alternative k, at ((digit * 16) + value) * 8 + k: a count costs one
  /// multiplication per digit. 16 KiB, shared by all states of this limit, and by other tests of the same one.
  private final double[] goodPowers;

  /// The latest tables: rollouts by the hundred have the same few limits.
  private static final AtomicReferenceArray<@Nullable Powers> POWERS = new AtomicReferenceArray<>(16);

  private static final class Powers {
    final double limit;
    final double[] good;

    Powers(double limit, double[] good) {
      this.limit = limit;
      this.good = good;
    }
  }

  /// @param limit the allowed rate p0 of bad events, above 0 and at most [#LIMIT_MAX]
  public LimitTest(double limit) {
    this(limit, PRIOR, SCHEDULE);
  }

  LimitTest(double limit, double[] prior, RestartSchedule schedule) {
    if (!(limit > 0 && limit <= LIMIT_MAX)) {
      throw new IllegalArgumentException("limit: " + limit + " is not above 0 and at most " + LIMIT_MAX);
    }
    this.limit = limit;
    this.prior = prior.clone();
    this.schedule = schedule;
    double nearest = NEAREST_ALTERNATIVE * limit;
    double ratio = StrictMath.pow(FARTHEST_ALTERNATIVE / nearest, 1.0 / (GRID_SIZE - 1));
    for (int k = 0; k < GRID_SIZE; k++) {
      double alternative = nearest * StrictMath.pow(ratio, k);
      logGainOfBad[k] = StrictMath.log(alternative / limit);
      logLossOfGood[k] = StrictMath.log1p(-alternative) - StrictMath.log1p(-limit);
      badInsteadOfGood[k] = StrictMath.exp(logGainOfBad[k] - logLossOfGood[k]);
    }
    this.goodPowers = goodPowers(limit, logLossOfGood);
  }

  private static double[] goodPowers(double limit, double[] logLossOfGood) {
    int place = (Double.hashCode(limit) * 0x9E37_79B9) >>> 28;
    Powers known = POWERS.get(place);
    if (known != null && known.limit == limit) {
      return known.good;
    }
    double[] good = new double[DIGITS * DIGIT_VALUES * GRID_SIZE];
    for (int digit = 0; digit < DIGITS; digit++) {
      double unit = StrictMath.scalb(1.0, DIGIT_BITS * digit);
      for (int value = 0; value < DIGIT_VALUES; value++) {
        for (int k = 0; k < GRID_SIZE; k++) {
          good[(digit * DIGIT_VALUES + value) * GRID_SIZE + k] = StrictMath.exp(logLossOfGood[k] * value * unit);
        }
      }
    }
    POWERS.set(place, new Powers(limit, good));
    return good;
  }

  public double limit() {
    return limit;
  }

  /// Events until the next restart when so many requests are in flight: a failure that takes as long as all requests now in
  /// flight then still counts for the mature bets.
  public static long spacing(long inFlight) {
    return Math.max(SPACING, inFlight);
  }

  @Override
  public int size() {
    return SIZE;
  }

  @Override
  public void begin(double[] state, int at) {
    for (int k = 0; k < GRID_SIZE; k++) {
      state[at + k] = schedule.atFirst() * prior[k];
      state[at + MATURE + k] = 0;
      state[at + YOUNG + k] = 0;
    }
    state[at + UNSPENT] = schedule.forRestarts();
    state[at + EVENTS] = 0;
    state[at + BAD] = 0;
    state[at + GENERATION] = 0;
  }

  /// A request turned out bad.
  ///
  /// @param events requests dispatched so far, this one and those in flight included; fewer than before counts as before
  /// @param generation restarts there had been when this request was dispatched, read before it was counted
  public void bad(double[] state, int at, long events, long generation) {
    double bad = state[at + BAD] + 1;
    state[at + BAD] = bad;
    long good = counted(state, at, Math.max(events, (long) bad));
    long younger = (long) state[at + GENERATION] - generation;
    for (int k = 0; k < GRID_SIZE; k++) {
      double withoutBad = goodFactor(good, k);
      double withBad = withoutBad * badInsteadOfGood[k];
      int i = at + k;
      state[i] = Wealth.bounded(state[i] * withBad);
      state[i + MATURE] = Wealth.bounded(state[i + MATURE] * (younger <= 1 ? withBad : withoutBad));
      state[i + YOUNG] = Wealth.bounded(state[i + YOUNG] * (younger <= 0 ? withBad : withoutBad));
    }
  }

  /// So many requests have been dispatched; those not known to be bad count as good.
  public void catchUp(double[] state, int at, long events) {
    long good = counted(state, at, events);
    if (good == 0) {
      return;
    }
    for (int k = 0; k < GRID_SIZE; k++) {
      double factor = goodFactor(good, k);
      int i = at + k;
      state[i] = Wealth.bounded(state[i] * factor);
      state[i + MATURE] = Wealth.bounded(state[i + MATURE] * factor);
      state[i + YOUNG] = Wealth.bounded(state[i + YOUNG] * factor);
    }
  }

  /// How many events are new, which from now on are counted.
  private static long counted(double[] state, int at, long events) {
    long before = (long) state[at + EVENTS];
    if (events <= before) {
      return 0;
    }
    state[at + EVENTS] = events;
    return events - before;
  }

  private double goodFactor(long good, int k) {
    double factor = goodPowers[(int) (good & (DIGIT_VALUES - 1)) * GRID_SIZE + k];
    int row = DIGIT_VALUES;
    for (long rest = good >>> DIGIT_BITS; rest != 0; rest >>>= DIGIT_BITS) {
      factor *= goodPowers[(row + (int) (rest & (DIGIT_VALUES - 1))) * GRID_SIZE + k];
      row += DIGIT_VALUES;
    }
    return factor;
  }

  /// Begins bets afresh for requests dispatched from now on.
  ///
  /// @param events requests dispatched before the restart
  /// @param generation the number of this restart: one more than that of the last one, the first is 1
  public void restart(double[] state, int at, long events, long generation) {
    if (generation != (long) state[at + GENERATION] + 1) {
      throw new IllegalArgumentException(
          "generation: " + generation + " does not follow " + (long) state[at + GENERATION]);
    }
    catchUp(state, at, events);
    double mass = Math.min(schedule.mass(generation), state[at + UNSPENT]);
    for (int k = 0; k < GRID_SIZE; k++) {
      state[at + MATURE + k] = Math.min(state[at + MATURE + k] + state[at + YOUNG + k], Wealth.MOST);
      state[at + YOUNG + k] = mass * prior[k];
    }
    state[at + UNSPENT] -= mass;
    state[at + GENERATION] = generation;
  }

  @Override
  public double evidence(double[] state, int at) {
    double plain = 0;
    double mature = 0;
    double young = 0;
    for (int i = at; i < at + GRID_SIZE; i++) {
      plain += state[i];
      mature += state[i + MATURE];
      young += state[i + YOUNG];
    }
    return plain + mature + young + state[at + UNSPENT];
  }

  /// The most events among which `bad` bad ones, counted from the first event, stop a rule with this threshold whatever came of
  /// the restarts; 0 if that many never do. This is the table that people print and check by hand: the test itself fires
  /// there at the latest. (Unless the good ones came first and so many of them that the best bet had fallen below 1e-250.)
  public long boundary(long bad, double threshold) {
    double logThreshold = StrictMath.log(threshold) + ROUNDING;
    if (bad <= 0 || logPlain(bad, bad) < logThreshold) {
      return 0;
    }
    long crossed = bad;
    long notCrossed = 2 * bad;
    while (logPlain(notCrossed, bad) >= logThreshold) {
      crossed = notCrossed;
      notCrossed *= 2;
    }
    while (notCrossed - crossed > 1) {
      long middle = (crossed + notCrossed) >>> 1;
      if (logPlain(middle, bad) >= logThreshold) {
        crossed = middle;
      } else {
        notCrossed = middle;
      }
    }
    return crossed;
  }

  /// The natural logarithm of the plain part after `events`, `bad` of them bad.
  private double logPlain(long events, long bad) {
    double largest = Double.NEGATIVE_INFINITY;
    for (int k = 0; k < GRID_SIZE; k++) {
      largest = Math.max(largest, bad * logGainOfBad[k] + (events - bad) * logLossOfGood[k]);
    }
    double sum = 0;
    for (int k = 0; k < GRID_SIZE; k++) {
      sum += prior[k] * StrictMath.exp(bad * logGainOfBad[k] + (events - bad) * logLossOfGood[k] - largest);
    }
    return largest + StrictMath.log(schedule.atFirst() * sum);
  }
}
