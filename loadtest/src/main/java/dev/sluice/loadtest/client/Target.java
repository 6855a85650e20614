package dev.sluice.loadtest.client;

import dev.sluice.linux.LinuxCalls;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ServerLiveRequest;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.bootstrap.Bootstrap;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.MultiThreadIoEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.Epoll;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollIoHandler;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.nio.NioIoHandler;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.netty.shaded.io.netty.util.concurrent.DefaultThreadFactory;
import java.net.UnixDomainSocketAddress;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/// The server under test, asked about itself before the load begins.
public final class Target {
  /// What a target on a Unix domain socket begins with, as gRPC writes it; the socket's path follows.
  public static final String UNIX = "unix:";

  private static final Duration ANSWER_WITHIN = Duration.ofSeconds(5);

  private Target() {}

  /// The inputs of a model, from the server that serves it.
  public static ModelMetadataResponse metadata(String target, String model, String version) {
    EventLoopGroup loop = loop("loadtest-metadata");
    ManagedChannel channel = channel(target, loop).build();
    var stub = GRPCInferenceServiceGrpc.newBlockingStub(channel);
    try {
      return stub.withDeadlineAfter(ANSWER_WITHIN)
          .modelMetadata(ModelMetadataRequest.newBuilder().setName(model).setVersion(version).build());
    } catch (StatusRuntimeException e) {
      String named = "model '%s'%s".formatted(model, version.isEmpty() ? "" : " version " + version);
      throw switch (e.getStatus().getCode()) {
        case NOT_FOUND -> new TargetException(
            TargetException.Reason.MODEL_NOT_FOUND, "%s is not served at %s: %s"
                .formatted(named, target, said(e.getStatus())));
        // A server that is there may be unavailable for this model alone.
        case UNAVAILABLE, DEADLINE_EXCEEDED -> isLive(stub)
            ? refused(target, named, e.getStatus())
            : unreachable(target, e.getStatus());
        default -> refused(target, named, e.getStatus());
      };
    } finally {
      channel.shutdownNow();
      var _ = loop.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }
  }

  /// On threads of the caller's choice: gRPC's own have to be of the kind that the target's socket needs.
  static NettyChannelBuilder channel(String target, EventLoopGroup group) {
    boolean epoll = Epoll.isAvailable();
    NettyChannelBuilder builder;
    if (target.startsWith(UNIX)) {
      String path = target.substring(UNIX.length());
      builder = epoll
          ? NettyChannelBuilder.forAddress(new DomainSocketAddress(path)).channelType(EpollDomainSocketChannel.class)
          : NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(path)).channelType(NioDomainSocketChannel.class);
      // What goes into :authority; the path would not be a host's name.
      builder.overrideAuthority("localhost");
    } else {
      builder = NettyChannelBuilder.forTarget("dns:///" + target)
          .channelType(epoll ? EpollSocketChannel.class : NioSocketChannel.class);
    }
    return builder
        .eventLoopGroup(group)
        .usePlaintext()
        // A retry would hide a failure and count it as a slow success.
        .disableRetry()
        .maxInboundMessageSize(Integer.MAX_VALUE);
  }

  /// For connections without gRPC's client, to the same address.
  static Bootstrap bootstrap(String target, EventLoopGroup group) {
    boolean epoll = Epoll.isAvailable();
    Bootstrap bootstrap = new Bootstrap().group(group);
    if (target.startsWith(UNIX)) {
      String path = target.substring(UNIX.length());
      return epoll
          ? bootstrap.channel(EpollDomainSocketChannel.class).remoteAddress(new DomainSocketAddress(path))
          : bootstrap.channel(NioDomainSocketChannel.class).remoteAddress(UnixDomainSocketAddress.of(path));
    }
    int colon = target.lastIndexOf(':');
    String host = target.substring(0, colon).replaceAll("^\\[|]$", "");
    return bootstrap
        .channel(epoll ? EpollSocketChannel.class : NioSocketChannel.class)
        .option(ChannelOption.TCP_NODELAY, true)
        .remoteAddress(host, Integer.parseInt(target.substring(colon + 1)));
  }

  static String authority(String target) {
    return target.startsWith(UNIX) ? "localhost" : target;
  }

  /// One event loop of the best kind that this machine has.
  static EventLoopGroup loop(String name) {
    return new MultiThreadIoEventLoopGroup(
        1,
        LinuxCalls.prompt(new DefaultThreadFactory(name, true)),
        Epoll.isAvailable() ? EpollIoHandler.newFactory() : NioIoHandler.newFactory());
  }

  /// Statuses that the client's own side makes when nobody answers.
  static boolean isSilent(Status status) {
    return status.getCode() == Status.Code.UNAVAILABLE || status.getCode() == Status.Code.DEADLINE_EXCEEDED;
  }

  static TargetException unreachable(String target, Status status) {
    return new TargetException(TargetException.Reason.UNREACHABLE, "%s is unreachable: %s"
        .formatted(target, said(status)));
  }

  private static TargetException refused(String target, String named, Status status) {
    return new TargetException(TargetException.Reason.REFUSED,
        "%s at %s: ModelMetadata failed with %s: %s".formatted(named, target, status.getCode(), said(status)));
  }

  private static boolean isLive(GRPCInferenceServiceBlockingStub stub) {
    try {
      return stub.withDeadlineAfter(ANSWER_WITHIN).serverLive(ServerLiveRequest.getDefaultInstance()).getLive();
    } catch (StatusRuntimeException e) {
      return !isSilent(e.getStatus());
    }
  }

  /// One line: the description, and what the socket said when gRPC only says "io exception".
  private static String said(Status status) {
    Throwable root = status.getCause();
    while (root != null && root.getCause() != null) {
      root = root.getCause();
    }
    String description = status.getDescription() == null ? status.getCode().toString() : status.getDescription();
    String text = root == null || root.getMessage() == null ? description : description + ": " + root.getMessage();
    return text.lines().findFirst().orElse(text);
  }
}
