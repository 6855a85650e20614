package dev.sluice.gateway.admission;

import java.util.concurrent.atomic.AtomicLong;

/// How many bytes of requests may be in memory at once, all callers of all faces together.
///
/// A request that is alone may have as many as it likes, so the largest message always has its turn.
public final class ByteBudget {

  /// There is no room for more now.
  public static final class SpentException extends RuntimeException {
    private static final long serialVersionUID = 1;

    SpentException(long bytesMax) {
      super(
          "the gateway holds as many bytes of requests as it may, %d".formatted(bytesMax), null, false, false);
    }
  }

  private final long bytesMax;
  private final AtomicLong taken = new AtomicLong();

  /// @param bytesMax above 0
  public ByteBudget(long bytesMax) {
    this.bytesMax = bytesMax;
  }

  public long bytesMax() {
    return bytesMax;
  }

  /// Bytes taken and not yet given back.
  public long taken() {
    return taken.get();
  }

  /// @param held what the same request has taken before
  /// @return false if there is no room for them; nothing is taken then
  public boolean tryTake(long count, long held) {
    while (true) {
      // Never taken and given back again: in between, others would be refused for what is not there.
      long before = taken.get();
      long all = before + count;
      if (all > bytesMax && all > held + count) {
        return false;
      }
      if (taken.compareAndSet(before, all)) {
        return true;
      }
    }
  }

  /// For what is there already, room or not.
  public void takeAnyway(long count) {
    taken.addAndGet(count);
  }

  public void giveBack(long count) {
    taken.addAndGet(-count);
  }

  public Share share() {
    return new Share();
  }

  /// What one request has taken. For one thread at a time.
  public final class Share {
    private long bytes;

    /// @throws SpentException if there is no room for them; nothing is taken then
    public void take(long count) {
      if (!tryTake(count, bytes)) {
        throw new SpentException(bytesMax);
      }
      bytes += count;
    }

    /// When the request is done with.
    public void giveBack() {
      ByteBudget.this.giveBack(bytes);
      bytes = 0;
    }
  }
}
