package dev.sluice.examples.fraud.training;

import dev.sluice.examples.fraud.Features;
import dev.sluice.examples.fraud.Payment;
import dev.sluice.examples.fraud.PaymentStream;
import java.util.List;
import java.util.stream.LongStream;

/// Payments, and how the training pipeline reads them.
///
/// The pipeline has one switch, and it is the one that goes wrong in practice: does it know that amounts come in minor
/// units of their currency, or does it take every amount for cents?
record TrainingData(List<Payment> payments, boolean amountsInMinorUnits) {

  static TrainingData of(long seed, int count, boolean amountsInMinorUnits) {
    var stream = new PaymentStream(seed);
    return new TrainingData(LongStream.range(0, count).mapToObj(stream::payment).toList(), amountsInMinorUnits);
  }

  /// The features of each payment, as the pipeline makes them.
  float[][] features() {
    return payments.stream()
        .map(payment -> amountsInMinorUnits ? Features.of(payment) : Features.of(payment, centsToEuros(payment)))
        .toArray(float[][]::new);
  }

  /// The mistake of version 3: right for every currency with two decimals, 100 times too small for the yen.
  private static double centsToEuros(Payment payment) {
    return payment.amountMinorUnits() / 100.0 * payment.currency().euros();
  }
}
