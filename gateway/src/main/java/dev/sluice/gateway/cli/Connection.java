package dev.sluice.gateway.cli;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.stub.AbstractStub;
import java.time.Duration;
import java.util.function.Function;

/// One short connection to a server, for one command.
final class Connection implements AutoCloseable {
  /// Large enough for any tensor that a person would pass on a command line.
  private static final int MESSAGE_BYTES_MAX = 256 << 20;

  private final ManagedChannel channel;
  private final Duration timeout;

  private Connection(ManagedChannel channel, Duration timeout) {
    this.channel = channel;
    this.timeout = timeout;
  }

  static Connection open(String target, Duration timeout) {
    ManagedChannel channel = Grpc.newChannelBuilder(target, InsecureChannelCredentials.create())
        .maxInboundMessageSize(MESSAGE_BYTES_MAX)
        .build();
    return new Connection(channel, timeout);
  }

  /// A stub whose next call ends within the timeout.
  <S extends AbstractStub<S>> S stub(Function<ManagedChannel, S> factory) {
    return stream(factory).withDeadlineAfter(timeout);
  }

  /// A stub for a stream that lasts as long as somebody watches.
  <S extends AbstractStub<S>> S stream(Function<ManagedChannel, S> factory) {
    return factory.apply(channel);
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }
}
