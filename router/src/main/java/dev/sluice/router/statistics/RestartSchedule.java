package dev.sluice.router.statistics;

/// How the stake of 1 is spread over time: a part that bets from the first observation, the rest over restarts for ever.
///
/// A bet that began long ago has lost its stake to the good stretch since; a regression that comes late is found by a bet that
/// began shortly before it. Which one that will be is not known, so the stake is spread: restart g gets `mass(g)`, fixed in
/// advance, and what is not yet spent lies idle at its face value. The sum is a mixture of test martingales and thus one
/// itself, with one false-alarm bound for ever (Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential
/// change detection", NEJSDS 2023; here in the form that bounds the probability of any false alarm, not their frequency).
///
/// Masses come in blocks of twice the length of the one before: the first block has 3/4 of the stake of all restarts, each
/// later one a quarter of the block before. Within a block they are equal. So a change after twice the time costs the
/// logarithm of 8 of evidence once per doubling, and there is never an end after which nothing new begins.
final class RestartSchedule {

  private static final double FIRST_BLOCK_SHARE = 0.75;
  private static final double NEXT_BLOCK_SHARE = 1 - FIRST_BLOCK_SHARE;

  private final double atFirst;
  private final long firstBlock;

  /// @param atFirst the stake that bets from the first observation, in (0, 1]
  /// @param firstBlock restarts in the first block
  RestartSchedule(double atFirst, long firstBlock) {
    this.atFirst = atFirst;
    this.firstBlock = firstBlock;
  }

  double atFirst() {
    return atFirst;
  }

  double forRestarts() {
    return 1 - atFirst;
  }

  /// The stake of restart `generation`, from 1 on.
  double mass(long generation) {
    double blockMass = forRestarts() * FIRST_BLOCK_SHARE;
    long length = firstBlock;
    long before = generation - 1;
    while (before >= length) {
      before -= length;
      length <<= 1;
      blockMass *= NEXT_BLOCK_SHARE;
    }
    return blockMass / length;
  }
}
