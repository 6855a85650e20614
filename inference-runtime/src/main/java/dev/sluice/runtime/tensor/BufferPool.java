package dev.sluice.runtime.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// Direct buffers for input tensors, kept between runs because making one costs more than a small model's run.
///
/// Sizes are powers of two from 256 bytes to 64 MiB; larger ones are made when asked for and dropped afterwards. Each
/// size keeps at most 64 buffers and 4 MiB, but two of 4 MiB, and one of each size beyond: 36 MiB in all, and 120 MiB
/// more where batches of every large size have been run. A shelf is an array that threads take from and give to by
/// compare-and-set; a full one drops what it is given, an empty one makes a new one.
public final class BufferPool {
  private static final int SMALLEST_SHIFT = 8;
  private static final int LARGEST_SHIFT = 26;
  private static final int BUFFERS_PER_SIZE_MAX = 64;
  private static final int BYTES_PER_SIZE_MAX = 1 << 22;

  private static final BufferPool SHARED = new BufferPool();

  private final AtomicReferenceArray<ByteBuffer>[] shelves = newShelves();

  /// The process's one pool: direct memory is the process's, and so is the bound on what is kept of it.
  public static BufferPool shared() {
    return SHARED;
  }

  BufferPool() {}

  /// A little-endian buffer of at least this capacity, with whatever bytes it held before.
  public ByteBuffer take(int size) {
    int shelf = shelfOf(size);
    if (shelf < 0) {
      return allocate(size);
    }
    AtomicReferenceArray<ByteBuffer> buffers = shelves[shelf];
    for (int i = 0; i < buffers.length(); i++) {
      // A plain look first: taking from an empty place is a write that all other threads would have to see.
      if (buffers.getPlain(i) != null) {
        ByteBuffer buffer = buffers.getAndSet(i, null);
        if (buffer != null) {
          return buffer.clear();
        }
      }
    }
    return allocate(1 << (shelf + SMALLEST_SHIFT));
  }

  /// Takes back a buffer that [#take] gave.
  public void give(ByteBuffer buffer) {
    int shelf = shelfOf(buffer.capacity());
    if (shelf < 0) {
      return;
    }
    AtomicReferenceArray<ByteBuffer> buffers = shelves[shelf];
    for (int i = 0; i < buffers.length(); i++) {
      if (buffers.getPlain(i) == null && buffers.compareAndSet(i, null, buffer)) {
        return;
      }
    }
  }

  private static int shelfOf(int size) {
    int shift = Math.max(SMALLEST_SHIFT, Integer.SIZE - Integer.numberOfLeadingZeros(Math.max(size, 1) - 1));
    return shift > LARGEST_SHIFT ? -1 : shift - SMALLEST_SHIFT;
  }

  private static ByteBuffer allocate(int capacity) {
    return ByteBuffer.allocateDirect(capacity).order(ByteOrder.LITTLE_ENDIAN);
  }

  @SuppressWarnings({"unchecked", "rawtypes"}) // Java has no arrays of generic types.
  private static AtomicReferenceArray<ByteBuffer>[] newShelves() {
    AtomicReferenceArray[] shelves = new AtomicReferenceArray[LARGEST_SHIFT - SMALLEST_SHIFT + 1];
    for (int shelf = 0; shelf < shelves.length; shelf++) {
      int fitting = BYTES_PER_SIZE_MAX >> (shelf + SMALLEST_SHIFT);
      shelves[shelf] = new AtomicReferenceArray<>(Math.clamp(fitting, fitting == 1 ? 2 : 1, BUFFERS_PER_SIZE_MAX));
    }
    return shelves;
  }
}
