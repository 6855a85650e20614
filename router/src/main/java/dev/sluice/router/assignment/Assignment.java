package dev.sluice.router.assignment;

/// The decision for one request.
///
/// @param variant who answers
/// @param shadowed whether the other variant sees a copy, to be compared and thrown away
/// @param segment index in the rollout's [Segments]
/// @param epoch the rollout's epoch at the decision; evidence from an older epoch never decides
/// @param share the chance, in basis points, with which this request was given to the candidate; 0 where chance had no say
///     in it (the blast radius or the caller's deadline kept the candidate away): such a request says nothing about both
///     variants side by side
/// @param keyHash the sticky key under the rollout's salt, or [#NO_KEY]
/// @param ticket where evidence stood when the request was dispatched, see [dev.sluice.router.ledger.EvidenceLedger#ticket]
public record Assignment(
    Variant variant, boolean shadowed, int segment, long epoch, int share, long keyHash, long ticket) {

  /// The key hash of a request without a key. A key that happens to have this hash is taken for none, once in 2^64.
  public static final long NO_KEY = 0;

  /// The epoch of a request that decides nothing.
  private static final long NO_EVIDENCE = -1;

  /// The same request, answered by the baseline after all; nobody sees a copy.
  public Assignment byBaseline() {
    return new Assignment(Variant.BASELINE, false, segment, epoch, 0, keyHash, ticket);
  }

  /// The same request, dispatched anew: a copy that has waited.
  public Assignment dispatched(long newTicket) {
    return new Assignment(variant, shadowed, segment, epoch, share, keyHash, newTicket);
  }

  /// The same request, of a kind that is never given to the candidate: chance had no say in who answers it.
  public Assignment withoutChance() {
    return new Assignment(variant, shadowed, segment, epoch, 0, keyHash, ticket);
  }

  /// The same request as people see it; its observations decide nothing.
  public Assignment withoutEvidence() {
    return new Assignment(variant, shadowed, segment, NO_EVIDENCE, 0, keyHash, ticket);
  }
}
