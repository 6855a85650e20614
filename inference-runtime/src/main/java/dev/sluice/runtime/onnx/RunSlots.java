package dev.sluice.runtime.onnx;

import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/// The slots of one session: as many as runs may be in progress on this machine, of the shapes that came last.
///
/// Taking and giving back are a compare-and-set each. A slot that finds no place drives out another one, whose shapes may never
/// come again.
final class RunSlots {
  private static final int PROVEN_MAX = 64;
  private static final int PLACES = Math.clamp(2L * Runtime.getRuntime().availableProcessors(), 4, 32);

  private final AtomicReferenceArray<@Nullable RunSlot> places = new AtomicReferenceArray<>(PLACES);
  private final AtomicInteger next = new AtomicInteger();

  /// What the last run without a slot looked like. Shapes that come once are not worth one.
  private volatile int lastWithout;

  /// The outputs, as they were asked for together, of which it is known that the model writes them where it is told to.
  private final Set<List<String>> proven = ConcurrentHashMap.newKeySet();

  private volatile boolean outputsVary;

  /// A slot for such a run, or null.
  @Nullable RunSlot take(List<Tensor> inputs, List<String> outputs) {
    for (int i = 0; i < PLACES; i++) {
      RunSlot slot = places.getAcquire(i);
      // A slot that is looked at here may be taken and used meanwhile; what is compared never changes.
      if (slot != null && slot.fits(inputs, outputs) && places.compareAndSet(i, slot, null)) {
        return slot;
      }
    }
    return null;
  }

  void give(RunSlot slot) {
    if (outputsVary) {
      slot.close();
      return;
    }
    for (int i = 0; i < PLACES; i++) {
      if (places.getPlain(i) == null && places.compareAndSet(i, null, slot)) {
        return;
      }
    }
    RunSlot driven = places.getAndSet(Math.floorMod(next.getAndIncrement(), PLACES), slot);
    if (driven != null) {
      driven.close();
    }
  }

  /// Equal inputs gave different outputs, or others than they should: there are no slots for such a model.
  void outputsVary() {
    outputsVary = true;
    close();
  }

  /// Whether a run that had no slot should leave one behind: it is the second of its kind in a row.
  boolean areWorthIt(List<Tensor> inputs, List<String> outputs) {
    if (outputsVary) {
      return false;
    }
    int seen = outputs.hashCode();
    for (int i = 0; i < inputs.size(); i++) {
      seen = 31 * seen + inputs.get(i).shape().hashCode();
    }
    boolean again = seen == lastWithout;
    lastWithout = seen;
    return again;
  }

  boolean areProven(List<String> outputs) {
    return proven.contains(outputs);
  }

  /// @return false if there are too many kinds of requests to keep
  boolean proven(List<String> outputs) {
    if (proven.size() >= PROVEN_MAX) {
      return false;
    }
    proven.add(List.copyOf(outputs));
    return true;
  }

  void close() {
    for (int i = 0; i < PLACES; i++) {
      RunSlot slot = places.getAndSet(i, null);
      if (slot != null) {
        slot.close();
      }
    }
  }
}
