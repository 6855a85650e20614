package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Attributes;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.statistics.LimitTest;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Evidence;
import dev.sluice.router.stop.Evidence.Kind;
import dev.sluice.router.stop.Stop;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.Counted;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// A rollout's exposure and evidence, in words that every thread may read and write at once.
///
/// **Counting at dispatch.** Failures come back faster than successes, so rates over *completed* calls look worse than they
/// are: with a thousand calls in flight, a healthy candidate would be stopped almost surely. Events are therefore counted when
/// they are dispatched, before they run; what is in flight counts as good. That can only delay an alarm (see
/// [dev.sluice.router.statistics.LimitTest]).
///
/// **One line after the other, and nobody waits.** A good answer moves a counter. What a rule wants to hear about becomes a line
/// in a log: its writer takes a number, fills the line, and then whoever finds the [Scales] free weighs all lines that are
/// ready, in order, its own and others'. A thread that finds them taken goes on at once; the one that has them sees its line.
/// So evidence has one order although many threads bring it, decisions can be replayed from the log, and the tests are plain
/// code. A line costs some hundred nanoseconds.
///
/// **What outlives the process.** Counters, log and exposure are in the same memory, over a mapped file in a gateway. The
/// weights are saved there every quarter lap of the log, in three places in turn; a new process takes the latest and weighs what
/// came after it. So a replay can begin at weights from a quarter lap ago or earlier, while half a lap of lines is on its way.
///
/// **What never decides.** Observations of requests that were assigned in an older epoch, except for rules that take each request
/// by its own share.
///
/// Layout, in words: `0` layout mark, `8` lines taken, `16` exposure, `24` lines weighed, `32..37` the verdict (rule + 1,
/// segment + 1, bad, events, evidence, line), `40` rules that hold, `41` lines left out, `42` requests without a key that are not yet a line, `48..` hard bounds, `56..` and `64..` what the step began with, from `128` one block of a cache line per
/// place (all traffic, then the segments), then the names of segments found on the way, the keys met, three saved weights, the log.
@SuppressWarnings("EnumOrdinal") // their order is part of the log's layout
public final class EvidenceLedger {

  private static final int LAYOUT = 0;
  private static final int TAKEN = 8;
  private static final int EXPOSURE = 16;
  private static final int WEIGHED = 24;
  private static final int TRIP = 32;
  private static final int HOLDING = 40;
  private static final int LEFT_OUT = 41;
  private static final int KEYLESS = 42; // an AssignedSlice
  private static final int BOUNDED = 48; // requests, failures, keys, nanos; then the same at the step's entry
  private static final int BOUNDED_AT_ENTRY = 52;
  private static final int NOTHING = 56; // by kind of event, those that taught nothing
  private static final int DISPATCHED_AT_ENTRY = 59;
  private static final int BAD_AT_ENTRY = 64; // by rule
  private static final int NOTHING_AT_ENTRY = BAD_AT_ENTRY + ArmedRules.RULES_MAX;
  private static final int BLOCKS = 128;

  private static final int LIVE_ASSIGNED = 0;
  private static final int LIVE_DISPATCHED = 1;
  private static final int SHADOWS_DISPATCHED = 2;
  private static final int COMPARISONS_DISPATCHED = 3;
  private static final int LIVE_COMPLETED = 4;
  private static final int SHADOWS_COMPLETED = 5;
  private static final int GENERATION = 6;
  private static final int SPACING = 7;
  private static final int BLOCK = 8;

  /// The segment of a value that is on its way to become one.
  private static final int WANTED = -1;

  private static final int NAME = 1 + Evidence.COUNTS;

  private static final long NO_LINE = -1;

  /// Requests without a key that share a line.
  private static final int KEYLESS_TOGETHER = 16;

  // values() makes a new array each time.
  private static final List<Counted> COUNTED = List.of(Counted.values());
  private static final List<StopRule.Cap.Bounded> BOUNDS = List.of(StopRule.Cap.Bounded.values());

  /// Words that remember the keys a hard bound counts: 2 million bits.
  private static final int KEYS = 1 << 15;

  /// Changes with the layout, so that a ledger of another layout is never read as this one.
  private static final long LAYOUT_VERSION = 5;

  /// Places for saved weights: the latest, the one before it, and the one being written.
  private static final int SAVED = 3;

  /// Weights are saved so many times a lap.
  private static final int SAVES = 4;

  /// What a ledger is for: its rules, and what they need to know.
  ///
  /// @param margins of the ratios that promotions are to be shown to be below
  /// @param callMillisMax how long a call may take
  /// @param lines of the log, a power of two from 64: a quarter of them, at least, can be replayed at any time
  /// @param flips whether a verdict flips the exposure; false for a dry run
  public record Plan(ArmedRules rules, List<Double> margins, long callMillisMax, int lines, boolean flips) {

    /// The lines that a gateway keeps of each rollout: half a megabyte.
    public static final int LINES = 4_096;

    public Plan {
      margins = List.copyOf(margins);
      if (Integer.bitCount(lines) != 1 || lines < 64) {
        throw new IllegalArgumentException("lines: " + lines + " is not a power of two from 64");
      }
    }

    /// The size of the memory that a ledger lives in.
    public int wordsNeeded() {
      return logAt() + lines * EvidenceLog.LINE;
    }

    private int namesAt() {
      return BLOCKS + BLOCK * (rules.segments().capacity() + 1);
    }

    private int keysAt() {
      return namesAt() + NAME * (rules.segments().capacity() - rules.segments().declaredAndOther());
    }

    private int savedAt() {
      return keysAt() + (cap(StopRule.Cap.Bounded.KEYS) < 0 ? 0 : KEYS);
    }

    private int logAt() {
      int end = savedAt() + SAVED * (1 + scales().words());
      return (end + EvidenceLog.LINE - 1) / EvidenceLog.LINE * EvidenceLog.LINE;
    }

    private Scales scales() {
      return new Scales(rules, margins, callMillisMax);
    }

    /// The index of the rule that bounds this, or -1.
    private int cap(StopRule.Cap.Bounded bounded) {
      for (int r = 0; r < rules.rules().size(); r++) {
        if (rules.rules().get(r) instanceof StopRule.Cap cap && cap.bounded() == bounded) {
          return r;
        }
      }
      return -1;
    }
  }

  /// A verdict, by index.
  ///
  /// @param bad observations against the candidate among `events`
  /// @param evidence weighted; 0 for a rule without statistics
  /// @param line that tripped
  public record Trip(int rule, int segment, long bad, long events, double evidence, long line) {}

  private final Plan plan;
  private final ArmedRules rules;
  private final Segments segments;
  private final LedgerWords words;
  private final EvidenceLog log;
  private final Scales scales;
  private final AtomicBoolean weighing = new AtomicBoolean();
  private final Evidence evidence = new Evidence();
  private final int savedAt;
  private final long[] caps = new long[StopRule.Cap.Bounded.values().length];
  private volatile Interest interest;

  /// Whether the scales hold what the log says: not in a ledger that is only looked at.
  private boolean weighsHere;

  private volatile boolean decided;

  /// The verdict until some thread has taken it to report it.
  private final AtomicReference<@Nullable Trip> unreported = new AtomicReference<>();

  /// By value of the discovered attribute its segment, or [#WANTED]. Replaced whole: requests only read it.
  private final AtomicReference<Map<String, Integer>> found = new AtomicReference<>(Map.of());
  /// What segments found on the way are called, in their order; replaced whole by whoever weighs.
  private volatile List<String> names = List.of();

  /// By place, whether a limit is tested there.
  private final boolean[] restarts;

  /// Whether a shadow has only done its work once its answer is compared.
  private final boolean comparisonsMatter;

  public EvidenceLedger(Plan plan, LedgerWords words) {
    if (words.size() < plan.wordsNeeded()) {
      throw new IllegalArgumentException(
          "%d words are too few: this rollout needs %d".formatted(words.size(), plan.wordsNeeded()));
    }
    this.plan = plan;
    this.rules = plan.rules();
    this.segments = rules.segments();
    this.words = words;
    this.scales = plan.scales();
    this.savedAt = plan.savedAt();
    this.log = new EvidenceLog(words, plan.logAt(), plan.lines());
    for (StopRule.Cap.Bounded bounded : StopRule.Cap.Bounded.values()) {
      int rule = plan.cap(bounded);
      caps[bounded.ordinal()] = rule < 0 ? Long.MAX_VALUE : ((StopRule.Cap) rules.rules().get(rule)).most();
    }
    recallNames();
    this.interest = interest();
    this.restarts = new boolean[segments.capacity() + 1];
    for (ArmedRule test : rules.armed()) {
      restarts[test.segment() + 1] |= test.test() instanceof LimitTest;
    }
    this.comparisonsMatter =
        rules.rules().stream().anyMatch(rule -> rule instanceof StopRule.DisagreementRate || rule instanceof StopRule.ScoreDifference);
  }

  private Interest interest() {
    long frozen = Long.MAX_VALUE;
    for (int r = 0; r < rules.rules().size(); r++) {
      for (int part = 0; part < Scales.parts(rules.rules().get(r)); part++) {
        long nanos = scales.frozenNanos(r, part);
        frozen = nanos == 0 ? frozen : Math.min(frozen, nanos);
      }
    }
    return Interest.of(rules, !plan.margins().isEmpty(), frozen);
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
  /// @return true for the one thread that did it, false if the rollout was flipped already
  public boolean flip() {
    long word;
    do {
      word = exposure();
      if (Exposure.isFlipped(word)) {
        return false;
      }
    } while (!words.compareAndSet(EXPOSURE, word, Exposure.flipped(word)));
    return true;
  }

  /// The verdict of the stop rules; null as long as there is none.
  public @Nullable Trip trip() {
    long rule = words.get(TRIP);
    return rule == 0
        ? null
        : new Trip(
            (int) rule - 1, (int) words.get(TRIP + 1) - 1, words.get(TRIP + 2), words.get(TRIP + 3),
            Double.longBitsToDouble(words.get(TRIP + 4)), words.get(TRIP + 5));
  }

  /// The verdict in words.
  public Stop describe(Trip trip) {
    return new Stop(
        rules.rules().get(trip.rule()).name(), segmentName(trip.segment()), trip.bad(), trip.events(),
        boundary(trip.rule(), trip.segment(), trip.bad()), trip.evidence(), rules.threshold(), trip.line());
  }

  /// The most events among which so many bad ones stop the rollout on their own; 0 for rules without such a table.
  public long boundary(int rule, int segment, long bad) {
    ArmedRule test = rules.armed(rule, segment);
    return test != null && test.test() instanceof LimitTest limit
        ? limit.boundary(bad, rules.threshold() / test.share())
        : 0;
  }

  // --- a request on its way -------------------------------------------------------------------------------------------

  /// The segment of a request. A value of the discovered attribute that nobody has seen yet stays in `other` until it has
  /// become a segment: what it is judged by begins afterwards.
  public int segmentOf(Attributes attributes, long nowMillis) {
    return segmentOf(attributes, Attributes::value, nowMillis);
  }

  /// The same of one of many callers.
  public <C> int segmentOf(C caller, Attributes.Of<C> attributes, long nowMillis) {
    int segment = segments.of(caller, attributes);
    String attribute = segments.discovered();
    if (attribute == null || segment != segments.declaredAndOther() - 1) {
      return segment;
    }
    String value = attributes.value(caller, attribute);
    if (value == null || value.isEmpty()) {
      return segment;
    }
    Map<String, Integer> all = found.get();
    Integer known = all.get(value);
    if (known == null && !decided && all.size() < segments.capacity() - segments.declaredAndOther()) {
      discover(value, nowMillis);
    }
    return known == null || known < 0 ? segment : known;
  }

  private void discover(String value, long nowMillis) {
    byte[] name = value.getBytes(StandardCharsets.UTF_8);
    int most = segments.capacity() - segments.declaredAndOther();
    if (name.length > EvidenceLog.NAME_MAX || !want(value, most)) {
      return;
    }
    long number = take();
    if (number == NO_LINE) {
      forget(value); // another request will ask for it
    } else {
      log.writeDiscovered(number, name, nowMillis);
      weigh();
    }
  }

  private void forget(String value) {
    found.updateAndGet(
        known -> {
          Map<String, Integer> fewer = new HashMap<>(known);
          fewer.remove(value, WANTED);
          return fewer;
        });
  }

  /// @return true for the one thread that is to see to it
  private boolean want(String value, int most) {
    Map<String, Integer> known;
    Map<String, Integer> more;
    do {
      known = found.get();
      if (known.size() >= most || known.containsKey(value)) {
        return false;
      }
      more = new HashMap<>(known);
      more.put(value, WANTED);
    } while (!found.compareAndSet(known, more));
    return true;
  }

  private void put(String value, int segment) {
    found.updateAndGet(
        known -> {
          Map<String, Integer> more = new HashMap<>(known);
          more.put(value, segment);
          return more;
        });
  }

  /// Where evidence stands, for a request that is about to be dispatched. To be read before the request is counted anywhere.
  public long ticket(int segment) {
    return words.get(block(segment) + GENERATION) << 32 | words.get(block(ArmedRule.OVERALL) + GENERATION);
  }

  /// A live request was given to one of the variants.
  ///
  /// @return false if a hard bound keeps the candidate from it: the caller then asks [#capped] and takes the baseline
  public boolean assigned(Assignment assignment, long nowMillis) {
    if (interest.assignments() && !decided && assignment.share() > 0 && assignment.share() < Exposure.ALL) {
      if (assignment.keyHash() == Assignment.NO_KEY) {
        countKeyless(assignment, nowMillis);
      } else if (!scales.haveMet(assignment.keyHash())) {
        writeAssigned(assignment.keyHash(), AssignedSlice.of(assignment), nowMillis);
      }
    }
    if (assignment.variant() == Variant.BASELINE) {
      return true;
    }
    increment(assignment.segment(), LIVE_ASSIGNED);
    return isWithin(StopRule.Cap.Bounded.REQUESTS, 1) && isWithin(StopRule.Cap.Bounded.KEYS, newKeys(assignment));
  }

  /// Requests without a key are all evidence, and a line for each costs more than all else that is counted of them: some share a line.
  /// So a mismatch is told later by as many requests at most. Those that had another chance do not go together with them.
  private void countKeyless(Assignment assignment, long nowMillis) {
    long one = AssignedSlice.of(assignment);
    long before;
    long after;
    long complete;
    do {
      before = words.get(KEYLESS);
      if (AssignedSlice.share(before) != assignment.share()) {
        after = one;
        complete = before;
      } else {
        long sum = AssignedSlice.plus(before, one);
        boolean full = AssignedSlice.requests(sum) == KEYLESS_TOGETHER;
        after = full ? 0 : sum;
        complete = full ? sum : 0;
      }
    } while (!words.compareAndSet(KEYLESS, before, after));
    writeAssigned(Assignment.NO_KEY, complete, nowMillis);
  }

  private void writeAssigned(long keyHash, long slice, long nowMillis) {
    if (AssignedSlice.requests(slice) == 0) {
      return;
    }
    long number = take();
    if (number != NO_LINE) {
      log.writeAssigned(number, keyHash, slice, nowMillis);
      weigh();
    }
  }

  private int newKeys(Assignment assignment) {
    if (caps[StopRule.Cap.Bounded.KEYS.ordinal()] == Long.MAX_VALUE) {
      return 0;
    }
    if (assignment.keyHash() == Assignment.NO_KEY) {
      return 1;
    }
    long bit = (assignment.keyHash() * 0x9E37_79B9_7F4A_7C15L) >>> (64 - 21);
    int word = plan.keysAt() + (int) (bit >>> 6);
    long mask = 1L << bit;
    long before = words.get(word);
    while ((before & mask) == 0) {
      if (words.compareAndSet(word, before, before | mask)) {
        return 1;
      }
      before = words.get(word);
    }
    return 0;
  }

  private boolean isWithin(StopRule.Cap.Bounded bounded, long more) {
    int i = bounded.ordinal();
    return caps[i] == Long.MAX_VALUE
        || (more == 0 ? words.get(BOUNDED + i) : words.add(BOUNDED + i, more)) - words.get(BOUNDED_AT_ENTRY + i) <= limit(i);
  }

  private long limit(int bounded) {
    return bounded == StopRule.Cap.Bounded.RUN_MILLIS.ordinal() ? caps[bounded] * 1_000_000 : caps[bounded];
  }

  /// The verdict of a hard bound that has been passed; null if there is none or it is known already.
  public @Nullable Trip capped(long nowMillis) {
    for (StopRule.Cap.Bounded bounded : BOUNDS) {
      int i = bounded.ordinal();
      long since = words.get(BOUNDED + i) - words.get(BOUNDED_AT_ENTRY + i);
      if (caps[i] != Long.MAX_VALUE && since > limit(i) && !decided) {
        write(Kind.CAPPED, 0, 0, caps[i], plan.cap(bounded), nowMillis);
      }
    }
    return verdict();
  }

  /// A new step begins: hard bounds count from here.
  public void enterStep() {
    for (int i = 0; i < caps.length; i++) {
      words.set(BOUNDED_AT_ENTRY + i, words.get(BOUNDED + i));
    }
    for (Counted counted : COUNTED) {
      words.set(DISPATCHED_AT_ENTRY + counted.ordinal(), dispatched(counted, ArmedRule.OVERALL));
      words.set(NOTHING_AT_ENTRY + counted.ordinal(), words.get(NOTHING + counted.ordinal()));
    }
    for (int rule = 0; rule < rules.rules().size(); rule++) {
      words.set(BAD_AT_ENTRY + rule, badOfAnyEpoch(rule));
    }
  }

  /// The candidate is about to run a live request. Not called for those that a circuit breaker keeps from it: counted among its
  /// calls they would pass for good ones, and hide a candidate that fails whenever it is tried.
  public void dispatchedLive(int segment, long nowMillis) {
    dispatched(segment, LIVE_DISPATCHED, nowMillis);
  }

  /// The candidate is about to run a copy of a request.
  public void dispatchedShadow(int segment, long nowMillis) {
    dispatched(segment, SHADOWS_DISPATCHED, nowMillis);
  }

  /// The second variant is about to run a request whose answers will be compared.
  public void dispatchedComparison(int segment) {
    increment(segment, COMPARISONS_DISPATCHED);
  }

  /// A dispatched event has ended and says nothing about the candidate: the caller went, there was no room, the baseline could not do
  /// it either. Against a limit it counts as good, which is safe; it is no proof of anything.
  public void taughtNothing(Counted counted) {
    words.increment(NOTHING + counted.ordinal());
  }

  private void increment(int segment, int word) {
    words.increment(block(segment) + word);
    words.increment(block(ArmedRule.OVERALL) + word);
  }

  /// Now and then a dispatch begins the tests for late changes afresh.
  private void dispatched(int segment, int word, long nowMillis) {
    long here = words.increment(block(segment) + word);
    long overall = words.increment(block(ArmedRule.OVERALL) + word);
    restartAt(here, segment, nowMillis);
    restartAt(overall, ArmedRule.OVERALL, nowMillis);
  }

  private void restartAt(long events, int segment, long nowMillis) {
    if (restarts[segment + 1] && (events & (words.get(block(segment) + SPACING) - 1)) == 0 && !decided) {
      write(Kind.RESTART, segment + 1, 0, 0, 0, nowMillis);
    }
  }

  // --- evidence -------------------------------------------------------------------------------------------------------

  /// Adds one observation.
  ///
  /// @return the verdict, to one thread: it reports the flip, which has happened by now. Whoever weighs the tripping line flips,
  ///     before it weighs or does anything else.
  public @Nullable Trip record(Observation observation, long nowMillis) {
    if (observation instanceof Observation.Answered o) {
      return answered(o.assignment(), o.variant(), o.shadow(), o.latencyNanos(), nowMillis);
    }
    if (observation instanceof Observation.Measured measured) {
      check(measured);
    }
    count(observation);
    if (!decided && interest.in(observation)) {
      long number = take();
      if (number != NO_LINE) {
        log.write(number, observation, nowMillis);
        weigh();
      }
    }
    return isBounded(observation) ? capped(nowMillis) : verdict();
  }

  /// As [#record] of an [Observation.Answered] of these values. Nearly all observations are answers, and nearly all of those are
  /// counted and forgotten.
  public @Nullable Trip answered(
      Assignment assignment, Variant variant, boolean shadow, long latencyNanos, long nowMillis) {
    int segment = assignment.segment();
    if (shadow && !comparisonsMatter) {
      increment(segment, SHADOWS_COMPLETED);
    }
    completed(segment, variant, shadow, latencyNanos);
    if (!decided && interest.inAnswer(variant, shadow, latencyNanos)) {
      long number = take();
      if (number != NO_LINE) {
        log.writeAnswered(number, assignment, variant, shadow, latencyNanos, nowMillis);
        weigh();
      }
    }
    boolean bounded =
        variant == Variant.CANDIDATE && caps[StopRule.Cap.Bounded.RUN_MILLIS.ordinal()] != Long.MAX_VALUE;
    return bounded ? capped(nowMillis) : verdict();
  }

  /// A line that cannot be weighed would stand in the way of all that come after it.
  private void check(Observation.Measured measured) {
    int rule = measured.rule();
    if (rule < 0 || rule >= rules.rules().size() || !(rules.rules().get(rule) instanceof StopRule.DriftRule drift)) {
      throw new IllegalArgumentException("measured for rule " + rule + ", which is no drift rule");
    }
    if (drift instanceof StopRule.BinDrift bins && !(measured.value() >= 0 && measured.value() < bins.shares().size())) {
      throw new IllegalArgumentException(
          "measured for %s: bin %s is not between 0 and %d".formatted(bins.name(), measured.value(), bins.shares().size() - 1));
    }
  }

  private void count(Observation observation) {
    int segment = observation.segment();
    switch (observation) {
      case Observation.Failed failed -> {
        completed(segment, failed.variant(), failed.shadow(), failed.latencyNanos());
        if (failed.variant() == Variant.CANDIDATE) {
          words.add(BOUNDED + StopRule.Cap.Bounded.FAILURES.ordinal(), 1);
        }
      }
      case Observation.Compared _ -> {
        if (comparisonsMatter) {
          increment(segment, SHADOWS_COMPLETED);
        }
      }
      case Observation.FellBack _,
          Observation.Repeated _,
          Observation.Measured _,
          Observation.Labelled _,
          Observation.Crashed _ -> {}
      case Observation.Answered _ -> throw new IllegalStateException("answers are counted by themselves");
    }
  }

  private void completed(int segment, Variant variant, boolean shadow, long nanos) {
    if (!shadow && variant == Variant.CANDIDATE) {
      increment(segment, LIVE_COMPLETED);
      words.add(BOUNDED + StopRule.Cap.Bounded.RUN_MILLIS.ordinal(), Math.min(nanos, 3_600_000_000_000L));
    }
  }

  private boolean isBounded(Observation observation) {
    return switch (observation) {
      case Observation.Failed o ->
          o.variant() == Variant.CANDIDATE
              && (caps[StopRule.Cap.Bounded.RUN_MILLIS.ordinal()] != Long.MAX_VALUE
                  || caps[StopRule.Cap.Bounded.FAILURES.ordinal()] != Long.MAX_VALUE);
      default -> false;
    };
  }

  /// Time has passed. To be called now and then, at least a few times while a call may take: rules about both variants side by
  /// side look at their evidence then.
  ///
  /// @return the verdict, to one thread
  public @Nullable Trip tick(long nowMillis) {
    long keyless = words.get(KEYLESS);
    if (keyless != 0 && !decided && words.compareAndSet(KEYLESS, keyless, 0)) {
      writeAssigned(Assignment.NO_KEY, keyless, nowMillis);
    }
    if (!decided && scales.wantsTick(nowMillis)) {
      write(Kind.TICK, 0, 0, 0, 0, nowMillis);
    }
    return verdict();
  }

  /// Freezes a latency quantile of the baseline, in nanoseconds: from now on calls of both variants are held against it.
  public void freeze(int rule, int part, long nanos, long nowMillis) {
    if (!decided) {
      write(Kind.FROZEN, 0, part, nanos, rule, nowMillis);
    }
  }

  /// A frozen latency quantile, in nanoseconds; 0 as long as it is not.
  public long frozenNanos(int rule, int part) {
    return scales.frozenNanos(rule, part);
  }

  /// Takes the number of a new line. Nobody waits: if half a lap of lines is waiting to be weighed, because the writer of the
  /// first one has lost its processor, new ones are left out, whatever they say. That can delay an alarm.
  ///
  /// @return [#NO_LINE] if there is no room, and after the verdict: the line would be written over one that a replay needs
  private long take() {
    long number = words.get(TAKEN);
    while (!decided && number - words.get(WEIGHED) < log.capacity() / 2) {
      if (words.compareAndSet(TAKEN, number, number + 1)) {
        return number;
      }
      number = words.get(TAKEN);
    }
    if (!decided) {
      words.increment(LEFT_OUT);
    }
    return NO_LINE;
  }

  /// A line of the ledger's own.
  private void write(Kind kind, int place, long keyHash, long a, long b, long nowMillis) {
    long number = take();
    if (number != NO_LINE) {
      log.write(number, kind, place, keyHash, a, b, nowMillis);
      weigh();
    }
  }

  /// Weighs what is ready, unless another thread does.
  private void weigh() {
    // Looking again after letting go: a line published in between has found the scales taken.
    while (!decided && log.isPublished(words.get(WEIGHED)) && weighing.compareAndSet(false, true)) {
      try {
        long number = words.get(WEIGHED);
        while (!decided && log.isPublished(number)) {
          complete(number);
          Trip trip = weighSafely(number);
          number++;
          words.setRelease(WEIGHED, number);
          if (trip != null) {
            decide(trip);
          } else if ((number & (log.capacity() / SAVES - 1)) == 0) {
            save(number);
          }
        }
      } finally {
        weighing.set(false);
      }
    }
  }

  /// A line that cannot be weighed must not stop those that come after it from being heard: whoever cannot judge the candidate
  /// any more sends everybody back to the baseline.
  private @Nullable Trip weighSafely(long number) {
    try {
      return weigh(number);
    } catch (RuntimeException broken) {
      flip();
      decided = true;
      return null;
    }
  }

  private void decide(Trip trip) {
    words.set(TRIP + 1, trip.segment() + 1);
    words.set(TRIP + 2, trip.bad());
    words.set(TRIP + 3, trip.events());
    words.set(TRIP + 4, Double.doubleToRawLongBits(trip.evidence()));
    words.set(TRIP + 5, trip.line());
    words.set(TRIP, trip.rule() + 1);
    if (plan.flips()) {
      flip();
    }
    unreported.set(trip);
    decided = true;
  }

  /// The verdict, to one caller.
  private @Nullable Trip verdict() {
    return decided && unreported.get() != null ? unreported.getAndSet(null) : null;
  }

  private void complete(long number) {
    Kind kind = log.kind(number);
    if (kind == Kind.DISCOVERED) {
      return; // a name stands where others have their counts
    }
    log.complete(number, exposure());
    int place = kind == Kind.RESTART ? log.segment(number) : log.segment(number) + 1;
    for (Counted counted : COUNTED) {
      log.count(number, counted.ordinal(), dispatched(counted, place - 1));
      log.count(number, 3 + counted.ordinal(), dispatched(counted, ArmedRule.OVERALL));
    }
  }

  private @Nullable Trip weigh(long number) {
    Kind kind = log.kind(number);
    log.read(number, evidence);
    Trip trip = scales.weigh(evidence, number);
    switch (kind) {
      case RESTART -> {
        int place = log.segment(number);
        words.set(block(place - 1) + SPACING, scales.spacing(place));
        // After the tests have begun afresh with what is counted: see LimitTest.
        words.set(block(place - 1) + GENERATION, scales.generation(place));
      }
      case DISCOVERED -> discovered(log.name(number));
      case FROZEN -> interest = interest();
      default -> {}
    }
    if (words.getPlain(HOLDING) != scales.holding()) {
      words.set(HOLDING, scales.holding());
    }
    return trip;
  }

  private void discovered(String name) {
    int index = names.size();
    // Known: its name was written down by a process that died before it had weighed the line.
    if (found.get().getOrDefault(name, WANTED) >= 0 || index >= segments.capacity() - segments.declaredAndOther()) {
      return;
    }
    int at = plan.namesAt() + NAME * index;
    byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
    for (int i = 0; i < bytes.length; i++) {
      int word = at + 1 + i / 8;
      words.setPlain(word, words.getPlain(word) | ((bytes[i] & 0xFFL) << (8 * (i % 8))));
    }
    words.set(at, bytes.length);
    names = Stream.concat(names.stream(), Stream.of(name)).toList();
    put(name, segments.declaredAndOther() + index);
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  /// Segments there are by now: declared ones, `other`, and those found on the way.
  public int segmentCount() {
    return segments.declaredAndOther() + names.size();
  }

  public String segmentName(int segment) {
    if (segment == ArmedRule.OVERALL) {
      return "";
    }
    return segment < segments.declaredAndOther()
        ? segments.name(segment)
        : segments.discovered() + "=" + names.get(segment - segments.declaredAndOther());
  }

  /// Observations against the candidate in a segment, or in all of them for [ArmedRule#OVERALL].
  public long bad(int rule, int segment) {
    return scales.bad(rule, segment);
  }

  /// Bad observations over all traffic, those of requests from older epochs included: they decide nothing against the candidate,
  /// and are not overlooked in its favour.
  public long badOfAnyEpoch(int rule) {
    return scales.bad(rule, ArmedRule.OVERALL) + scales.stale(rule);
  }

  /// What a rule's bad observations are among: for limits the events dispatched, in flight included, else those it looked at.
  public long events(int rule, int segment) {
    return rules.rules().get(rule) instanceof StopRule.LimitRule limit
        ? dispatched(limit.counted(), segment)
        : scales.events(rule, segment);
  }

  /// Events of a kind, in flight included.
  public long dispatched(Counted counted, int segment) {
    int block = block(segment);
    return switch (counted) {
      case CANDIDATE_CALLS -> words.get(block + LIVE_DISPATCHED) + words.get(block + SHADOWS_DISPATCHED);
      case CANDIDATE_ASSIGNMENTS -> words.get(block + LIVE_ASSIGNED);
      case COMPARISONS -> words.get(block + COMPARISONS_DISPATCHED);
    };
  }

  /// Lines for which there was no room in the log.
  public long leftOut() {
    return words.get(LEFT_OUT);
  }

  /// A test's evidence at this moment, unweighted.
  public double evidence(ArmedRule test) {
    return rules.rules().get(test.rule()) instanceof StopRule.LimitRule limit
        ? scales.evidence(test, dispatched(limit.counted(), test.segment()))
        : scales.evidence(test);
  }

  /// Whether a test's evidence is at least this much at this moment.
  public boolean hasReached(ArmedRule test, double level) {
    // What was last weighed is at least what the good events since then have left of it. Hardly any test was ever near.
    return scales.evidence(test) >= level && evidence(test) >= level;
  }

  /// Events of the present step dispatched so long ago that all of them must have ended, without those that taught nothing.
  public long maturedInStep(Counted counted) {
    int i = counted.ordinal();
    long nothing = words.get(NOTHING + i) - words.get(NOTHING_AT_ENTRY + i);
    return Math.max(0, scales.matured(counted) - words.get(DISPATCHED_AT_ENTRY + i) - nothing);
  }

  /// Observations against the candidate in the present step, whatever their epoch.
  public long badInStep(int rule) {
    return badOfAnyEpoch(rule) - words.get(BAD_AT_ENTRY + rule);
  }

  /// Events dispatched so long ago that all of them must have ended.
  long matured(Counted counted) {
    return scales.matured(counted);
  }

  /// The evidence that the candidate fails less than `margins[index]` times as often as the baseline.
  public double acceptance(int index) {
    return scales.acceptance(index);
  }

  /// Whether any rule holds the rollout.
  public boolean isHolding() {
    return words.get(HOLDING) != 0;
  }

  /// The rules that hold the rollout, in the order of the note.
  public List<StopRule> holding() {
    long bits = words.get(HOLDING);
    List<StopRule> holding = new ArrayList<>();
    for (int r = 0; r < rules.rules().size(); r++) {
      if ((bits >>> r & 1) != 0) {
        holding.add(rules.rules().get(r));
      }
    }
    return holding;
  }

  /// Live requests that the candidate began to run.
  public long liveDispatched(int segment) {
    return words.get(block(segment) + LIVE_DISPATCHED);
  }

  /// Live requests that the candidate finished, well or badly.
  public long liveCompleted(int segment) {
    return words.get(block(segment) + LIVE_COMPLETED);
  }

  /// Requests that both variants have run well and that were compared, where a rule is about comparisons.
  public long shadowsCompleted(int segment) {
    return words.get(block(segment) + SHADOWS_COMPLETED);
  }

  private static int block(int segment) {
    return BLOCKS + BLOCK * (segment + 1);
  }

  // --- the memory itself ----------------------------------------------------------------------------------------------

  /// Marks fresh memory as this rollout's, at its first exposure.
  public void initialize(long mark, long exposure) {
    weighsHere = true;
    for (int place = 0; place <= segments.capacity(); place++) {
      words.set(block(place - 1) + SPACING, scales.spacing(place));
    }
    words.set(EXPOSURE, exposure);
    words.set(LAYOUT, mark ^ LAYOUT_VERSION);
  }

  /// The mark that [#initialize] left; 0 in fresh memory, some other number in a ledger of another layout.
  public long mark() {
    long word = words.get(LAYOUT);
    return word == 0 ? 0 : word ^ LAYOUT_VERSION;
  }

  /// The place of the weights that are saved at this line: one of three, in turn.
  private int saved(long number) {
    return savedAt + (int) (number / (log.capacity() / SAVES) % SAVED) * (1 + scales.words());
  }

  /// The last line at which weights were to be saved by now.
  private long lastSave(long weighed) {
    return weighed - weighed % (log.capacity() / SAVES);
  }

  private void save(long number) {
    int at = saved(number);
    words.set(at, 0); // while it is being written it is nobody's
    scales.save(words, at + 1);
    words.set(at, number);
  }

  /// The segments that a former process has found. What cannot be a name ends the list.
  private void recallNames() {
    for (int i = segments.declaredAndOther(); i < segments.capacity(); i++) {
      int at = plan.namesAt() + NAME * (i - segments.declaredAndOther());
      long length = words.get(at);
      if (length < 1 || length > EvidenceLog.NAME_MAX) {
        break;
      }
      byte[] bytes = new byte[(int) length];
      for (int b = 0; b < length; b++) {
        bytes[b] = (byte) (words.getPlain(at + 1 + b / 8) >>> (8 * (b % 8)));
      }
      String name = new String(bytes, StandardCharsets.UTF_8);
      put(name, segments.declaredAndOther() + names.size());
      names = Stream.concat(names.stream(), Stream.of(name)).toList();
    }
  }

  /// Takes up what a former process has left: the later of the saved weights, and the lines that came after them. To be called
  /// before anything is recorded.
  ///
  /// @return a verdict that the former process did not come to any more; null for none
  public @Nullable Trip restore() {
    weighsHere = true;
    long weighed = words.get(WEIGHED);
    long first = load(scales, lastSave(weighed));
    Trip last = null;
    for (long number = first; number < weighed; number++) {
      log.read(number, evidence);
      last = scales.weigh(evidence, number);
    }
    interest = interest();
    if (words.get(TRIP) != 0) {
      decided = true;
      if (plan.flips()) {
        flip(); // died between the verdict and the flip
      }
      return null;
    }
    if (last != null) {
      decide(last); // died between the tripping line and the verdict
    }
    // Lines that were taken but never published: their writers died.
    long taken = words.get(TAKEN);
    for (long number = weighed; number < taken; number++) {
      if (!log.isPublished(number)) {
        log.writeVoid(number);
      }
    }
    weigh();
    return verdict();
  }

  /// Weights as they were at this line, or, if a process died while it saved them, a quarter lap before.
  ///
  /// @return the first line that is not in the weights
  private long load(Scales into, long number) {
    long from = number > 0 && words.get(saved(number)) != number ? number - log.capacity() / SAVES : number;
    if (from <= 0) {
      return 0;
    }
    if (words.get(saved(from)) != from) {
      throw new IllegalStateException("the weights at line " + from + " were not saved");
    }
    into.load(words, saved(from) + 1);
    return from;
  }

  // --- replay ---------------------------------------------------------------------------------------------------------

  /// The outcome of weighing the log again.
  ///
  /// @param firstLine where it began: 0, or the first line after saved weights
  /// @param lines weighed
  /// @param trip the verdict that the lines lead to; null for none
  /// @param then the verdict that was reached then; null for none
  /// @param weightsCompared words of the weights that were compared, bit by bit, with those of then: saved ones that the lines pass,
  ///     and, where evidence is still being weighed, the present ones; 0 if there are neither
  /// @param identical whether verdict and weights are those of then, to the last bit
  public record Replay(
      long firstLine, long lines, @Nullable Trip trip, @Nullable Trip then, long weightsCompared, boolean identical) {}

  /// Weighs the log again, with fresh scales, from as far back as it goes. Meanwhile nobody else weighs. A ledger that was opened to
  /// be looked at, neither begun nor restored, may lie in read-only memory: nothing in it is changed.
  ///
  /// @throws IllegalStateException if the log is damaged: the message says where
  public Replay replay() {
    Scales fresh = plan.scales();
    while (!weighing.compareAndSet(false, true)) {
    }
    Replay replay;
    try {
      replay = replay(fresh);
    } finally {
      weighing.set(false);
    }
    if (weighsHere) {
      weigh(); // what has come meanwhile
    }
    return replay;
  }

  private Replay replay(Scales fresh) {
    long weighed = words.get(WEIGHED);
    Trip then = trip();
    if (weighed < 0 || (then != null && then.rule() >= rules.rules().size())) {
      throw new IllegalStateException("the ledger is damaged: %d lines, verdict %s".formatted(weighed, then));
    }
    long saved = lastSave(weighed);
    long first = load(fresh, Math.max(0, saved - log.capacity() / SAVES));
    Evidence line = new Evidence();
    Trip verdict = null;
    long compared = 0;
    boolean identical = true;
    for (long number = first; number < weighed; number++) {
      if (number == saved && number > first && words.get(saved(number)) == number) {
        compared += fresh.words();
        identical &= fresh.isSavedAt(words, saved(number) + 1);
      }
      Trip trip = weighAgain(fresh, line, number);
      verdict = verdict == null ? trip : verdict;
    }
    identical &= verdict == null ? then == null : verdict.equals(then);
    if (weighsHere) {
      compared += fresh.words();
      identical &= fresh.isAt(scales);
    }
    return new Replay(first, weighed - first, verdict, then, compared, identical);
  }

  private @Nullable Trip weighAgain(Scales fresh, Evidence line, long number) {
    if (!log.isPublished(number)) {
      throw new IllegalStateException("line %d of the log is damaged".formatted(number));
    }
    try {
      log.read(number, line);
      return fresh.weigh(line, number);
    } catch (IndexOutOfBoundsException | ClassCastException e) {
      throw new IllegalStateException("line %d of the log is damaged: %s".formatted(number, e.getMessage()), e);
    }
  }
}
