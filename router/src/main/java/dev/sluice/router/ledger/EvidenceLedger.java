package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Stop;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Counted;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A rollout's exposure and evidence, in words that every thread may read and count in at once.
///
/// **Counting at dispatch.** Failures come back faster than successes, so rates over *completed* calls look worse than they
/// are: with a thousand calls in flight, a healthy candidate would be stopped almost surely. Events are therefore counted when
/// they are dispatched, before they run; what is in flight counts as good. That can only delay an alarm (see
/// [dev.sluice.router.statistics.GridLikelihoodRatio]).
///
/// **Why no lock is needed.** A bad event first adds itself to S and then reads n. Every event counted in S was counted in n
/// before it ran, so n is never too small, and another thread's bad event that is not yet in S only makes S too small: both
/// errors are on the safe side. The last of several concurrent bad events sees all of them.
///
/// **What never decides.** Bad events of requests that were assigned in an older epoch are not counted in S.
///
/// Layout, in words: `0` layout mark, `16` exposure, `32..35` the trip (rule + 1, segment + 1, bad, dispatched), from `64` one
/// block per segment. The exposure has cache lines of its own: every request reads it while counters next to it change.
public final class EvidenceLedger {

  private static final int LAYOUT = 0;
  private static final int EXPOSURE = 16;
  private static final int TRIP = 32;
  private static final int SEGMENTS = 64;

  private static final int LIVE_ASSIGNED = 0;
  private static final int LIVE_DISPATCHED = 1;
  private static final int SHADOWS_DISPATCHED = 2;
  private static final int COMPARISONS_DISPATCHED = 3;
  private static final int LIVE_COMPLETED = 4;
  private static final int SHADOWS_COMPLETED = 5;
  private static final int BAD = 6;

  /// Changes with the layout, so that a ledger of another layout is never read as this one.
  private static final long LAYOUT_VERSION = 1;

  private final ArmedRules rules;
  private final Segments segments;
  private final LedgerWords words;
  private final int blockWords;

  /// Whether a shadow has only done its work once its answer is compared.
  private final boolean comparisonsMatter;

  public EvidenceLedger(ArmedRules rules, Segments segments, LedgerWords words) {
    if (words.size() < wordsNeeded(rules.rules().size(), segments.count())) {
      throw new IllegalArgumentException(
          "%d words are too few: %d segments and %d rules need %d"
              .formatted(
                  words.size(), segments.count(), rules.rules().size(),
                  wordsNeeded(rules.rules().size(), segments.count())));
    }
    this.rules = rules;
    this.segments = segments;
    this.words = words;
    this.blockWords = blockWords(rules.rules().size());
    this.comparisonsMatter = rules.rules().stream().anyMatch(rule -> rule.counted() == Counted.COMPARISONS);
  }

  /// The size of the memory that a rollout's ledger lives in.
  public static int wordsNeeded(int rules, int segments) {
    return SEGMENTS + blockWords(rules) * segments;
  }

  /// Whole cache lines, so that segments do not disturb each other.
  private static int blockWords(int rules) {
    return (BAD + rules + 7) / 8 * 8;
  }

  /// The rules that this ledger's evidence is for.
  public ArmedRules rules() {
    return rules;
  }

  // --- exposure -------------------------------------------------------------------------------------------------------

  /// The [Exposure] word: one volatile read.
  public long exposure() {
    return words.get(EXPOSURE);
  }

  /// The single writer's change of weight or shadow share. False if a flip came first: the exposure is not `expected` any
  /// more, or `expected` is the flip itself, from which there is no way back.
  public boolean expose(long expected, long exposure) {
    return !Exposure.isFlipped(expected) && words.compareAndSet(EXPOSURE, expected, exposure);
  }

  /// Sends all keys back to the baseline for good. One compare-and-set, repeated only if the single writer came between.
  ///
  /// @param because the verdict, kept beside the exposure so that it outlives the process; null when a person ends the rollout
  /// @return true for the one thread that did it, false if the rollout was flipped already
  public boolean flip(@Nullable Trip because) {
    long word;
    do {
      word = exposure();
      if (Exposure.isFlipped(word)) {
        return false;
      }
    } while (!words.compareAndSet(EXPOSURE, word, Exposure.flipped(word)));
    if (because != null) {
      words.set(TRIP + 1, because.segment() + 1);
      words.set(TRIP + 2, because.bad());
      words.set(TRIP + 3, because.dispatched());
      words.set(TRIP, because.rule() + 1);
    }
    return true;
  }

  /// A crossing of a boundary, by index.
  public record Trip(int rule, int segment, long bad, long dispatched) {}

  /// The crossing that flipped this ledger; null if none did, or if the process died between the flip and writing down why.
  public @Nullable Trip trip() {
    long rule = words.get(TRIP);
    return rule == 0
        ? null
        : new Trip((int) rule - 1, (int) words.get(TRIP + 1) - 1, words.get(TRIP + 2), words.get(TRIP + 3));
  }

  /// The verdict in words.
  public Stop describe(Trip trip) {
    ArmedRule armed = rules.armed(trip.rule(), trip.segment());
    return new Stop(
        rules.rules().get(trip.rule()).name(),
        segmentName(trip.segment()),
        trip.bad(),
        trip.dispatched(),
        armed == null ? 0 : armed.table().boundary(trip.bad()));
  }

  // --- evidence -------------------------------------------------------------------------------------------------------

  /// A live request was assigned to the candidate. To be called before anything else happens to it.
  public void assignedLive(int segment) {
    words.increment(block(segment) + LIVE_ASSIGNED);
  }

  /// The candidate is about to run a live request. Not called for those that a circuit breaker keeps from it: counted among its
  /// calls they would pass for good ones, and hide a candidate that fails whenever it is tried.
  public void dispatchedLive(int segment) {
    words.increment(block(segment) + LIVE_DISPATCHED);
  }

  /// The candidate is about to run a copy of a request.
  public void dispatchedShadow(int segment) {
    words.increment(block(segment) + SHADOWS_DISPATCHED);
  }

  /// The second variant is about to run a request whose answers will be compared.
  public void dispatchedComparison(int segment) {
    words.increment(block(segment) + COMPARISONS_DISPATCHED);
  }

  /// Adds one observation.
  ///
  /// @return the boundary that it crossed, or null; the caller flips
  public @Nullable Trip record(Observation observation) {
    int block = block(observation.segment());
    switch (observation) {
      case Observation.Answered answered -> {
        if (answered.shadow() && !comparisonsMatter) {
          words.increment(block + SHADOWS_COMPLETED);
        }
        completed(block, answered.variant(), answered.shadow());
      }
      case Observation.Failed failed -> completed(block, failed.variant(), failed.shadow());
      case Observation.Compared _ -> {
        if (comparisonsMatter) {
          words.increment(block + SHADOWS_COMPLETED);
        }
      }
      case Observation.FellBack _ -> {}
    }
    Trip trip = null;
    List<StopRule> all = rules.rules();
    for (int rule = 0; rule < all.size(); rule++) {
      if (all.get(rule).isBad(observation)) {
        Trip crossed = recordBad(rule, observation);
        trip = trip == null ? crossed : trip;
      }
    }
    return trip;
  }

  private void completed(int block, Variant variant, boolean shadow) {
    if (!shadow && variant == Variant.CANDIDATE) {
      words.increment(block + LIVE_COMPLETED);
    }
  }

  private @Nullable Trip recordBad(int rule, Observation observation) {
    if (observation.epoch() != Exposure.epoch(exposure())) {
      return null;
    }
    int segment = observation.segment();
    words.increment(block(segment) + BAD + rule);
    Trip here = crossed(rule, segment);
    return here != null ? here : crossed(rule, ArmedRule.OVERALL);
  }

  private @Nullable Trip crossed(int rule, int segment) {
    ArmedRule armed = rules.armed(rule, segment);
    if (armed == null) {
      return null;
    }
    long bad = bad(rule, segment); // before n: see the class comment
    long dispatched = dispatched(rule, segment);
    return armed.table().isCrossed(dispatched, bad) ? new Trip(rule, segment, bad, dispatched) : null;
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  /// Bad events of a rule in a segment, or in all of them for [ArmedRule#OVERALL].
  public long bad(int rule, int segment) {
    return sum(segment, BAD + rule);
  }

  /// The events that a rule is a rate of, in flight included.
  public long dispatched(int rule, int segment) {
    Counted counted = rules.rules().get(rule).counted();
    return switch (counted) {
      case CANDIDATE_CALLS -> sum(segment, LIVE_DISPATCHED) + sum(segment, SHADOWS_DISPATCHED);
      case CANDIDATE_ASSIGNMENTS -> sum(segment, LIVE_ASSIGNED);
      case COMPARISONS -> sum(segment, COMPARISONS_DISPATCHED);
    };
  }

  /// Live requests that the candidate began to run.
  public long liveDispatched(int segment) {
    return sum(segment, LIVE_DISPATCHED);
  }

  /// Live requests that the candidate finished, well or badly.
  public long liveCompleted(int segment) {
    return sum(segment, LIVE_COMPLETED);
  }

  /// Requests that both variants have run well and that were compared, where a rule is about comparisons.
  public long shadowsCompleted(int segment) {
    return sum(segment, SHADOWS_COMPLETED);
  }

  private long sum(int segment, int word) {
    if (segment != ArmedRule.OVERALL) {
      return words.get(block(segment) + word);
    }
    long sum = 0;
    for (int s = 0; s < segments.count(); s++) {
      sum += words.get(block(s) + word);
    }
    return sum;
  }

  private int block(int segment) {
    return SEGMENTS + segment * blockWords;
  }

  private String segmentName(int segment) {
    return segment == ArmedRule.OVERALL ? "" : segments.name(segment);
  }

  // --- the memory itself ----------------------------------------------------------------------------------------------

  /// Marks fresh memory as this rollout's, at its first exposure.
  public void initialize(long mark, long exposure) {
    words.set(EXPOSURE, exposure);
    words.set(LAYOUT, mark ^ LAYOUT_VERSION);
  }

  /// The mark that [#initialize] left; 0 in fresh memory, some other number in a ledger of another layout.
  public long mark() {
    long word = words.get(LAYOUT);
    return word == 0 ? 0 : word ^ LAYOUT_VERSION;
  }
}
