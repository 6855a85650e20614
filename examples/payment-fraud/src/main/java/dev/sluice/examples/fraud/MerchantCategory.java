package dev.sluice.examples.fraud;

/// What the merchant sells, with what honest customers do there: how often (the shares sum to 100), how much a typical
/// payment is, and how often the card itself is at the till.
public enum MerchantCategory {
  GROCERIES(34, 25, 0.9),
  RESTAURANT(20, 30, 0.9),
  FASHION(14, 60, 0.5),
  ELECTRONICS(10, 150, 0.4),
  TRAVEL(7, 220, 0.2),
  DIGITAL_GOODS(15, 10, 0.0);

  final int sharePercent;
  final double medianEuros;
  final double cardPresentProbability;

  MerchantCategory(int sharePercent, double medianEuros, double cardPresentProbability) {
    this.sharePercent = sharePercent;
    this.medianEuros = medianEuros;
    this.cardPresentProbability = cardPresentProbability;
  }
}
