package dev.sluice.examples.fraud;

/// Where a customer lives: the currency they pay in and their share of the payments. The shares sum to 100.
public enum Country {
  US(Currency.USD, 30),
  DE(Currency.EUR, 16),
  GB(Currency.GBP, 16),
  FR(Currency.EUR, 12),
  BR(Currency.BRL, 9),
  JP(Currency.JPY, 8),
  NL(Currency.EUR, 5),
  PL(Currency.PLN, 4);

  private final Currency currency;
  private final int sharePercent;

  Country(Currency currency, int sharePercent) {
    this.currency = currency;
    this.sharePercent = sharePercent;
  }

  public Currency currency() {
    return currency;
  }

  public int sharePercent() {
    return sharePercent;
  }
}
