package dev.sluice.gateway.routing;

import java.util.concurrent.atomic.AtomicInteger;

/// Whether a candidate may run on the threads that bring requests. It has to earn that, and loses it at once.
///
/// What a version usually takes decides for a baseline, which has been trusted for long. A candidate is on trial, and one that
/// hangs would hold every connection of an event loop until [InlineWatch] has stopped its run. So it begins in its queue. After
/// [#PROOF_MIN] good runs in a row it runs where requests arrive; one run beyond [#RUN_NANOS_MAX], seen by the watch while it
/// lasts or by the attempt when it ends, sends it back for twice as many, up to [#PROOF_MAX].
///
/// **The damage is bounded**: no event loop is held for longer than [InlineWatch#HELD_NANOS_MAX] at a time (and until the model's node in
/// progress has ended, where ONNX Runtime looks whether it is to stop), and of n calls to the candidate not more than the loops there
/// are times log2(n / [#PROOF_MIN]) hold one, then one in [#PROOF_MAX].
final class InlineTrust {

  /// A run that takes longer is one too many: the watch would stop it. Not less, because on a busy machine an innocent run
  /// loses its processor for some milliseconds now and then, one in some hundred runs.
  static final long RUN_NANOS_MAX = InlineWatch.RUN_NANOS_MAX;

  static final int PROOF_MIN = 128;
  static final int PROOF_MAX = 16_384;

  /// Good runs in a row that were asked for the last time.
  private final AtomicInteger proof = new AtomicInteger(PROOF_MIN);

  /// Good runs that are missing; 0 or below: trusted.
  private final AtomicInteger missing = new AtomicInteger(PROOF_MIN);

  boolean holds() {
    return missing.get() <= 0;
  }

  /// A run has given an answer, wherever it ran.
  ///
  /// @param nanos of the run alone: how long it waited before says nothing about it
  void answered(long nanos) {
    if (nanos > RUN_NANOS_MAX) {
      lose();
    } else if (missing.get() > 0) {
      missing.decrementAndGet();
    }
  }

  /// A run has failed, which proves nothing if it was quick.
  void failed(long nanos) {
    if (nanos > RUN_NANOS_MAX) {
      lose();
    }
  }

  /// A run takes too long. One that the watch has seen, and its attempt again, counts once.
  void lose() {
    missing.set(holds() ? proof.updateAndGet(runs -> Math.min(PROOF_MAX, 2 * runs)) : proof.get());
  }
}
