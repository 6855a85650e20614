package dev.sluice.router.ledger;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.Evidence;
import dev.sluice.router.stop.Evidence.Kind;
import java.nio.charset.StandardCharsets;

/// The lines of evidence in the order in which they were weighed: a ring in a ledger's memory.
///
/// A writer takes the next number, fills the line's words and publishes them by writing the number itself last. Whoever
/// weighs reads published lines in order and adds what was counted at that moment; from then on a line is complete, and
/// weighing it again gives the same result to the last bit. A line is written over one lap later.
///
/// Layout of a line, in words: `0` its number + 1, `1` head, `2` ticket, `3` key hash, `4` and `5` values, `6` time, `7` epoch,
/// `8..13` counts.
@SuppressWarnings("EnumOrdinal") // their order is part of the log's layout
final class EvidenceLog {

  /// Words of one line: two cache lines, so that writers of neighbouring lines do not disturb each other.
  static final int LINE = 16;

  private static final int NUMBER = 0;
  private static final int HEAD = 1;
  private static final int TICKET = 2;
  private static final int KEY = 3;
  private static final int A = 4;
  private static final int B = 5;
  private static final int AT = 6;
  private static final int EPOCH = 7;
  private static final int COUNTED = 8;

  /// Who is assigned to whom is asked of all traffic together.
  private static final int NO_SEGMENT = 0;

  /// The longest name of a segment found on the way, in bytes of UTF-8: what fits into a line.
  static final int NAME_MAX = 8 * Evidence.COUNTS;

  private final LedgerWords words;
  private final int begin;
  private final int capacity;

  /// @param capacity lines, a power of two
  EvidenceLog(LedgerWords words, int begin, int capacity) {
    this.words = words;
    this.begin = begin;
    this.capacity = capacity;
  }

  int capacity() {
    return capacity;
  }

  private int line(long number) {
    return begin + (int) (number & (capacity - 1)) * LINE;
  }

  // --- writing: any thread, into a line whose number it has taken --------------------------------------------------------

  void write(long number, Observation observation, long atMillis) {
    Assignment assignment = observation.assignment();
    switch (observation) {
      case Observation.Answered o -> writeAnswered(number, assignment, o.variant(), o.shadow(), o.latencyNanos(), atMillis);
      case Observation.Failed o -> put(number, Kind.FAILED, assignment, o.variant(), o.shadow(), false, false, o.latencyNanos(), 0, atMillis);
      case Observation.FellBack o -> put(number, Kind.FELL_BACK, assignment, Variant.CANDIDATE, false, false, false, o.reason().ordinal(), 0, atMillis);
      case Observation.Compared o ->
          put(number, Kind.COMPARED, assignment, Variant.CANDIDATE, true, o.disagreement().disagrees(), false,
              Double.doubleToRawLongBits(o.disagreement().distance()),
              Double.doubleToRawLongBits(o.disagreement().bounded()), atMillis);
      case Observation.Repeated o ->
          put(number, Kind.REPEATED, assignment, Variant.CANDIDATE, true, o.candidateDisagrees(), o.repeatDisagrees(),
              o.baselineNanos(), o.candidateNanos(), atMillis);
      case Observation.Measured o ->
          put(number, Kind.MEASURED, assignment, o.variant(), false, false, false,
              Double.doubleToRawLongBits(o.value()), o.rule(), atMillis);
      case Observation.Labelled o ->
          put(number, Kind.LABELLED, assignment, Variant.CANDIDATE, false, false, false,
              Double.doubleToRawLongBits(o.lossDifference()), 0, atMillis);
      case Observation.Crashed _ -> put(number, Kind.CRASHED, assignment, Variant.CANDIDATE, false, false, false, 0, 0, atMillis);
    }
  }

  void writeAnswered(
      long number, Assignment assignment, Variant variant, boolean shadow, long latencyNanos, long atMillis) {
    put(number, Kind.ANSWERED, assignment, variant, shadow, false, false, latencyNanos, 0, atMillis);
  }

  void writeAssigned(long number, long keyHash, long slice, long atMillis) {
    long head = Evidence.head(Kind.ASSIGNED, NO_SEGMENT, AssignedSlice.share(slice), Variant.CANDIDATE, false, false, false);
    put(
        number, head, 0, keyHash, AssignedSlice.candidates(slice), AssignedSlice.baselines(slice), atMillis, 0);
  }

  private void put(
      long number, Kind kind, Assignment assignment, Variant variant, boolean shadow, boolean disagrees,
      boolean repeatDisagrees, long a, long b, long atMillis) {
    long head =
        Evidence.head(kind, assignment.segment(), assignment.share(), variant, shadow, disagrees, repeatDisagrees);
    put(number, head, assignment.ticket(), assignment.keyHash(), a, b, atMillis, assignment.epoch());
  }

  /// A line of the ledger's own.
  void write(long number, Kind kind, int place, long keyHash, long a, long b, long atMillis) {
    put(number, Evidence.head(kind, place), 0, keyHash, a, b, atMillis, 0);
  }

  /// A value that becomes a segment: its bytes stand where others have their counts.
  void writeDiscovered(long number, byte[] name, long atMillis) {
    int at = line(number);
    for (int word = 0; word < Evidence.COUNTS; word++) {
      long packed = 0;
      for (int i = 7; i >= 0; i--) {
        int index = word * 8 + i;
        packed = (packed << 8) | (index < name.length ? name[index] & 0xFF : 0);
      }
      words.setPlain(at + COUNTED + word, packed);
    }
    put(number, Evidence.head(Kind.DISCOVERED, 0), 0, 0, name.length, 0, atMillis, 0);
  }

  private void put(long number, long head, long ticket, long keyHash, long a, long b, long atMillis, long epoch) {
    int at = line(number);
    words.setPlain(at + HEAD, head);
    words.setPlain(at + TICKET, ticket);
    words.setPlain(at + KEY, keyHash);
    words.setPlain(at + A, a);
    words.setPlain(at + B, b);
    words.setPlain(at + AT, atMillis);
    words.setPlain(at + EPOCH, epoch);
    // Not merely released: this thread goes on to ask whether an earlier line is ready, and the thread that writes the earlier line
    // asks for this one. Were both stores still on their way at that moment, neither would see the other's line, and nobody would
    // weigh them.
    words.set(at + NUMBER, number + 1);
  }

  /// Fills the line of a writer that died.
  void writeVoid(long number) {
    put(number, Evidence.head(Kind.VOID, 0), 0, 0, 0, 0, 0, 0);
  }

  // --- reading: one thread at a time -----------------------------------------------------------------------------------

  boolean isPublished(long number) {
    return words.get(line(number) + NUMBER) == number + 1;
  }

  Kind kind(long number) {
    return Evidence.kind(words.getPlain(line(number) + HEAD));
  }

  int segment(long number) {
    return Evidence.segment(words.getPlain(line(number) + HEAD));
  }

  /// Completes a line with what is true now: whether its request's epoch is the present one, and one count.
  void complete(long number, long exposure) {
    int at = line(number);
    if (!Exposure.isFlipped(exposure) && words.getPlain(at + EPOCH) == Exposure.epoch(exposure)) {
      words.setPlain(at + HEAD, Evidence.current(words.getPlain(at + HEAD)));
    }
  }

  void count(long number, int index, long events) {
    words.setPlain(line(number) + COUNTED + index, events);
  }

  void read(long number, Evidence into) {
    int at = line(number);
    into.fill(
        words.getPlain(at + HEAD), words.getPlain(at + TICKET), words.getPlain(at + KEY), words.getPlain(at + A),
        words.getPlain(at + B), words.getPlain(at + AT));
    for (int i = 0; i < Evidence.COUNTS; i++) {
      into.count(i, words.getPlain(at + COUNTED + i));
    }
  }

  String name(long number) {
    int at = line(number);
    byte[] name = new byte[(int) words.getPlain(at + A)];
    for (int i = 0; i < name.length; i++) {
      name[i] = (byte) (words.getPlain(at + COUNTED + i / 8) >>> (8 * (i % 8)));
    }
    return new String(name, StandardCharsets.UTF_8);
  }
}
