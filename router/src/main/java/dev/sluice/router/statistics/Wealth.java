package dev.sluice.router.statistics;

import java.util.Arrays;

/// What a bet has made of its stake, within the bounds of a double.
///
/// **Why tiny wealth becomes 0 and not a floor.** A floor under the wealth looks harmless, but it is not where requests in
/// flight are counted as good first and found bad later: ten thousand dispatches take the wealth of an alternative to
/// 1e-20000, a floor lifts it to 1e-200, and a hundred of them that then turn out bad, each worth a factor of 10,000, make
/// 1e200 of it: an alarm out of nothing. Giving the bet up can only lose evidence. Restarts bet afresh soon after, and no
/// bet that lost 250 powers of ten would have overtaken them. It also keeps denormal numbers, which are slow, out.
final class Wealth {

  static final double MOST = 1e200;
  static final double LEAST = 1e-250;

  /// The largest exponent that [StrictMath#exp] is asked for, so that a product of 0 and infinity cannot occur.
  static final double LOG_FACTOR_MOST = 690;

  private Wealth() {}

  static double bounded(double wealth) {
    // Two branches that are nearly always foretold: Math.min also minds signed zeros and takes four times as long.
    if (wealth < LEAST) {
      return 0;
    }
    return wealth > MOST ? MOST : wealth;
  }

  /// `base` multiplied `exponent` times, by repeated squaring.
  static double power(double base, long exponent) {
    double power = 1;
    double square = base;
    for (long rest = exponent; rest != 0; rest >>>= 1) {
      if ((rest & 1) != 0) {
        power *= square;
      }
      square *= square;
    }
    return power;
  }

  static double[] uniform(int size) {
    double[] prior = new double[size];
    Arrays.fill(prior, 1.0 / size);
    return prior;
  }
}
