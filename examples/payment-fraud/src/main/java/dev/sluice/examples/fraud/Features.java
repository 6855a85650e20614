package dev.sluice.examples.fraud;

import java.util.ArrayList;
import java.util.List;

/// Turns a payment into the numbers that every version of the model takes, in the order of [#NAMES].
///
/// | feature | unit |
/// |---|---|
/// | `amount` | decimal logarithm of the amount in euros, at least one cent |
/// | `account_age` | decimal logarithm of 1 + days |
/// | `payments_last_hour` | binary logarithm of 1 + payments by this customer in the hour before |
/// | `card_present`, `new_device`, `ip_country_mismatch`, `night` (before 6 o'clock) | 0 or 1 |
/// | `category=...`, `country=...` | 1 for the payment's own, else 0 |
public final class Features {
  /// The name of each feature, in order.
  public static final List<String> NAMES = names();

  private Features() {}

  /// The features of a payment, its amount read correctly.
  public static float[] of(Payment payment) {
    return of(payment, payment.amountEuros());
  }

  /// The features of a payment whose amount in euros somebody else has worked out, rightly or wrongly.
  public static float[] of(Payment payment, double amountEuros) {
    float[] features = new float[NAMES.size()];
    int next = 0;
    features[next++] = (float) Math.log10(Math.max(amountEuros, 0.01));
    features[next++] = (float) Math.log10(1 + payment.accountAgeDays());
    features[next++] = (float) (Math.log(1 + payment.paymentsLastHour()) / Math.log(2));
    features[next++] = payment.cardPresent() ? 1 : 0;
    features[next++] = payment.newDevice() ? 1 : 0;
    features[next++] = payment.ipCountryMismatch() ? 1 : 0;
    features[next++] = payment.hour() < 6 ? 1 : 0;
    for (MerchantCategory category : MerchantCategory.values()) {
      features[next++] = payment.category() == category ? 1 : 0;
    }
    for (Country country : Country.values()) {
      features[next++] = payment.country() == country ? 1 : 0;
    }
    return features;
  }

  private static List<String> names() {
    var names = new ArrayList<>(List.of("amount", "account_age", "payments_last_hour",
        "card_present", "new_device", "ip_country_mismatch", "night"));
    for (MerchantCategory category : MerchantCategory.values()) {
      names.add("category=" + category);
    }
    for (Country country : Country.values()) {
      names.add("country=" + country);
    }
    return List.copyOf(names);
  }
}
