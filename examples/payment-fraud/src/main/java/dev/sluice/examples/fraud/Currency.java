package dev.sluice.examples.fraud;

/// A currency with what is needed to read an amount in its minor units. The rates are those of one invented day: they
/// never move, so that the stream and the models can be made again.
public enum Currency {
  EUR(2, 1.0),
  USD(2, 0.92),
  GBP(2, 1.17),
  BRL(2, 0.17),
  PLN(2, 0.23),
  /// The yen has no smaller coin: its minor unit is the yen itself.
  JPY(0, 0.0061);

  private final int decimals;
  private final double euros;

  Currency(int decimals, double euros) {
    this.decimals = decimals;
    this.euros = euros;
  }

  /// How many minor units make one major unit: 100 for the euro, 1 for the yen.
  public double minorUnitsPerMajor() {
    return Math.pow(10, decimals);
  }

  /// What one major unit is worth in euros.
  public double euros() {
    return euros;
  }
}
