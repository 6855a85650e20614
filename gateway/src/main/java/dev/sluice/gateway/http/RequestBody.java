package dev.sluice.gateway.http;

import dev.sluice.gateway.admission.ByteBudget;
import org.eclipse.jetty.io.Content;
import org.jspecify.annotations.Nullable;

/// Reads one request's body whole, without a thread that waits for it: the next bytes call back.
///
/// Bounded in size by the largest message, in memory by the budget of all bodies, and in time by the connection's idle timeout
/// and a slowest rate, so that a client which trickles holds no room for long.
final class RequestBody implements Runnable {

  /// The slowest that a body may come, and from when on that counts.
  private static final long RATE_MIN_BYTES_PER_SECOND = 1024;

  private static final long RATE_GRACE_NANOS = 10_000_000_000L;

  /// A body: the beginning of an array. Not changed any more by anybody.
  static final class Bytes {
    static final Bytes NONE = new Bytes(new byte[0], 0);

    private final byte[] array;
    private final int length;

    Bytes(byte[] array, int length) {
      this.array = array;
      this.length = length;
    }

    byte[] array() {
      return array;
    }

    int length() {
      return length;
    }
  }

  /// Where the reading ends: exactly one of the three is called, exactly once.
  interface Receiver {

    void received(Bytes body);

    /// The body is not taken: the status to answer with, and why.
    void refused(int status, String sentence);

    /// The caller went away before its end.
    void broken(Throwable cause);
  }

  private final Content.Source source;
  private final int bytesMax;
  private final ByteBudget.Share share;
  private final Receiver receiver;
  private final long startedNanos = System.nanoTime();
  private final Growing bytes;
  private boolean last;

  RequestBody(Content.Source source, long announced, int bytesMax, ByteBudget.Share share, Receiver receiver) {
    this.source = source;
    this.bytesMax = bytesMax;
    this.share = share;
    this.receiver = receiver;
    this.bytes = new Growing(bytesMax, announced);
  }

  @Override
  public void run() {
    while (!last) {
      Content.Chunk chunk = source.read();
      if (chunk == null) {
        source.demand(this);
        return;
      }
      if (Content.Chunk.isFailure(chunk)) {
        failed(chunk);
        return;
      }
      boolean accepted;
      try {
        accepted = accept(chunk);
      } finally {
        chunk.release();
      }
      if (!accepted) {
        return;
      }
      last = chunk.isLast();
    }
    receiver.received(bytes.bytes());
  }

  private boolean accept(Content.Chunk chunk) {
    int count = chunk.remaining();
    if (bytes.length() + (long) count > bytesMax) {
      receiver.refused(HttpStatuses.CONTENT_TOO_LARGE, tooLarge(bytesMax));
      return false;
    }
    try {
      share.take(count);
    } catch (ByteBudget.SpentException e) {
      receiver.refused(HttpStatuses.SERVICE_UNAVAILABLE, String.valueOf(e.getMessage()));
      return false;
    }
    bytes.append(chunk.getByteBuffer());
    long late = System.nanoTime() - startedNanos - RATE_GRACE_NANOS;
    if (!chunk.isLast() && late > 0 && bytes.length() < late / 1_000_000_000L * RATE_MIN_BYTES_PER_SECOND) {
      receiver.refused(
          HttpStatuses.REQUEST_TIMEOUT,
          "the request's body comes too slowly: %d bytes so far, and at least %d a second are expected"
              .formatted(bytes.length(), RATE_MIN_BYTES_PER_SECOND));
      return false;
    }
    return true;
  }

  static String tooLarge(int bytesMax) {
    return "the request's body has more than %d bytes, the largest message".formatted(bytesMax);
  }

  private void failed(Content.Chunk chunk) {
    @Nullable Throwable cause = chunk.getFailure();
    if (chunk.isLast()) {
      receiver.broken(cause == null ? new IllegalStateException("the request's body broke off") : cause);
      return;
    }
    receiver.refused(
        HttpStatuses.REQUEST_TIMEOUT,
        "the request's body stopped coming after %d bytes".formatted(bytes.length()));
  }
}
