package dev.sluice.examples.fraud;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.ToIntFunction;
import java.util.random.RandomGenerator;

/// An endless stream of payments in which the n-th payment is a pure function of the seed and n: any part of it can be
/// made again, in any order, by anybody.
///
/// Each payment comes from a story. Most are honest; the others are one of three kinds of fraud, and each kind shows in
/// a *combination* of signals that are harmless alone (a large amount, a new device, many small payments). That is what
/// separates a model that knows interactions from one that only adds up.
public final class PaymentStream {
  private static final int CUSTOMERS = 50_000;
  /// Accounts opened to try out stolen card numbers; numbered after the customers.
  private static final int THROWAWAY_ACCOUNTS = 2_000;
  private static final long CUSTOMER_SALT = 0x63757374L;

  private final long seed;

  public PaymentStream(long seed) {
    this.seed = seed;
  }

  /// The n-th payment.
  public Payment payment(long n) {
    var random = new SplittableRandom(mix(seed, n));
    double story = random.nextDouble();
    if (story < 0.007) {
      return takenOverAccount(n, random);
    }
    if (story < 0.012) {
      return cardTesting(n, random);
    }
    if (story < 0.015) {
      return stolenCard(n, random);
    }
    return honest(n, random);
  }

  private Payment honest(long n, RandomGenerator random) {
    MerchantCategory category = byShare(MerchantCategory.values(), choice -> choice.sharePercent, random);
    double euros = lognormal(category.medianEuros, 0.8, random);
    boolean travels = category == MerchantCategory.TRAVEL;
    return payment(n, random.nextInt(CUSTOMERS), euros, category, hour(0.06, random),
        chance(category.cardPresentProbability, random), fewPayments(0.25, random),
        chance(0.05, random), chance(travels ? 0.12 : 0.03, random), false);
  }

  /// Somebody else signed in: something dear that sells again, from an unknown device, often from abroad.
  private Payment takenOverAccount(long n, RandomGenerator random) {
    MerchantCategory category = oneOf(random, MerchantCategory.ELECTRONICS, MerchantCategory.FASHION,
        MerchantCategory.TRAVEL, MerchantCategory.DIGITAL_GOODS);
    double euros = lognormal(category.medianEuros * 4, 0.8, random);
    return payment(n, random.nextInt(CUSTOMERS), euros, category, hour(0.35, random),
        false, fewPayments(0.5, random), chance(0.85, random), chance(0.7, random), true);
  }

  /// Card numbers are tried out: tiny payments in quick succession from an account made for it.
  private Payment cardTesting(long n, RandomGenerator random) {
    int account = CUSTOMERS + random.nextInt(THROWAWAY_ACCOUNTS);
    MerchantCategory category = oneOf(random, MerchantCategory.DIGITAL_GOODS, MerchantCategory.FASHION);
    return payment(n, account, lognormal(2, 0.6, random), category, hour(0.25, random),
        false, 2 + fewPayments(0.8, random), chance(0.3, random), chance(0.3, random), true);
  }

  /// The card itself was stolen: dear shopping at the till, as much as possible before it is blocked.
  private Payment stolenCard(long n, RandomGenerator random) {
    MerchantCategory category = oneOf(random, MerchantCategory.ELECTRONICS, MerchantCategory.FASHION);
    return payment(n, random.nextInt(CUSTOMERS), lognormal(category.medianEuros * 4, 0.7, random), category,
        hour(0.06, random), true, 1 + fewPayments(0.6, random), false, chance(0.03, random), true);
  }

  private Payment payment(long n, int customer, double euros, MerchantCategory category, int hour, boolean cardPresent,
      int paymentsLastHour, boolean newDevice, boolean ipCountryMismatch, boolean fraud) {
    var home = new SplittableRandom(mix(seed ^ CUSTOMER_SALT, customer));
    Country country = byShare(Country.values(), Country::sharePercent, home);
    Currency currency = country.currency();
    int accountAgeDays = (int) (-StrictMath.log(1 - home.nextDouble()) * (customer < CUSTOMERS ? 900 : 5));
    long amountMinorUnits = Math.max(1, Math.round(euros / currency.euros() * currency.minorUnitsPerMajor()));
    return new Payment(n, customer, country, currency, amountMinorUnits, category, hour, cardPresent, accountAgeDays,
        paymentsLastHour, newDevice, ipCountryMismatch, fraud);
  }

  private static <T> T byShare(T[] choices, ToIntFunction<T> sharePercent, RandomGenerator random) {
    int left = random.nextInt(100);
    for (T choice : choices) {
      left -= sharePercent.applyAsInt(choice);
      if (left < 0) {
        return choice;
      }
    }
    throw new AssertionError("the shares of " + Arrays.toString(choices) + " do not sum to 100");
  }

  private static MerchantCategory oneOf(RandomGenerator random, MerchantCategory... categories) {
    return categories[random.nextInt(categories.length)];
  }

  private static boolean chance(double probability, RandomGenerator random) {
    return random.nextDouble() < probability;
  }

  private static int hour(double nightProbability, RandomGenerator random) {
    return chance(nightProbability, random) ? random.nextInt(6) : 6 + random.nextInt(18);
  }

  /// A geometric count: each further payment comes with the same probability.
  private static int fewPayments(double another, RandomGenerator random) {
    return (int) (StrictMath.log(1 - random.nextDouble()) / StrictMath.log(another));
  }

  private static double lognormal(double median, double sigma, RandomGenerator random) {
    return median * StrictMath.exp(sigma * random.nextGaussian());
  }

  /// Neighbouring numbers must not get neighbouring generators: the seed of a SplittableRandom is its place on a cycle
  /// that all of them share.
  private static long mix(long seed, long n) {
    long z = seed + n * 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
