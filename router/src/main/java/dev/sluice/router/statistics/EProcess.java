package dev.sluice.router.statistics;

/// A test of one hypothesis that may be looked at after every observation: evidence that starts at 1, and of which the
/// hypothesis, while it is true, allows only a bounded growth.
///
/// **The guarantee.** While the hypothesis is true the evidence is a non-negative supermartingale of mean at most 1, so by
/// Ville's inequality it *ever* reaches `1 / alpha` with probability at most `alpha`. Weighted averages of several such
/// processes on one clock are again one, under any dependence (Vovk and Wang, "E-values", Annals of Statistics 49, 2021).
///
/// **State.** The object itself is immutable and shared. What it has learnt is [#size] doubles in memory that the caller
/// owns, from `state[at]` on; all zero is *not* a state, [#begin] writes the first one. Nothing allocates. One thread at a
/// time may update a state, and all updates have one order.
///
/// **Numbers.** Wealth is kept as plain products, so that an update costs a few multiplications. Wealth above 1e200 is
/// clamped and wealth below 1e-250 is given up for good (see [Wealth]); both only lose evidence. All functions used are exact
/// or from [StrictMath], so that the same calls give the same bits on every machine.
public interface EProcess {

  /// Doubles of state.
  int size();

  /// Writes the state of no observations: evidence 1.
  void begin(double[] state, int at);

  /// The evidence now: at least 0 and finite.
  double evidence(double[] state, int at);
}
