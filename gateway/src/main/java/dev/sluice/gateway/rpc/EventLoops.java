package dev.sluice.gateway.rpc;

import dev.sluice.gateway.config.UnixListener;
import dev.sluice.linux.LinuxCalls;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.MultiThreadIoEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.ServerChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.Epoll;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollIoHandler;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollServerSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.nio.NioIoHandler;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioServerSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.netty.shaded.io.netty.util.concurrent.DefaultThreadFactory;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.util.concurrent.TimeUnit;

/// The threads that accept, read, compute small models and write: as many as there are processors, for all listeners of
/// inference together. gRPC's own would be shared with every channel of the process; two loops on one processor take turns in the
/// middle of each other's requests.
///
/// A connection stays with its loop for life. Epoll on Linux, NIO elsewhere. The threads are of Netty's own kind: on any other its
/// pools hand out new objects instead of used ones, and each look at a thread's own things takes a hash map.
public final class EventLoops implements AutoCloseable {
  private final boolean epoll = Epoll.isAvailable();
  private final EventLoopGroup group;

  private EventLoops(int loops) {
    this.group =
        new MultiThreadIoEventLoopGroup(
            loops,
            LinuxCalls.prompt(new DefaultThreadFactory("sluice-loop")),
            epoll ? EpollIoHandler.newFactory() : NioIoHandler.newFactory());
  }

  /// One for each processor that this process may use.
  public static EventLoops start() {
    return new EventLoops(Runtime.getRuntime().availableProcessors());
  }

  /// A server on a TCP port that runs on these threads.
  public NettyServerBuilder server(InetSocketAddress address) {
    return server(address, epoll ? EpollServerSocketChannel.class : NioServerSocketChannel.class);
  }

  /// A server on a Unix domain socket that runs on these threads.
  public NettyServerBuilder server(UnixListener listener) {
    return epoll
        ? server(new DomainSocketAddress(listener.path().toFile()), EpollServerDomainSocketChannel.class)
        : server(UnixDomainSocketAddress.of(listener.path()), NioServerDomainSocketChannel.class);
  }

  /// Accepting takes turns with the rest: it is too little for a thread of its own.
  private NettyServerBuilder server(SocketAddress address, Class<? extends ServerChannel> channel) {
    return NettyServerBuilder.forAddress(address)
        .bossEventLoopGroup(group)
        .workerEventLoopGroup(group)
        .channelType(channel)
        .directExecutor();
  }

  /// Only when the servers are closed.
  @Override
  public void close() {
    group.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly(2, TimeUnit.SECONDS);
  }
}
