package dev.sluice.examples.fraud.training;

import dev.sluice.examples.fraud.Country;
import dev.sluice.examples.fraud.Payment;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// How good scores are, and how alike: pure functions of scores and labels.
final class Figures {
  /// A payment is stopped when its probability of fraud is above this: the larger of the two probabilities decides.
  static final float THRESHOLD = 0.5f;

  private Figures() {}

  /// The area under the ROC curve: how often a fraud scores above an honest payment. Ties, rare here, count by chance.
  static double auc(List<Payment> payments, float[] scores) {
    long frauds = 0;
    long pairsInOrder = 0;
    for (int i : byScoreDescending(scores)) {
      if (payments.get(i).fraud()) {
        frauds++;
      } else {
        pairsInOrder += frauds;
      }
    }
    return (double) pairsInOrder / (frauds * (payments.size() - frauds));
  }

  /// The largest share of frauds that some threshold catches with at least this precision.
  static double recallAtPrecision(double precision, List<Payment> payments, float[] scores) {
    long all = payments.stream().filter(Payment::fraud).count();
    long seen = 0;
    long caught = 0;
    double recall = 0;
    for (int i : byScoreDescending(scores)) {
      seen++;
      caught += payments.get(i).fraud() ? 1 : 0;
      if (caught >= precision * seen) {
        recall = (double) caught / all;
      }
    }
    return recall;
  }

  /// The share of payments for which both scores lead to the same decision.
  static double agreement(float[] scores, float[] others) {
    return IntStream.range(0, scores.length).map(i -> sameDecision(scores[i], others[i])).average().orElseThrow();
  }

  /// The same, for each country apart.
  static Map<Country, Double> agreementByCountry(List<Payment> payments, float[] scores, float[] others) {
    return IntStream.range(0, scores.length).boxed().collect(Collectors.groupingBy(
        i -> payments.get(i).country(), TreeMap::new,
        Collectors.averagingInt(i -> sameDecision(scores[i], others[i]))));
  }

  private static int sameDecision(float score, float other) {
    return (score > THRESHOLD) == (other > THRESHOLD) ? 1 : 0;
  }

  private static int[] byScoreDescending(float[] scores) {
    return IntStream.range(0, scores.length).boxed()
        .sorted(Comparator.comparingDouble((Integer i) -> -scores[i]))
        .mapToInt(Integer::intValue).toArray();
  }
}
