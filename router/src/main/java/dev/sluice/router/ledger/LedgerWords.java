package dev.sluice.router.ledger;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;

/// The few words of memory that a rollout's decisions live in: its exposure and its evidence counters.
///
/// Whoever owns the memory chooses what it is. Over a memory-mapped file every change survives the death of the process the
/// instant it is made, so a flip needs no disk write on the path of a request to be remembered. All access is atomic; a word
/// costs what an `AtomicLong` costs.
///
/// Not final for a test's sake: one that stops between two writes, as a process does that is killed. With no other class loaded
/// the calls cost what a final class's do.
public class LedgerWords {

  private static final VarHandle WORD = ValueLayout.JAVA_LONG.varHandle();

  private final MemorySegment memory;

  /// @param memory 8-byte aligned; its size in words is the number of counters there can be
  public LedgerWords(MemorySegment memory) {
    this.memory = memory;
  }

  /// Words on the heap, gone with the process: for simulations.
  public static LedgerWords onHeap(int words) {
    return new LedgerWords(MemorySegment.ofArray(new long[words]));
  }

  public int size() {
    return (int) (memory.byteSize() >>> 3);
  }

  public long get(int index) {
    return (long) WORD.getVolatile(memory, (long) index << 3);
  }

  public void set(int index, long value) {
    WORD.setVolatile(memory, (long) index << 3, value);
  }

  /// Without any order towards other threads' accesses.
  long getPlain(int index) {
    return (long) WORD.get(memory, (long) index << 3);
  }

  void setPlain(int index, long value) {
    WORD.set(memory, (long) index << 3, value);
  }

  /// Publishes everything that this thread has written before.
  void setRelease(int index, long value) {
    WORD.setRelease(memory, (long) index << 3, value);
  }

  /// The value after adding one.
  public long increment(int index) {
    return (long) WORD.getAndAdd(memory, (long) index << 3, 1L) + 1;
  }

  /// The value after adding.
  long add(int index, long value) {
    return (long) WORD.getAndAdd(memory, (long) index << 3, value) + value;
  }

  public boolean compareAndSet(int index, long expected, long value) {
    return WORD.compareAndSet(memory, (long) index << 3, expected, value);
  }
}
