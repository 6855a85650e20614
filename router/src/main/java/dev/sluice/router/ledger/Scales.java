package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger.Trip;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.router.statistics.BinTest;
import dev.sluice.router.statistics.EProcess;
import dev.sluice.router.statistics.LimitTest;
import dev.sluice.router.statistics.MeanTest;
import dev.sluice.router.statistics.RatioAcceptance;
import dev.sluice.router.statistics.RatioTest;
import dev.sluice.router.statistics.ShareTest;
import dev.sluice.router.statistics.ShiftTest;
import dev.sluice.router.statistics.SignTest;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Evidence;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Action;
import dev.sluice.router.stop.StopRule.Clock;
import dev.sluice.router.stop.StopRule.Counted;
import dev.sluice.router.stop.StopRule.Sign;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Weighs the evidence: a fold over the lines of the log, and nothing else. The same lines in the same order give the same
/// weights to the last bit, on every machine; that is what makes a decision replayable.
///
/// All of its state is words of a fixed number, so that it can be saved as it is; of those that remember failures and keys, nearly
/// all of them, memory is taken only for what is met. One thread weighs at a time; others may look at the weights meanwhile and
/// see them a moment old.
///
/// **Slices.** Rules that hold the two variants against each other look at failures in slices of dispatch time, and only when all
/// calls of a slice must have ended: whichever variant fails faster would otherwise look worse for a while. Until then a failure
/// waits in a bounded list; when that is full, the newest is dropped whichever variant it is of.
///
/// **First failure of a key.** A sticky key meets the same variant again and again, so its second failure is no new evidence.
/// Keys already counted are remembered in a bitmap. Two keys may share a bit: the later one is then left out, which happens to
/// both variants alike.
@SuppressWarnings("EnumOrdinal") // their order is part of the log's layout
final class Scales {

  /// Failures that wait for their slice to end.
  private static final int WAITING_MAX = 4_096;

  /// Bits that remember keys; a power of two.
  private static final int KEY_BITS = 1 << 20;

  /// Words of those bits that are made together, when the first of their keys is met. A healthy rollout meets few: with rules about
  /// failures only it is those whose requests fail.
  private static final int KEYS_TOGETHER = 64;

  private static final int WAITING_FIRST = 64;

  /// The evidence of the baseline's own drift from which on the candidate's is taken for the world's. Low, because whether the world
  /// drifts is found out by both at about the same time, and the candidate's test may well be ahead.
  private static final double DRIFTS_TOO = 2;

  /// A slice lasts this part of the longest call, so this many slices are open at a time.
  private static final int SLICES_OPEN = 4;

  /// Numbers of a drift rule among which both variants are to be found.
  private static final int RECENT = 256;

  private static final int SPACING_MAX = 1 << 20;

  // Fixed longs, before those by rule and place.
  private static final int NEXT_SLICE = 0;
  private static final int WAITING = 1;
  private static final int HOLDING = 2;
  private static final int STOPPED = 3;
  private static final int DISCOVERED = 4;
  private static final int MATURE_AT = 8;
  private static final int SLICE_COUNTS = 16; // SLICES_OPEN + 1 times: end of slice, three counts
  private static final int FIXED = SLICE_COUNTS + 4 * (SLICES_OPEN + 1);

  private final ArmedRules rules;
  private final List<RatioAcceptance> acceptances;
  private final long callMillisMax;
  private final long sliceMillis;

  private final double[] state;
  private final long[] longs;

  /// The failures that wait, `longs[WAITING]` of them; grows up to [#WAITING_MAX].
  private long[] waiting = new long[0];

  /// The bits that remember keys, [#KEYS_TOGETHER] words each; null where none is set. Empty where no rule asks.
  private final long[] @Nullable [] keys;

  // Where things begin in the first two of these arrays, and where the other two are saved behind them.
  private final int weightedAt;
  private final int acceptancesAt;
  private final int badAt;
  private final int eventsAt;
  private final int staleAt;
  private final int baselinesAt;
  private final int candidatesAt;
  private final int generationsAt;
  private final int spacingsAt;
  private final int spacedSinceAt;
  private final int frozenAt;
  private final int waitingAt;
  private final int keysAt;
  private final int longsSaved;

  private final int[] sampleRatios;

  /// Where the bits begin of keys that were assigned. Nearly all keys are, and would soon leave no bit for those that fail.
  private final int assignedKeysFrom;

  private final int places;
  /// By place, the first of its tests in [ArmedRules#armed] order.
  private final ArmedRule[][] testsIn;

  private final int[][] weightIndexIn;

  /// By clock and place, where the weights are of the tests that can stop. They are added up at every line: asking each test's rule
  /// for its clock then would take longer than all the rest.
  private final int[][][] weightsThatStop;

  /// By place and rule, the index of the rule's first test there, or [#NOT_HERE].
  private final int[][] firstIn;

  /// Stays negative with any part added.
  private static final int NOT_HERE = -1_000;

  /// @param margins of the ratios that promotions are to be shown to be below
  /// @param callMillisMax how long a call takes at most; what takes longer is no evidence for rules about both variants
  Scales(ArmedRules rules, List<Double> margins, long callMillisMax) {
    this.rules = rules;
    this.acceptances = margins.stream().map(RatioAcceptance::new).toList();
    this.callMillisMax = Math.max(SLICES_OPEN, callMillisMax);
    this.sliceMillis = this.callMillisMax / SLICES_OPEN;
    this.places = rules.segments().capacity() + 1;
    List<StopRule> all = rules.rules();
    boolean ratios = all.stream().anyMatch(rule -> rule instanceof StopRule.RatioRule) || !acceptances.isEmpty();
    this.sampleRatios =
        IntStream.range(0, all.size()).filter(r -> all.get(r) instanceof StopRule.SampleRatio).toArray();
    this.assignedKeysFrom = ratios ? KEY_BITS : 0;
    int keyBits = assignedKeysFrom + (sampleRatios.length > 0 ? KEY_BITS : 0);
    this.weightedAt = rules.stateSize();
    this.acceptancesAt = weightedAt + rules.armed().size();
    this.state = new double[acceptancesAt + acceptances.stream().mapToInt(EProcess::size).sum()];
    this.badAt = FIXED;
    this.eventsAt = badAt + all.size() * places;
    this.staleAt = eventsAt + all.size() * places;
    this.baselinesAt = staleAt + all.size();
    this.candidatesAt = baselinesAt + all.size();
    this.generationsAt = candidatesAt + all.size();
    this.spacingsAt = generationsAt + places;
    this.spacedSinceAt = spacingsAt + places;
    this.frozenAt = spacedSinceAt + places;
    this.waitingAt = frozenAt + all.stream().mapToInt(Scales::parts).sum();
    this.keysAt = waitingAt + (ratios ? WAITING_MAX : 0);
    this.longs = new long[waitingAt];
    this.keys = new long[keyBits / Long.SIZE / KEYS_TOGETHER][];
    this.longsSaved = keysAt + keys.length * KEYS_TOGETHER;
    this.testsIn = new ArmedRule[places][];
    this.weightIndexIn = new int[places][];
    this.firstIn = new int[places][all.size()];
    for (int place = 0; place < places; place++) {
      List<ArmedRule> tests = rules.in(place - 1);
      testsIn[place] = tests.toArray(ArmedRule[]::new);
      weightIndexIn[place] = new int[tests.size()];
    }
    index();
    this.weightsThatStop = new int[Clock.values().length][places][];
    for (Clock clock : Clock.values()) {
      for (int place = 0; place < places; place++) {
        weightsThatStop[clock.ordinal()][place] = weightsThatStop(clock, place);
      }
    }
    begin();
  }

  private int[] weightsThatStop(Clock clock, int place) {
    return IntStream.range(0, testsIn[place].length)
        .filter(
            i -> {
              StopRule rule = rules.rules().get(testsIn[place][i].rule());
              return rule.clock() == clock && rule.action() == Action.STOP;
            })
        .map(i -> weightIndexIn[place][i])
        .toArray();
  }

  private void index() {
    for (int[] first : firstIn) {
      Arrays.fill(first, NOT_HERE);
    }
    int[] next = new int[places];
    for (int i = 0; i < rules.armed().size(); i++) {
      ArmedRule test = rules.armed().get(i);
      int place = test.segment() + 1;
      if (test.part() == 0) {
        firstIn[place][test.rule()] = next[place];
      }
      weightIndexIn[place][next[place]++] = weightedAt + i;
    }
  }

  private void begin() {
    for (ArmedRule[] tests : testsIn) {
      for (ArmedRule test : tests) {
        test.test().begin(state, test.at());
      }
    }
    for (int place = 0; place < places; place++) {
      for (int i = 0; i < testsIn[place].length; i++) {
        state[weightIndexIn[place][i]] = testsIn[place][i].share();
      }
      longs[spacingsAt + place] = LimitTest.SPACING;
    }
    int at = acceptancesAt;
    for (RatioAcceptance acceptance : acceptances) {
      acceptance.begin(state, at);
      at += acceptance.size();
    }
  }

  static int parts(StopRule rule) {
    return rule instanceof StopRule.LatencyRatio ratio ? ratio.parts() : 0;
  }

  // --- weighing -------------------------------------------------------------------------------------------------------

  /// Weighs one line.
  ///
  /// @return the verdict, once; null as long as there is none, and after it
  @Nullable Trip weigh(Evidence evidence, long line) {
    return switch (evidence.kind()) {
      case ANSWERED, FAILED, FELL_BACK, COMPARED, REPEATED, MEASURED, LABELLED -> learn(evidence, line);
      case ASSIGNED -> assigned(evidence);
      case CRASHED -> crashed(line);
      case CAPPED -> certain(evidence.rule(), evidence.nanos(), line);
      case RESTART -> restart(evidence);
      case TICK -> tick(evidence, line);
      case FROZEN -> {
        longs[frozenAt + frozenIndex(evidence.rule()) + evidence.part()] = evidence.nanos();
        yield null;
      }
      case DISCOVERED -> {
        longs[DISCOVERED]++;
        yield null;
      }
      case VOID -> null;
    };
  }

  private @Nullable Trip learn(Evidence evidence, long line) {
    int segment = evidence.segment();
    boolean changed = false;
    List<StopRule> all = rules.rules();
    for (int r = 0; r < all.size(); r++) {
      StopRule rule = all.get(r);
      switch (rule) {
        case StopRule.LimitRule limit -> {
          if (!limit.isBad(evidence)) {
            continue;
          }
          if (!evidence.isCurrent()) {
            longs[staleAt + r]++;
          } else {
            add(badAt, r, segment);
            changed = true;
            learnBad(r, limit, segment, evidence, evidence.segmentGeneration());
            learnBad(r, limit, ArmedRule.OVERALL, evidence, evidence.overallGeneration());
          }
        }
        case StopRule.PairRule pair -> {
          Sign sign = evidence.isCurrent() ? pair.sign(evidence) : Sign.NOTHING;
          if (sign != Sign.NOTHING) {
            add(eventsAt, r, segment);
            if (sign == Sign.AGAINST) {
              add(badAt, r, segment);
            }
            changed = true;
            learnSign(r, segment, sign);
            learnSign(r, ArmedRule.OVERALL, sign);
          }
        }
        case StopRule.MeanRule mean -> {
          // Both variants have answered a request whose truth arrives: a change of weight meanwhile does not matter.
          boolean counts = evidence.isCurrent() || evidence.kind() == Evidence.Kind.LABELLED;
          if (counts && mean.concerns(evidence)) {
            double value = mean.value(evidence);
            add(eventsAt, r, segment);
            if (value > mean.limit()) {
              add(badAt, r, segment);
            }
            changed = true;
            learnValue(r, segment, value);
            learnValue(r, ArmedRule.OVERALL, value);
          }
        }
        case StopRule.DriftRule drift -> {
          if (evidence.isCurrent() && evidence.kind() == Evidence.Kind.MEASURED && evidence.rule() == r) {
            add(eventsAt, r, segment);
            countRecent(r, evidence.variant());
            changed = true;
            learnDrift(r, drift, evidence);
          }
        }
        // Each request was dispatched with a known share, so a change of weight does not spoil what it says.
        case StopRule.RatioRule ratio -> {
          for (int part = 0; part < ratio.parts(); part++) {
            if (isBad(ratio, r, part, evidence)) {
              await(evidence, r, part);
            }
          }
        }
        case StopRule.SampleRatio _, StopRule.Cap _, StopRule.Crash _ -> {}
      }
    }
    if (!acceptances.isEmpty() && isLiveFailure(evidence) && !isLateness(evidence)) {
      await(evidence, ACCEPTANCES, 0);
    }
    if (!changed) {
      return null;
    }
    if (evidence.kind() == Evidence.Kind.LABELLED) {
      return decide(Clock.LABELS, segment, evidence, line);
    }
    Trip trip = decide(Clock.DISPATCH, segment, evidence, line);
    return trip == null ? decide(Clock.ARRIVAL, segment, evidence, line) : trip;
  }

  private void add(int counters, int rule, int segment) {
    longs[counters + (segment + 1) * rules.rules().size() + rule]++;
    longs[counters + rule]++;
  }

  private void learnBad(int rule, StopRule.LimitRule limit, int segment, Evidence evidence, long generation) {
    int i = indexOf(rule, 0, segment);
    if (i >= 0) {
      ArmedRule test = testsIn[segment + 1][i];
      long events = evidence.counted(limit.counted(), segment == ArmedRule.OVERALL);
      ((LimitTest) test.test()).bad(state, test.at(), events, generation);
      weigh(segment, i);
      adaptSpacing(segment + 1, generation);
    }
  }

  /// A failure that returns after more than one restart counts for few bets: restart less often here. Failures from before the
  /// last such change say nothing about the spacing that there is now; a burst of late ones would otherwise put an end to restarts.
  private void adaptSpacing(int place, long generation) {
    if (longs[generationsAt + place] - generation > 1 && generation >= longs[spacedSinceAt + place]) {
      longs[spacingsAt + place] = Math.min(SPACING_MAX, 2 * longs[spacingsAt + place]);
      longs[spacedSinceAt + place] = longs[generationsAt + place] + 1;
    }
  }

  private void learnSign(int rule, int segment, Sign sign) {
    int i = indexOf(rule, 0, segment);
    if (i >= 0) {
      ArmedRule test = testsIn[segment + 1][i];
      ((SignTest) test.test()).add(state, test.at(), sign == Sign.AGAINST);
      weigh(segment, i);
    }
  }

  private void learnValue(int rule, int segment, double value) {
    int i = indexOf(rule, 0, segment);
    if (i >= 0) {
      ArmedRule test = testsIn[segment + 1][i];
      ((MeanTest) test.test()).add(state, test.at(), value);
      weigh(segment, i);
    }
  }

  private void learnDrift(int rule, StopRule.DriftRule drift, Evidence evidence) {
    int part = evidence.variant() == Variant.CANDIDATE ? 0 : 1;
    int i = indexOf(rule, part, ArmedRule.OVERALL);
    ArmedRule test = testsIn[0][i];
    switch (drift) {
      case StopRule.MeanDrift _ -> ((ShiftTest) test.test()).add(state, test.at(), evidence.number());
      case StopRule.BinDrift _ -> ((BinTest) test.test()).add(state, test.at(), (int) evidence.number());
    }
    ArmedRule candidates = testsIn[0][indexOf(rule, 0, ArmedRule.OVERALL)];
    ArmedRule baselines = testsIn[0][indexOf(rule, 1, ArmedRule.OVERALL)];
    double candidate = candidates.test().evidence(state, candidates.at());
    double baseline = baselines.test().evidence(state, baselines.at());
    // Where few of the latest numbers are the baseline's it could not have noticed what the candidate has.
    boolean comparable = 2 * longs[baselinesAt + rule] >= longs[candidatesAt + rule];
    boolean both = baseline >= DRIFTS_TOO || !comparable;
    // Leaving a term out keeps the weighted mean at or below an e-process.
    state[weightIndexIn[0][indexOf(rule, 0, ArmedRule.OVERALL)]] = both ? 0 : candidates.share() * candidate;
    double threshold = rules.threshold() / candidates.share();
    if (baseline >= threshold || (both && candidate >= threshold)) {
      hold(rule);
    }
  }

  /// Counts a number of a drift rule; older ones count less and less.
  private void countRecent(int rule, Variant variant) {
    longs[(variant == Variant.BASELINE ? baselinesAt : candidatesAt) + rule]++;
    if (longs[baselinesAt + rule] + longs[candidatesAt + rule] >= RECENT) {
      longs[baselinesAt + rule] /= 2;
      longs[candidatesAt + rule] /= 2;
    }
  }

  private void hold(int rule) {
    longs[HOLDING] |= 1L << rule;
  }

  private void weigh(int segment, int i) {
    ArmedRule test = testsIn[segment + 1][i];
    state[weightIndexIn[segment + 1][i]] = test.share() * test.test().evidence(state, test.at());
  }

  /// The index of a test among those of its place; negative if the rule does not hold there. The parts of a rule follow each other.
  private int indexOf(int rule, int part, int segment) {
    return firstIn[segment + 1][rule] + part;
  }

  // --- the verdict ----------------------------------------------------------------------------------------------------

  /// Adds up the weights of all tests of a clock that this request could have an effect on: those overall and those of its
  /// segment. Other segments' would have to be brought up to date first; leaving them out can only delay an alarm.
  private @Nullable Trip decide(Clock clock, int segment, Evidence evidence, long line) {
    // Weights of limits fall between their bad events, so what is remembered of them is too much: only a sum of remembered
    // weights that would do needs a closer look.
    if (sum(clock, segment) < rules.threshold()) {
      return null;
    }
    catchUp(segment, evidence);
    catchUp(ArmedRule.OVERALL, evidence);
    double sum = sum(clock, segment);
    return sum < rules.threshold() ? null : stop(clock, segment, sum, line, evidence);
  }

  private double sum(Clock clock, int segment) {
    double sum = sumOf(clock, 0);
    return segment == ArmedRule.OVERALL ? sum : sum + sumOf(clock, segment + 1);
  }

  private double sumOf(Clock clock, int place) {
    double sum = 0;
    for (int index : weightsThatStop[clock.ordinal()][place]) {
      sum += state[index];
    }
    return sum;
  }

  private void catchUp(int segment, Evidence evidence) {
    ArmedRule[] tests = testsIn[segment + 1];
    for (int i = 0; i < tests.length; i++) {
      if (rules.rules().get(tests[i].rule()) instanceof StopRule.LimitRule limit) {
        ((LimitTest) tests[i].test())
            .catchUp(state, tests[i].at(), evidence.counted(limit.counted(), segment == ArmedRule.OVERALL));
        weigh(segment, i);
      }
    }
  }

  private @Nullable Trip stop(Clock clock, int segment, double evidence, long line, Evidence at) {
    if (longs[STOPPED] != 0) {
      return null;
    }
    longs[STOPPED] = 1;
    ArmedRule culprit = null;
    double most = -1;
    for (int place : new int[] {segment + 1, 0}) {
      ArmedRule[] tests = testsIn[place];
      for (int i = 0; i < tests.length; i++) {
        StopRule rule = rules.rules().get(tests[i].rule());
        double weight = state[weightIndexIn[place][i]];
        if (rule.clock() == clock && rule.action() == Action.STOP && weight > most) {
          most = weight;
          culprit = tests[i];
        }
      }
    }
    if (culprit == null) {
      throw new IllegalStateException("evidence without a rule");
    }
    StopRule rule = rules.rules().get(culprit.rule());
    long events =
        rule instanceof StopRule.LimitRule limit
            ? at.counted(limit.counted(), culprit.segment() == ArmedRule.OVERALL)
            : events(culprit.rule(), culprit.segment());
    return new Trip(culprit.rule(), culprit.segment(), bad(culprit.rule(), culprit.segment()), events, evidence, line);
  }

  private @Nullable Trip crashed(long line) {
    for (int r = 0; r < rules.rules().size(); r++) {
      if (rules.rules().get(r) instanceof StopRule.Crash) {
        return certain(r, 1, line);
      }
    }
    return null;
  }

  /// A rule that needs no statistics has seen what it forbids.
  private @Nullable Trip certain(int rule, long seen, long line) {
    if (longs[STOPPED] != 0) {
      return null;
    }
    longs[STOPPED] = 1;
    return new Trip(rule, ArmedRule.OVERALL, seen, seen, 0, line);
  }

  // --- restarts -------------------------------------------------------------------------------------------------------

  /// Begins the tests for late changes afresh in one place, if enough has happened there since the last time.
  private @Nullable Trip restart(Evidence evidence) {
    int place = evidence.segment();
    long generation = ++longs[generationsAt + place];
    ArmedRule[] tests = testsIn[place];
    for (int i = 0; i < tests.length; i++) {
      if (rules.rules().get(tests[i].rule()) instanceof StopRule.LimitRule limit) {
        // The line's counts are of its place and of all traffic; the place itself may be all traffic.
        long events = evidence.counted(limit.counted(), place == 0);
        ((LimitTest) tests[i].test()).restart(state, tests[i].at(), events, generation);
        weigh(place - 1, i);
      }
    }
    return null;
  }

  long generation(int place) {
    return longs[generationsAt + place];
  }

  long spacing(int place) {
    return longs[spacingsAt + place];
  }

  // --- both variants side by side, in slices --------------------------------------------------------------------------

  /// In place of a rule's index: failures that promotions are to be shown to be rare.
  private static final int ACCEPTANCES = 63;

  private boolean isBad(StopRule.RatioRule rule, int index, int part, Evidence evidence) {
    return switch (rule) {
      case StopRule.ErrorRatio _ -> isLiveFailure(evidence);
      case StopRule.LatencyRatio _ -> {
        long frozen = longs[frozenAt + frozenIndex(index) + part];
        yield frozen > 0 && isLive(evidence) && evidence.nanos() > frozen;
      }
    };
  }

  private static boolean isLive(Evidence evidence) {
    return evidence.isRun() && !evidence.shadow() && evidence.share() > 0 && evidence.share() < Exposure.ALL;
  }

  /// A live call failed. One that an open circuit keeps from the candidate would have: else a candidate that is left alone
  /// because it is dead would look as good as its baseline.
  private static boolean isLiveFailure(Evidence evidence) {
    return (isLive(evidence) && evidence.kind() == Evidence.Kind.FAILED)
        || (evidence.kind() == Evidence.Kind.FELL_BACK
            && evidence.nanos() == FallbackReason.CIRCUIT_OPEN.ordinal()
            && evidence.share() > 0
            && evidence.share() < Exposure.ALL);
  }

  /// The baseline was late where the candidate would have been given up on. Counted so that a rule does not blame the candidate alone
  /// for lateness; but a candidate's late call is told only if its stand-in was in time, so a promotion must not rest on it.
  private static boolean isLateness(Evidence evidence) {
    return evidence.variant() == Variant.BASELINE && evidence.kind() == Evidence.Kind.FAILED && evidence.nanos() == 0;
  }

  private int frozenIndex(int rule) {
    int index = 0;
    for (int r = 0; r < rule; r++) {
      index += parts(rules.rules().get(r));
    }
    return index;
  }

  /// A waiting failure in one word: slice (28 bits), candidate's share (14), variant (1), rule (6), part (3), segment (11).
  private void await(Evidence evidence, int rule, int part) {
    long dispatched = evidence.atMillis() - Math.min(callMillisMax, evidence.nanos() / 1_000_000);
    long slice = dispatched / sliceMillis;
    if (slice < longs[NEXT_SLICE] || longs[WAITING] == WAITING_MAX || !isFirstOfItsKey(evidence, rule, part)) {
      return;
    }
    long packed = slice & 0xFFF_FFFF;
    packed = packed << 14 | evidence.share();
    packed = packed << 1 | evidence.variant().ordinal();
    packed = packed << 6 | rule;
    packed = packed << 3 | part;
    packed = packed << 11 | evidence.segment();
    int at = (int) longs[WAITING]++;
    if (at == waiting.length) {
      waiting = Arrays.copyOf(waiting, Math.clamp(2L * at, WAITING_FIRST, WAITING_MAX));
    }
    waiting[at] = packed;
  }

  private boolean isFirstOfItsKey(Evidence evidence, int rule, int part) {
    if (evidence.keyHash() == Assignment.NO_KEY) {
      return true;
    }
    int bit = keyBit(evidence.keyHash(), rule, part) + (evidence.kind() == Evidence.Kind.ASSIGNED ? assignedKeysFrom : 0);
    long mask = 1L << bit;
    int word = bit >>> 6;
    long[] together = keysTogether(word / KEYS_TOGETHER);
    boolean first = (together[word % KEYS_TOGETHER] & mask) == 0;
    together[word % KEYS_TOGETHER] |= mask;
    return first;
  }

  private long[] keysTogether(int index) {
    long[] together = keys[index];
    if (together == null) {
      together = new long[KEYS_TOGETHER];
      keys[index] = together;
    }
    return together;
  }

  private static int keyBit(long keyHash, int rule, int part) {
    // The hash's upper bits chose the variant; a multiplication mixes them away.
    long mixed = (keyHash + rule * 8L + part) * 0x9E37_79B9_7F4A_7C15L;
    return (int) ((mixed ^ mixed >>> 32) & KEY_BITS - 1);
  }

  /// Whether an assignment of this key would teach no rule anything. Any thread may ask: bits are set by whoever weighs and never taken
  /// back, so an answer that is too old is "no", and a line too many says nothing.
  boolean haveMet(long keyHash) {
    for (int r : sampleRatios) {
      int bit = keyBit(keyHash, r, 0) + assignedKeysFrom;
      int word = bit >>> 6;
      long[] together = keys[word / KEYS_TOGETHER];
      if (together == null || (together[word % KEYS_TOGETHER] & 1L << bit) == 0) {
        return false;
      }
    }
    return true;
  }

  private @Nullable Trip assigned(Evidence evidence) {
    for (int r : sampleRatios) {
      if (isFirstOfItsKey(evidence, r, 0)) {
        ArmedRule test = testsIn[0][indexOf(r, 0, ArmedRule.OVERALL)];
        longs[eventsAt + r] += evidence.candidates() + evidence.baselines();
        longs[badAt + r] += evidence.candidates();
        ((ShareTest) test.test())
            .add(state, test.at(), evidence.candidates(), evidence.baselines(), evidence.share() / (double) Exposure.ALL);
        weigh(ArmedRule.OVERALL, indexOf(r, 0, ArmedRule.OVERALL));
        if (state[weightIndexIn[0][indexOf(r, 0, ArmedRule.OVERALL)]] >= rules.threshold()) {
          hold(r);
        }
      }
    }
    return null;
  }

  /// Whether a tick at this time would end a slice. Every rollout has slices: expansion looks at what has matured.
  boolean wantsTick(long nowMillis) {
    return (nowMillis - callMillisMax) / sliceMillis > longs[NEXT_SLICE];
  }

  private @Nullable Trip tick(Evidence evidence, long line) {
    long now = evidence.atMillis();
    rememberCounts(now, evidence);
    long last = (now - callMillisMax) / sliceMillis; // slices before this one are over
    Trip trip = null;
    if (longs[WAITING] > 0) {
      int kept = 0;
      int all = (int) longs[WAITING];
      boolean learned = false;
      for (int i = 0; i < all; i++) {
        long packed = waiting[i];
        long slice = packed >>> 35;
        boolean over = ((slice - last) & 0xFFF_FFFF) > 0x7FF_FFFF;
        if (over) {
          learnFailure(packed);
          learned = true;
        } else {
          waiting[kept++] = packed;
        }
      }
      longs[WAITING] = kept;
      trip = learned ? decideSlices(evidence, line) : null;
    }
    longs[NEXT_SLICE] = Math.max(longs[NEXT_SLICE], last);
    return trip;
  }

  private void learnFailure(long packed) {
    int segment = (int) (packed & 0x7FF);
    int part = (int) (packed >>> 11 & 7);
    int rule = (int) (packed >>> 14 & 63);
    boolean candidate = (packed >>> 20 & 1) != 0;
    double share = (packed >>> 21 & 0x3FFF) / (double) Exposure.ALL;
    if (rule == ACCEPTANCES) {
      int at = acceptancesAt;
      for (RatioAcceptance acceptance : acceptances) {
        acceptance.add(state, at, candidate ? 1 : 0, candidate ? 0 : 1, share);
        at += acceptance.size();
      }
      return;
    }
    add(eventsAt, rule, segment);
    if (candidate) {
      add(badAt, rule, segment);
    }
    learnRatio(rule, part, segment, candidate, share);
    learnRatio(rule, part, ArmedRule.OVERALL, candidate, share);
  }

  private void learnRatio(int rule, int part, int segment, boolean candidate, double share) {
    int i = indexOf(rule, part, segment);
    if (i >= 0) {
      ArmedRule test = testsIn[segment + 1][i];
      ((RatioTest) test.test()).add(state, test.at(), candidate ? 1 : 0, candidate ? 0 : 1, share);
      weigh(segment, i);
    }
  }

  /// A slice ends for all segments at once, so all of their weights are of the same moment and add up.
  private @Nullable Trip decideSlices(Evidence evidence, long line) {
    double sum = 0;
    int worst = 0;
    double most = -1;
    for (int place = 0; place < places; place++) {
      double here = sumOf(Clock.SLICES, place);
      sum += here;
      if (place > 0 && here > most) {
        most = here;
        worst = place;
      }
    }
    return sum < rules.threshold() ? null : stop(Clock.SLICES, worst - 1, sum, line, evidence);
  }

  // --- what has matured -----------------------------------------------------------------------------------------------

  /// Remembers what had been dispatched at the end of a slice, to be used once all of that must have ended.
  private void rememberCounts(long now, Evidence evidence) {
    for (int i = 0; i <= SLICES_OPEN; i++) {
      int at = SLICE_COUNTS + 4 * i;
      if (longs[at] != 0 && longs[at] + callMillisMax <= now) {
        for (int counted = 0; counted < 3; counted++) {
          longs[MATURE_AT + counted] = Math.max(longs[MATURE_AT + counted], longs[at + 1 + counted]);
        }
        longs[at] = 0;
      }
    }
    for (int i = 0; i <= SLICES_OPEN; i++) {
      int at = SLICE_COUNTS + 4 * i;
      if (longs[at] == 0) {
        longs[at] = now;
        for (Counted counted : Counted.values()) {
          longs[at + 1 + counted.ordinal()] = evidence.counted(counted, true);
        }
        return;
      }
    }
  }

  /// Events dispatched so long ago that all of them must have ended.
  long matured(Counted counted) {
    return longs[MATURE_AT + counted.ordinal()];
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  /// Observations against the candidate, in a segment or [ArmedRule#OVERALL].
  long bad(int rule, int segment) {
    return longs[badAt + (segment + 1) * rules.rules().size() + rule];
  }

  /// Observations of requests from older epochs that would have been against the candidate.
  long stale(int rule) {
    return longs[staleAt + rule];
  }

  /// Observations that a rule has looked at; for limits see the counts of dispatched events.
  long events(int rule, int segment) {
    return longs[eventsAt + (segment + 1) * rules.rules().size() + rule];
  }

  /// The evidence of a test as it was last weighed.
  double evidence(ArmedRule test) {
    return test.test().evidence(state, test.at());
  }

  /// The evidence that a limit would have if so many events had been dispatched by now.
  double evidence(ArmedRule test, long events) {
    double[] copy = Arrays.copyOfRange(state, test.at(), test.at() + test.test().size());
    if (test.test() instanceof LimitTest limit) {
      limit.catchUp(copy, 0, events);
    }
    return test.test().evidence(copy, 0);
  }

  double acceptance(int index) {
    int at = acceptancesAt;
    for (int i = 0; i < index; i++) {
      at += acceptances.get(i).size();
    }
    return acceptances.get(index).evidence(state, at);
  }

  /// The rules that hold the rollout, a bit each.
  long holding() {
    return longs[HOLDING];
  }

  long frozenNanos(int rule, int part) {
    return longs[frozenAt + frozenIndex(rule) + part];
  }

  // --- saving ---------------------------------------------------------------------------------------------------------

  int words() {
    return state.length + longsSaved;
  }

  /// Failures beyond those that wait, and keys of which none was met, are left as they are: whoever saved here before had not met
  /// them either, and memory that nobody touches is none.
  void save(LedgerWords words, int at) {
    for (int i = 0; i < state.length; i++) {
      words.setPlain(at + i, Double.doubleToRawLongBits(state[i]));
    }
    int longsFrom = at + state.length;
    save(longs, longs.length, words, longsFrom);
    save(waiting, (int) longs[WAITING], words, longsFrom + waitingAt);
    for (int i = 0; i < keys.length; i++) {
      long[] together = keys[i];
      if (together != null) {
        save(together, KEYS_TOGETHER, words, longsFrom + keysAt + i * KEYS_TOGETHER);
      }
    }
  }

  private static void save(long[] array, int size, LedgerWords words, int at) {
    for (int i = 0; i < size; i++) {
      words.setPlain(at + i, array[i]);
    }
  }

  /// @throws IllegalStateException if what was saved cannot be weights
  void load(LedgerWords words, int at) {
    for (int i = 0; i < state.length; i++) {
      state[i] = Double.longBitsToDouble(words.getPlain(at + i));
    }
    int longsFrom = at + state.length;
    for (int i = 0; i < longs.length; i++) {
      longs[i] = words.getPlain(longsFrom + i);
    }
    int most = keysAt - waitingAt;
    if (longs[WAITING] < 0 || longs[WAITING] > most) {
      throw new IllegalStateException(
          "the ledger is damaged: %d failures wait, at most %d can".formatted(longs[WAITING], most));
    }
    waiting = new long[(int) longs[WAITING]];
    for (int i = 0; i < waiting.length; i++) {
      waiting[i] = words.getPlain(longsFrom + waitingAt + i);
    }
    for (int word = 0; word < keys.length * KEYS_TOGETHER; word++) {
      long bits = words.getPlain(longsFrom + keysAt + word);
      if (bits != 0) {
        keysTogether(word / KEYS_TOGETHER)[word % KEYS_TOGETHER] = bits;
      }
    }
  }

  /// Whether the weights are those saved here, to the last bit.
  boolean isSavedAt(LedgerWords words, int at) {
    for (int i = 0; i < state.length; i++) {
      if (words.getPlain(at + i) != Double.doubleToRawLongBits(state[i])) {
        return false;
      }
    }
    int longsFrom = at + state.length;
    for (int i = 0; i < longs.length; i++) {
      if (words.getPlain(longsFrom + i) != longs[i]) {
        return false;
      }
    }
    for (int i = 0; i < longs[WAITING]; i++) {
      if (words.getPlain(longsFrom + waitingAt + i) != waiting[i]) {
        return false;
      }
    }
    for (int word = 0; word < keys.length * KEYS_TOGETHER; word++) {
      if (words.getPlain(longsFrom + keysAt + word) != keys(word)) {
        return false;
      }
    }
    return true;
  }

  private long keys(int word) {
    long[] together = keys[word / KEYS_TOGETHER];
    return together == null ? 0 : together[word % KEYS_TOGETHER];
  }

  /// Whether the weights are those of other scales for the same rules, to the last bit.
  boolean isAt(Scales other) {
    int waits = (int) longs[WAITING];
    return Arrays.equals(state, other.state)
        && Arrays.equals(longs, other.longs)
        && Arrays.equals(waiting, 0, waits, other.waiting, 0, waits)
        && IntStream.range(0, keys.length * KEYS_TOGETHER).allMatch(word -> keys(word) == other.keys(word));
  }
}
