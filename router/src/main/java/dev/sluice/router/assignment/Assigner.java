package dev.sluice.router.assignment;

import com.dynatrace.hash4j.hashing.Hasher64;
import com.dynatrace.hash4j.hashing.Hashing;

/// Sticky assignment without memory.
///
/// A key's bucket is XXH3 of the key under the rollout's salt, scaled to 0..9999; the candidate answers for the buckets
/// below its weight. The same key therefore has the same variant for as long as the weight allows, raising the weight only
/// adds keys to the candidate, and a flip moves all of them back at once. Hash before scaling: sequential user ids would
/// otherwise land in neighbouring buckets. The salt keeps two rollouts, or two attempts, from trying the same unlucky people.
///
/// Whether a request is shadowed is drawn for the request, not for its key: comparisons of many keys are worth more than many
/// of the same few.
public final class Assigner {

  private final Hasher64 hasher;

  /// @param salt one per rollout
  public Assigner(long salt) {
    this.hasher = Hashing.xxh3_64(salt);
  }

  /// Spreads a sticky key over all longs.
  public long hash(String key) {
    return hasher.hashCharsToLong(key);
  }

  /// Decides one request.
  ///
  /// @param exposure the rollout's [Exposure] word, read once for this request
  /// @param keyHash the sticky key's [#hash], or a uniform draw for a request without a key
  /// @param keyed whether `keyHash` is a key's
  /// @param draw a uniform draw for this request
  /// @param mayAnswer false where the blast radius keeps the candidate from answering
  /// @param ticket taken before this request is counted anywhere
  public static Assignment assign(
      long exposure, long keyHash, boolean keyed, long draw, int segment, boolean mayAnswer, long ticket) {
    int share = mayAnswer ? Exposure.weightBasisPoints(exposure) : 0;
    boolean candidate = bucket(keyHash) < share;
    boolean shadowed = bucket(draw) < Exposure.shadowBasisPoints(exposure);
    return new Assignment(
        candidate ? Variant.CANDIDATE : Variant.BASELINE, shadowed, segment, Exposure.epoch(exposure), share,
        keyed ? keyHash : Assignment.NO_KEY, ticket);
  }

  /// 0 .. 9999, each as likely: the upper bits of hash x 10 000 / 2^64.
  static int bucket(long hash) {
    return (int) Math.unsignedMultiplyHigh(hash, Exposure.ALL);
  }
}
