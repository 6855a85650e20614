package dev.sluice.examples.fraud;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PaymentStreamTest {
  private static final long SEED = 20_261_121;
  private static final int COUNT = 100_000;
  private static final List<Payment> PAYMENTS = first(SEED, COUNT);

  @Test
  void aPaymentIsAFunctionOfSeedAndNumberAlone() {
    var stream = new PaymentStream(SEED);
    for (int n = 999; n >= 0; n--) {
      assertThat(stream.payment(n)).isEqualTo(PAYMENTS.get(n));
    }
    assertThat(first(SEED + 1, 1000)).doesNotContainAnyElementsOf(PAYMENTS.subList(0, 1000));
  }

  @ParameterizedTest
  @EnumSource
  void aCountryHasItsStatedShareAndCurrency(Country country) {
    List<Payment> here = in(country);
    assertThat(100.0 * here.size() / COUNT).isCloseTo(country.sharePercent(), within(0.7));
    assertThat(here).allMatch(payment -> payment.currency() == country.currency());
  }

  @Test
  void oneToTwoPercentAreFraudInEveryCountry() {
    for (Country country : Country.values()) {
      List<Payment> here = in(country);
      long frauds = here.stream().filter(Payment::fraud).count();
      assertThat(100.0 * frauds / here.size()).as("%s", country).isBetween(1.0, 2.0);
    }
  }

  @Test
  void aCustomerStaysInOneCountryWithOneAccount() {
    PAYMENTS.stream().collect(Collectors.groupingBy(Payment::customer)).forEach((customer, own) ->
        assertThat(own).as("customer %d", customer)
            .allMatch(payment -> payment.country() == own.getFirst().country())
            .allMatch(payment -> payment.accountAgeDays() == own.getFirst().accountAgeDays()));
  }

  @Test
  void peopleSpendAlikeEverywhereWhateverTheirCurrency() {
    for (Country country : Country.values()) {
      assertThat(medianEuros(in(country))).as("%s", country).isCloseTo(medianEuros(PAYMENTS), within(4.0));
    }
  }

  private static double medianEuros(List<Payment> payments) {
    return payments.stream().mapToDouble(Payment::amountEuros).sorted()
        .skip(payments.size() / 2).findFirst().orElseThrow();
  }

  private static List<Payment> in(Country country) {
    return PAYMENTS.stream().filter(payment -> payment.country() == country).toList();
  }

  private static List<Payment> first(long seed, int count) {
    var stream = new PaymentStream(seed);
    return LongStream.range(0, count).mapToObj(stream::payment).toList();
  }
}
