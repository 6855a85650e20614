package dev.sluice.gateway.http;

import java.util.concurrent.atomic.AtomicLong;

/// How many bytes of request bodies may be in memory at once, all callers together.
final class BodyBudget {

  /// There is no room for more bodies now.
  static final class SpentException extends RuntimeException {
    private static final long serialVersionUID = 1;

    SpentException(long bytesMax) {
      super(
          "the gateway holds as many bytes of request bodies as it may, %d".formatted(bytesMax), null, false, false);
    }
  }

  private final long bytesMax;
  private final AtomicLong taken = new AtomicLong();

  BodyBudget(long bytesMax) {
    this.bytesMax = bytesMax;
  }

  Share share() {
    return new Share();
  }

  /// What one request has taken. For one thread at a time.
  final class Share {
    private long bytes;

    /// @throws SpentException if there is no room for them; nothing is taken then
    void take(long count) {
      if (taken.addAndGet(count) > bytesMax) {
        taken.addAndGet(-count);
        throw new SpentException(bytesMax);
      }
      bytes += count;
    }

    /// When the request is done with.
    void giveBack() {
      taken.addAndGet(-bytes);
      bytes = 0;
    }
  }
}
