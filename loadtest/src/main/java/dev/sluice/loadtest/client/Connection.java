package dev.sluice.loadtest.client;

import dev.sluice.loadtest.traffic.Traffic;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import io.grpc.InternalMetadata;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.netty.shaded.io.netty.bootstrap.Bootstrap;
import io.grpc.netty.shaded.io.netty.channel.ChannelFutureListener;
import io.grpc.netty.shaded.io.netty.channel.EventLoop;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.Http2Headers;
import io.grpc.netty.shaded.io.netty.util.AsciiString;
import io.grpc.netty.shaded.io.netty.util.concurrent.Future;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/// One HTTP/2 connection and the one thread that does all its work: calls start, end and are tallied there, so nothing
/// on the way of a call is shared and no call hops between threads.
///
/// When the server closes the connection, the next call makes a new one; calls that come while that is tried wait for it,
/// and after a vain attempt calls fail for a moment without another.
final class Connection implements AutoCloseable {
  private static final Duration CONNECT_WITHIN = Duration.ofSeconds(5);
  private static final long RETRY_AFTER_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final Status CUT = Status.UNAVAILABLE.withDescription("cut off by the load test");

  private final EventLoopGroup group;
  private final EventLoop loop;
  private final Bootstrap bootstrap;
  private final Http2Headers headers;
  private final boolean keepsResponses;
  private final Traffic traffic;
  private final CallObserver observer;
  private final long deadlineNanos;
  private final Status tooLate;
  private final Tally tally = new Tally();

  /// The calls in the order of their sending, which is the order of their deadlines: one timer is enough for all of them.
  /// One that has ended stays until those before it have, so there are at most a deadline's worth.
  private final Queue<Call> byDeadline = new ArrayDeque<>();
  private @Nullable Future<?> sweep;

  private @Nullable Transport transport;
  private final Queue<Call> connecting = new ArrayDeque<>();
  private boolean tries;
  private long triedNanos;
  private Status refusal = Status.UNAVAILABLE;
  private volatile boolean closed;

  private Connection(String target, int index, CallSettings settings) {
    this.group = Target.loop("loadtest-connection-" + index);
    this.loop = group.next();
    this.bootstrap = Target.bootstrap(target, group);
    this.deadlineNanos = settings.deadline().toNanos();
    this.headers = headers(Target.authority(target), deadlineNanos);
    this.keepsResponses = !settings.observer().equals(CallObserver.NONE);
    this.traffic = settings.traffic();
    this.observer = settings.observer();
    this.tooLate =
        Status.DEADLINE_EXCEEDED.withDescription("no answer within %d ms".formatted(settings.deadline().toMillis()));
  }

  /// Connects, so that no measured call pays for it.
  static Connection open(String target, int index, CallSettings settings) {
    var connection = new Connection(target, index, settings);
    try {
      connection.transport = connection.connect().get(CONNECT_WITHIN.toNanos(), TimeUnit.NANOSECONDS);
      return connection;
    } catch (ExecutionException e) {
      connection.close();
      throw Target.unreachable(target, unavailable(e.getCause()));
    } catch (TimeoutException e) {
      connection.close();
      throw Target.unreachable(
          target, Status.UNAVAILABLE.withDescription("no HTTP/2 within " + CONNECT_WITHIN.toSeconds() + " s"));
    } catch (InterruptedException e) {
      connection.close();
      Thread.currentThread().interrupt();
      throw Target.unreachable(target, Status.UNAVAILABLE.withDescription("interrupted"));
    }
  }

  private static Http2Headers headers(String authority, long deadlineNanos) {
    return new DefaultHttp2Headers(false)
        .method(AsciiString.of("POST"))
        .scheme(AsciiString.of("http"))
        .authority(AsciiString.of(authority))
        .path(AsciiString.of("/" + GRPCInferenceServiceGrpc.getModelInferMethod().getFullMethodName()))
        .add(AsciiString.of("content-type"), AsciiString.of("application/grpc"))
        .add(AsciiString.of("te"), AsciiString.of("trailers"))
        .add(AsciiString.of("user-agent"), AsciiString.of("sluice-loadtest"))
        .add(AsciiString.of("grpc-timeout"), AsciiString.of(timeout(deadlineNanos)));
  }

  /// gRPC allows eight digits; rounded up, so that it is this side that finds a call too late.
  private static String timeout(long nanos) {
    long micros = (nanos + 999) / 1000;
    if (micros < 100_000_000) {
      return micros + "u";
    }
    long millis = (micros + 999) / 1000;
    return millis < 100_000_000 ? millis + "m" : (millis + 999) / 1000 + "S";
  }

  private static Status unavailable(@Nullable Throwable cause) {
    return Status.UNAVAILABLE.withDescription("io exception").withCause(cause);
  }

  Tally tally() {
    return tally;
  }

  /// Runs a task on this connection's thread.
  void execute(Runnable task) {
    loop.execute(task);
  }

  /// The same after a time.
  void schedule(Runnable task, long nanos) {
    var _ = loop.schedule(task, nanos, TimeUnit.NANOSECONDS);
  }

  /// Sends the n-th request now; only on this connection's thread.
  void send(long n, long plannedNanos, boolean measured, Driver driver) {
    byte[] message;
    var metadata = new Metadata();
    try {
      message = traffic.message(n);
      traffic.addMetadata(n, metadata);
    } catch (RuntimeException e) {
      driver.crash(e);
      driver.callEnded(this);
      return;
    }
    long sentNanos = System.nanoTime();
    if (measured) {
      tally.sent(message.length, sentNanos - plannedNanos);
    }
    Call call = new Call(message, with(metadata), n, plannedNanos, sentNanos, measured, driver);
    awaitDeadline(call);
    Transport transport = this.transport;
    if (transport != null && transport.takesCalls()) {
      transport.send(call);
    } else {
      reconnect(call);
    }
  }

  private Http2Headers with(Metadata metadata) {
    if (InternalMetadata.headerCount(metadata) == 0) {
      return headers;
    }
    Http2Headers all = new DefaultHttp2Headers(false).setAll(headers);
    byte[][] pairs = InternalMetadata.serialize(metadata);
    for (int i = 0; i < pairs.length; i += 2) {
      all.add(new AsciiString(pairs[i], false), new AsciiString(pairs[i + 1], false));
    }
    return all;
  }

  // --- deadlines ------------------------------------------------------------------------------------------------------

  private void awaitDeadline(Call call) {
    byDeadline.add(call);
    if (sweep == null) {
      sweep = loop.schedule(this::sweep, deadlineNanos, TimeUnit.NANOSECONDS);
    }
  }

  private void forgetEnded() {
    for (Call call; (call = byDeadline.peek()) != null && call.hasEnded();) {
      byDeadline.remove();
    }
  }

  private void sweep() {
    sweep = null;
    long now = System.nanoTime();
    for (Call call; (call = byDeadline.peek()) != null;) {
      long left = call.sentNanos + deadlineNanos - now;
      if (!call.hasEnded() && left > 0) {
        sweep = loop.schedule(this::sweep, left, TimeUnit.NANOSECONDS);
        return;
      }
      byDeadline.remove();
      if (!call.hasEnded()) {
        call.cancel(tooLate);
      }
    }
  }

  // --- connecting -----------------------------------------------------------------------------------------------------

  private CompletableFuture<Transport> connect() {
    var next = new Transport(keepsResponses);
    var _ =
        bootstrap.clone().handler(next).connect().addListener(
            (ChannelFutureListener)
                done -> {
                  if (!done.isSuccess()) {
                    next.ready().completeExceptionally(done.cause());
                  }
                });
    return next.ready();
  }

  private void reconnect(Call call) {
    if (closed) {
      call.cancel(CUT);
      return;
    }
    if (!tries) {
      if (System.nanoTime() - triedNanos < RETRY_AFTER_NANOS) {
        call.cancel(refusal);
        return;
      }
      tries = true;
      refusal = Status.UNAVAILABLE.withDescription("just connected in vain");
      triedNanos = System.nanoTime();
      var _ =
          connect()
              .orTimeout(CONNECT_WITHIN.toNanos(), TimeUnit.NANOSECONDS)
              .whenComplete((made, failure) -> loop.execute(() -> connected(made, failure)));
    }
    connecting.add(call);
  }

  private void connected(@Nullable Transport made, @Nullable Throwable failure) {
    tries = false;
    if (made != null) {
      transport = made;
    } else {
      refusal = unavailable(failure == null ? new IOException("closed") : failure);
      triedNanos = System.nanoTime();
    }
    for (Call call; (call = connecting.poll()) != null;) {
      if (call.hasEnded()) {
        continue;
      }
      if (made != null && !closed) {
        made.send(call);
      } else {
        call.cancel(refusal);
      }
    }
  }

  /// Cuts off what is still open; those calls end as failures.
  void cut() {
    closed = true;
    loop.execute(
        () -> {
          if (transport != null) {
            transport.close(CUT);
          }
        });
  }

  @Override
  public void close() {
    if (!closed) {
      cut();
    }
    group.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly(2, TimeUnit.SECONDS);
  }

  private final class Call extends Transport.Exchange {
    private final long n;
    private final long plannedNanos;
    private final long sentNanos;
    private final boolean measured;
    private final Driver driver;

    Call(
        byte[] message, Http2Headers headers, long n, long plannedNanos, long sentNanos, boolean measured,
        Driver driver) {
      super(message, headers);
      this.n = n;
      this.plannedNanos = plannedNanos;
      this.sentNanos = sentNanos;
      this.measured = measured;
      this.driver = driver;
    }

    @Override
    void ended(Status said, @Nullable Answer answer) {
      long now = System.nanoTime();
      // A server that knows the deadline may be the first to end the call, by a reset that does not say why.
      boolean late = said.getCode() == Status.Code.CANCELLED && now - sentNanos >= deadlineNanos;
      Status outcome = late ? tooLate : said;
      if (measured) {
        tally.lastEndNanos = now;
        if (answer != null) {
          tally.answered(answer, now - plannedNanos, now - sentNanos);
        } else {
          tally.failed(outcome, now - plannedNanos, now - sentNanos);
        }
      }
      try {
        observer.ended(n, outcome, answer == null ? null : answer.bytes(), now - plannedNanos);
      } catch (RuntimeException e) {
        driver.crash(e);
      }
      forgetEnded();
      driver.callEnded(Connection.this);
    }
  }
}
