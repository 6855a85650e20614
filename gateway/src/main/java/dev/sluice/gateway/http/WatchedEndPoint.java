package dev.sluice.gateway.http;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.concurrent.Executor;
import org.eclipse.jetty.io.EofException;
import org.eclipse.jetty.io.ManagedSelector;
import org.eclipse.jetty.io.SocketChannelEndPoint;
import org.eclipse.jetty.util.BufferUtil;
import org.eclipse.jetty.util.Callback;
import org.eclipse.jetty.util.thread.Scheduler;
import org.jspecify.annotations.Nullable;

/// A connection that notices its client leaving while a request of it is answered.
///
/// Jetty does not read from an HTTP/1.1 connection between a request's last byte and its response, so a client that closes it
/// is noticed only when there is nobody left to write to. Here the time between is used to wait for the end of the stream.
/// What comes instead may be the next request of a client that pipelines: those bytes are kept and handed out by the next read,
/// and such a client is not watched further, because its end cannot be seen behind them.
///
/// Nothing waits under the lock, and `gone` runs outside it.
final class WatchedEndPoint extends SocketChannelEndPoint {

  /// What is kept of a next request; its rest stays in the socket.
  private static final int AHEAD_BYTES = 256;

  private final Executor executor;
  private final Object lock = new Object();
  private final ByteBuffer ahead = BufferUtil.allocate(AHEAD_BYTES);
  private @Nullable Watch watch;

  WatchedEndPoint(
      SocketChannel channel, ManagedSelector selector, SelectionKey key, Scheduler scheduler, Executor executor) {
    super(channel, selector, key, scheduler);
    this.executor = executor;
  }

  /// Runs `gone` if the client closes the connection before the connection reads again.
  void watch(Runnable gone) {
    synchronized (lock) {
      if (ahead.hasRemaining() || watch != null) {
        return;
      }
      Watch next = new Watch(gone);
      watch = next;
      if (!super.tryFillInterested(next)) {
        watch = null; // the response has gone out meanwhile, and the connection waits for the next request
      }
    }
  }

  /// Under the lock.
  private void endWatch() {
    if (watch != null) {
      watch = null;
      getFillInterest().onFail(new EofException("not watched any more"));
    }
  }

  @Override
  public int fill(ByteBuffer buffer) throws IOException {
    synchronized (lock) {
      endWatch();
      return ahead.hasRemaining() ? BufferUtil.append(buffer, ahead) : super.fill(buffer);
    }
  }

  @Override
  public void fillInterested(Callback callback) {
    synchronized (lock) {
      endWatch();
      super.fillInterested(callback);
      tellOfBytesAhead();
    }
  }

  @Override
  public boolean tryFillInterested(Callback callback) {
    synchronized (lock) {
      endWatch();
      boolean interested = super.tryFillInterested(callback);
      tellOfBytesAhead();
      return interested;
    }
  }

  /// Whether the connection itself waits for bytes: a connection that found a watch here would take it for a pending read of
  /// its own and give up.
  @Override
  public boolean isFillInterested() {
    synchronized (lock) {
      return watch == null && super.isFillInterested();
    }
  }

  /// The selector sees the socket only. On another thread, as a selector would: the callback may read and wait again.
  private void tellOfBytesAhead() {
    if (ahead.hasRemaining()) {
      executor.execute(() -> getFillInterest().fillable());
    }
  }

  private final class Watch implements Callback {
    private final Runnable gone;

    Watch(Runnable gone) {
      this.gone = gone;
    }

    @Override
    public void succeeded() {
      synchronized (lock) {
        if (watch != this) {
          return;
        }
        watch = null;
        if (!endOfStream()) {
          if (!ahead.hasRemaining()) {
            watch(gone); // woken for nothing
          }
          return;
        }
      }
      gone.run();
    }

    private boolean endOfStream() {
      try {
        return WatchedEndPoint.super.fill(ahead) < 0;
      } catch (IOException e) {
        return true;
      }
    }

    @Override
    public void failed(Throwable cause) {
      synchronized (lock) {
        if (watch != this) {
          return;
        }
        watch = null;
      }
      gone.run();
    }

    @Override
    public InvocationType getInvocationType() {
      return InvocationType.BLOCKING;
    }
  }
}
