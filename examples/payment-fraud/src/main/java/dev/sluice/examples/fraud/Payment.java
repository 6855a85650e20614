package dev.sluice.examples.fraud;

/// One card payment as a payment API sends it. The amount is in the currency's **minor units**: 1999 is 19.99 for the
/// euro and 1999 for the yen; whoever forgets that is wrong by a factor of 100 in one country only.
///
/// `fraud` is the label. It is known weeks later, from chargebacks, and is never a feature.
public record Payment(
    long number,
    int customer,
    Country country,
    Currency currency,
    long amountMinorUnits,
    MerchantCategory category,
    int hour,
    boolean cardPresent,
    int accountAgeDays,
    int paymentsLastHour,
    boolean newDevice,
    boolean ipCountryMismatch,
    boolean fraud) {

  /// The amount in euros, by the currency's own number of decimals.
  public double amountEuros() {
    return amountMinorUnits / currency.minorUnitsPerMajor() * currency.euros();
  }
}
