package dev.sluice.loadtest.client;

import dev.sluice.loadtest.traffic.Traffic;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ServerLiveRequest;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.util.concurrent.EventExecutor;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// One HTTP/2 connection and the one thread that does all its work: calls start, end and are tallied there, so nothing
/// on the way of a call is shared and no call hops between threads.
final class Connection implements AutoCloseable {
  private static final Duration CONNECT_WITHIN = Duration.ofSeconds(5);

  private final EventLoopGroup group;
  private final EventExecutor loop;
  private final ManagedChannel channel;
  private final MethodDescriptor<byte[], Answer> method;
  private final Traffic traffic;
  private final CallObserver observer;
  private final long deadlineNanos;
  private final Tally tally = new Tally();

  private Connection(String target, int index, CallSettings settings) {
    this.group = Target.loop("loadtest-connection-" + index);
    this.loop = group.next();
    this.channel = Target.channel(target, group)
        .directExecutor()
        .build();
    this.method = InferMarshalling.method(!settings.observer().equals(CallObserver.NONE), loop::inEventLoop);
    this.traffic = settings.traffic();
    this.observer = settings.observer();
    this.deadlineNanos = settings.deadline().toNanos();
  }

  /// Connects, so that no measured call pays for it.
  static Connection open(String target, int index, CallSettings settings) {
    var connection = new Connection(target, index, settings);
    try {
      var _ = GRPCInferenceServiceGrpc.newBlockingStub(connection.channel)
          .withDeadlineAfter(CONNECT_WITHIN)
          .serverLive(ServerLiveRequest.getDefaultInstance());
    } catch (StatusRuntimeException e) {
      // Any answer at all shows a connection; what the server thinks of the calls will be seen from the calls.
      if (Target.isSilent(e.getStatus())) {
        connection.close();
        throw Target.unreachable(target, e.getStatus());
      }
    }
    return connection;
  }

  Tally tally() {
    return tally;
  }

  /// Runs a task on this connection's thread.
  void execute(Runnable task) {
    loop.execute(task);
  }

  /// Sends the n-th request now; only on this connection's thread.
  void send(long n, long plannedNanos, boolean measured, Driver driver) {
    byte[] message;
    var headers = new Metadata();
    try {
      message = traffic.message(n);
      traffic.addMetadata(n, headers);
    } catch (RuntimeException e) {
      driver.crash(e);
      driver.callEnded(this);
      return;
    }
    long sentNanos = System.nanoTime();
    if (measured) {
      tally.sent(message.length, sentNanos - plannedNanos);
    }
    ClientCall<byte[], Answer> call =
        channel.newCall(method, CallOptions.DEFAULT.withDeadlineAfter(deadlineNanos, TimeUnit.NANOSECONDS));
    call.start(new Call(n, plannedNanos, sentNanos, measured, driver), headers);
    call.sendMessage(message);
    call.halfClose();
    // Two, although one will come: the transport then goes on to the status behind the message unasked.
    call.request(2);
  }

  /// Cuts off what is still open; those calls end as failures.
  void cut() {
    channel.shutdownNow();
  }

  @Override
  public void close() {
    channel.shutdownNow();
    group.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly(2, TimeUnit.SECONDS);
  }

  private final class Call extends ClientCall.Listener<Answer> {
    private final long n;
    private final long plannedNanos;
    private final long sentNanos;
    private final boolean measured;
    private final Driver driver;
    private @Nullable Answer answer;

    Call(long n, long plannedNanos, long sentNanos, boolean measured, Driver driver) {
      this.n = n;
      this.plannedNanos = plannedNanos;
      this.sentNanos = sentNanos;
      this.measured = measured;
      this.driver = driver;
    }

    @Override
    public void onMessage(Answer message) {
      answer = message;
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      // After a reconnect gRPC may end a call on a thread of its own; the tally has one writer.
      if (loop.inEventLoop()) {
        end(status);
      } else {
        loop.execute(() -> end(status));
      }
    }

    private void end(Status status) {
      Answer answer = this.answer;
      long now = System.nanoTime();
      Status outcome = status.isOk() && answer == null
          ? Status.INTERNAL.withDescription("the server ended the call without a response")
          : status;
      if (measured) {
        tally.lastEndNanos = now;
        if (outcome.isOk() && answer != null) {
          tally.answered(answer, now - plannedNanos, now - sentNanos);
        } else {
          tally.failed(outcome, now - plannedNanos, now - sentNanos);
        }
      }
      try {
        observer.ended(n, outcome, outcome.isOk() && answer != null ? answer.bytes() : null, now - plannedNanos);
      } catch (RuntimeException e) {
        driver.crash(e);
      }
      driver.callEnded(Connection.this);
    }
  }
}
