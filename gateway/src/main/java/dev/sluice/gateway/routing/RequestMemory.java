package dev.sluice.gateway.routing;

import dev.sluice.runtime.tensor.BufferPool;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/// The pooled memory that a request's large tensors lie in.
///
/// Whoever may still read the request holds it; when the last one lets go, the memory is another request's. It is held by the
/// call until it has been routed, by each run until nothing reads its inputs and its caller has been told, by an attempt of the candidate until
/// it is over, and by a shadow's copy. Who forgets to let go loses a buffer to the garbage collector, and harms nobody.
public final class RequestMemory {

  private static final RequestMemory NONE = new RequestMemory(List.of());

  private final List<ByteBuffer> buffers;
  private final AtomicInteger holders = new AtomicInteger(1);

  private RequestMemory(List<ByteBuffer> buffers) {
    this.buffers = buffers;
  }

  /// Of a request whose tensors are the garbage collector's.
  public static RequestMemory none() {
    return NONE;
  }

  /// One more holder, made so by a holder.
  public void hold() {
    if (!buffers.isEmpty()) {
      int before = holders.getAndIncrement();
      if (before <= 0) {
        throw new IllegalStateException("memory is held again that was given back");
      }
    }
  }

  /// One holder less; nothing is read by it any more.
  public void release() {
    if (!buffers.isEmpty()) {
      int left = holders.decrementAndGet();
      if (left == 0) {
        buffers.forEach(BufferPool.shared()::give);
      } else if (left < 0) {
        throw new IllegalStateException("memory is released more often than held");
      }
    }
  }

  /// Collects the buffers of one request.
  public static final class Builder {
    private final List<ByteBuffer> buffers = new ArrayList<>(1);

    /// A little-endian buffer of at least this capacity.
    public ByteBuffer take(int bytes) {
      ByteBuffer buffer = BufferPool.shared().take(bytes);
      buffers.add(buffer);
      return buffer;
    }

    /// With one holder: who reads the request.
    public RequestMemory build() {
      return buffers.isEmpty() ? NONE : new RequestMemory(buffers);
    }
  }
}
