package dev.sluice.examples.fraud;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class FeaturesTest {
  @Test
  void amountsAreReadByTheDecimalsOfTheirCurrency() {
    assertThat(paid(Country.DE, 1999).amountEuros()).isEqualTo(19.99);
    assertThat(paid(Country.JP, 1999).amountEuros()).isCloseTo(1999 * Currency.JPY.euros(), within(1e-9));
  }

  @Test
  void eachFeatureStandsAtItsName() {
    float[] features = Features.of(paid(Country.JP, 10_000));
    assertThat(features).hasSize(Features.NAMES.size());
    assertThat(value(features, "amount")).isCloseTo((float) Math.log10(61), within(1e-6f));
    assertThat(value(features, "account_age")).isEqualTo(2);
    assertThat(value(features, "payments_last_hour")).isEqualTo(3);
    assertThat(value(features, "card_present")).isZero();
    assertThat(value(features, "new_device")).isOne();
    assertThat(value(features, "ip_country_mismatch")).isZero();
    assertThat(value(features, "night")).isOne();
    assertThat(value(features, "category=TRAVEL")).isOne();
    assertThat(value(features, "category=FASHION")).isZero();
    assertThat(value(features, "country=JP")).isOne();
    assertThat(value(features, "country=DE")).isZero();
  }

  @Test
  void theFeaturesDoNotKnowTheLabel() {
    var stream = new PaymentStream(7);
    LongStream.range(0, 1000).mapToObj(stream::payment).forEach(payment ->
        assertThat(Features.of(withFraud(payment, true))).isEqualTo(Features.of(withFraud(payment, false))));
  }

  private static float value(float[] features, String name) {
    return features[Features.NAMES.indexOf(name)];
  }

  private static Payment paid(Country country, long amountMinorUnits) {
    return new Payment(0, 1, country, country.currency(), amountMinorUnits, MerchantCategory.TRAVEL, 5, false, 99, 7,
        true, false, false);
  }

  private static Payment withFraud(Payment p, boolean fraud) {
    return new Payment(p.number(), p.customer(), p.country(), p.currency(), p.amountMinorUnits(), p.category(),
        p.hour(), p.cardPresent(), p.accountAgeDays(), p.paymentsLastHour(), p.newDevice(), p.ipCountryMismatch(),
        fraud);
  }
}
