package dev.sluice.router.stop;

import dev.sluice.router.assignment.Variant;

/// One line of the evidence log, as the rules read it: an observation in primitive fields, with what was counted when it came in.
///
/// One object is filled again for each line, so that reading evidence allocates nothing. It belongs to the thread that reads.
@SuppressWarnings("EnumOrdinal") // their order is part of the log's layout
public final class Evidence {

  /// What a line is about. Observations come first, then the ledger's own.
  public enum Kind {
    ANSWERED,
    FAILED,
    FELL_BACK,
    COMPARED,
    REPEATED,
    MEASURED,
    LABELLED,
    CRASHED,
    /// Requests were given to the variants: one of a key that was not met before, or some without a key.
    ASSIGNED,
    /// A hard bound was passed.
    CAPPED,
    /// A test for late changes begins afresh in one place.
    RESTART,
    /// Time has passed.
    TICK,
    /// A latency quantile of the baseline is frozen.
    FROZEN,
    /// A value of the discovered attribute becomes a segment.
    DISCOVERED,
    /// Nothing: its writer died.
    VOID
  }

  private static final Kind[] KINDS = Kind.values();

  private static final int VARIANT_BIT = 8;
  private static final int SHADOW_BIT = 9;
  private static final int DISAGREES_BIT = 10;
  private static final int REPEAT_DISAGREES_BIT = 11;
  private static final int CURRENT_BIT = 12;
  private static final int SHARE_SHIFT = 16;
  private static final int SEGMENT_SHIFT = 32;

  /// Kind, flags, share and segment in one word.
  private long head;

  private long ticket;
  private long keyHash;
  private long a;
  private long b;
  private long atMillis;
  private final long[] counts = new long[COUNTS];

  /// Words of [#counts]: three kinds of events, in the segment and overall.
  public static final int COUNTS = 6;

  // --- what a line says -----------------------------------------------------------------------------------------------

  public Kind kind() {
    return KINDS[(int) (head & 0xFF)];
  }

  public Variant variant() {
    return (head >>> VARIANT_BIT & 1) == 0 ? Variant.BASELINE : Variant.CANDIDATE;
  }

  public boolean shadow() {
    return (head >>> SHADOW_BIT & 1) != 0;
  }

  /// Whether the two variants' answers disagree.
  public boolean disagrees() {
    return (head >>> DISAGREES_BIT & 1) != 0;
  }

  /// Whether the baseline's second answer disagrees with its first.
  public boolean repeatDisagrees() {
    return (head >>> REPEAT_DISAGREES_BIT & 1) != 0;
  }

  /// Whether the request was assigned in the epoch in which its evidence came in.
  public boolean isCurrent() {
    return (head >>> CURRENT_BIT & 1) != 0;
  }

  /// The candidate's share at the request's assignment, in basis points.
  public int share() {
    return (int) (head >>> SHARE_SHIFT & 0xFFFF);
  }

  public int segment() {
    return (int) (head >>> SEGMENT_SHIFT);
  }

  /// A variant ran a request, well or badly.
  public boolean isRun() {
    Kind kind = kind();
    return kind == Kind.ANSWERED || kind == Kind.FAILED;
  }

  /// How long the call took; of a repeated request the baseline's second run.
  public long nanos() {
    return a;
  }

  /// Of a repeated request the candidate's run.
  public long otherNanos() {
    return b;
  }

  /// How far apart two answers are, as a share of the most there can be.
  public double bounded() {
    return Double.longBitsToDouble(b);
  }

  /// What was measured, or the difference in loss of a label.
  public double number() {
    return Double.longBitsToDouble(a);
  }

  /// Of assigned requests those that went to the candidate.
  public long candidates() {
    return a;
  }

  /// Of assigned requests those that stayed with the baseline.
  public long baselines() {
    return b;
  }

  /// The rule that a measured number or a frozen quantile is for.
  public int rule() {
    return (int) b;
  }

  /// The part of the rule that a frozen quantile is for.
  public int part() {
    return (int) keyHash;
  }

  public long keyHash() {
    return keyHash;
  }

  /// The restart generation of the request's segment when it was dispatched.
  public long segmentGeneration() {
    return ticket >>> 32;
  }

  /// The overall restart generation when the request was dispatched.
  public long overallGeneration() {
    return ticket & 0xFFFF_FFFFL;
  }

  public long atMillis() {
    return atMillis;
  }

  /// Events of a kind, in flight included, when this came in.
  public long counted(StopRule.Counted counted, boolean overall) {
    return counts[(overall ? 3 : 0) + counted.ordinal()];
  }

  // --- filling it -----------------------------------------------------------------------------------------------------

  public static long head(Kind kind, int segment) {
    return kind.ordinal() | (long) segment << SEGMENT_SHIFT;
  }

  public static long head(
      Kind kind, int segment, int share, Variant variant, boolean shadow, boolean disagrees, boolean repeatDisagrees) {
    return head(kind, segment)
        | (long) share << SHARE_SHIFT
        | (long) variant.ordinal() << VARIANT_BIT
        | (shadow ? 1L << SHADOW_BIT : 0)
        | (disagrees ? 1L << DISAGREES_BIT : 0)
        | (repeatDisagrees ? 1L << REPEAT_DISAGREES_BIT : 0);
  }

  /// The head of a line whose request's epoch is the present one.
  public static long current(long head) {
    return head | 1L << CURRENT_BIT;
  }

  public static Kind kind(long head) {
    return KINDS[(int) (head & 0xFF)];
  }

  public static int segment(long head) {
    return (int) (head >>> SEGMENT_SHIFT);
  }

  public void fill(long newHead, long newTicket, long newKeyHash, long newA, long newB, long newAtMillis) {
    head = newHead;
    ticket = newTicket;
    keyHash = newKeyHash;
    a = newA;
    b = newB;
    atMillis = newAtMillis;
  }

  public void count(int index, long events) {
    counts[index] = events;
  }
}
