package dev.sluice.examples.fraud.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.examples.fraud.Country;
import dev.sluice.examples.fraud.MerchantCategory;
import dev.sluice.examples.fraud.Payment;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FiguresTest {
  private static final List<Payment> PAYMENTS = List.of(
      payment(Country.DE, true), payment(Country.DE, false), payment(Country.JP, true), payment(Country.JP, false));

  @Test
  void theAreaUnderTheCurveCountsThePairsInOrder() {
    assertThat(Figures.auc(PAYMENTS, new float[] {0.9f, 0.1f, 0.8f, 0.2f})).isEqualTo(1);
    assertThat(Figures.auc(PAYMENTS, new float[] {0.1f, 0.9f, 0.2f, 0.8f})).isZero();
    assertThat(Figures.auc(PAYMENTS, new float[] {0.9f, 0.8f, 0.3f, 0.2f})).isEqualTo(0.75);
  }

  @Test
  void recallIsTheMostThatThePrecisionAllows() {
    float[] scores = {0.9f, 0.8f, 0.7f, 0.2f};
    assertThat(Figures.recallAtPrecision(0.9, PAYMENTS, scores)).isEqualTo(0.5);
    assertThat(Figures.recallAtPrecision(0.6, PAYMENTS, scores)).isEqualTo(1);
  }

  @Test
  void agreementComparesDecisionsNotScores() {
    float[] scores = {0.9f, 0.1f, 0.6f, 0.4f};
    float[] others = {0.6f, 0.4f, 0.4f, 0.1f};
    assertThat(Figures.agreement(scores, others)).isCloseTo(0.75, within(1e-9));
    assertThat(Figures.agreementByCountry(PAYMENTS, scores, others))
        .isEqualTo(Map.of(Country.DE, 1.0, Country.JP, 0.5));
  }

  private static Payment payment(Country country, boolean fraud) {
    return new Payment(0, 0, country, country.currency(), 100, MerchantCategory.FASHION, 12, true, 1, 0,
        false, false, fraud);
  }
}
