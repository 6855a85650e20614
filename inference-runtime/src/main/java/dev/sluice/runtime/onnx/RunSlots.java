package dev.sluice.runtime.onnx;

import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/// The slots of one session: as many as runs may be in progress on this machine, of the shapes that came last.
///
/// Taking and giving back are a compare-and-set each. A slot that finds no place drives out another one, whose shapes may never
/// come again.
final class RunSlots {
  private static final int PLACES = Math.clamp(2L * Runtime.getRuntime().availableProcessors(), 4, 32);

  private final AtomicReferenceArray<@Nullable RunSlot> places = new AtomicReferenceArray<>(PLACES);
  private final AtomicInteger next = new AtomicInteger();
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

  /// Equal inputs gave outputs of different shapes: there are no slots for such a model.
  void outputsVary() {
    outputsVary = true;
    close();
  }

  boolean areOfUse() {
    return !outputsVary;
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
