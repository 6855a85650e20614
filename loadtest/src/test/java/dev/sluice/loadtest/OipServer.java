package dev.sluice.loadtest;

import com.google.protobuf.ByteString;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import dev.sluice.proto.inference.ServerLiveRequest;
import dev.sluice.proto.inference.ServerLiveResponse;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/// A small real Open Inference Protocol server on the loopback. Every answer is decided by a [Behaviour].
final class OipServer implements AutoCloseable {
  static final Context.Key<Metadata> HEADERS = Context.key("headers");

  /// Decides how the n-th inference (from 0) is answered.
  interface Behaviour {
    Reply reply(long n, ModelInferRequest request, Metadata headers);
  }

  /// @param parameters of the response
  record Reply(long delayNanos, Status status, List<String> parameters) {
    static final Reply AT_ONCE = new Reply(0, Status.OK, List.of());

    static Reply after(long delay, TimeUnit unit) {
      return new Reply(unit.toNanos(delay), Status.OK, List.of());
    }

    static Reply failure(Status status) {
      return new Reply(0, status, List.of());
    }

    /// Names and values in turn.
    static Reply saying(String... parameters) {
      return new Reply(0, Status.OK, List.of(parameters));
    }
  }

  private final ScheduledExecutorService scheduler = Executors.newSingleThreadScheduledExecutor(
      Thread.ofPlatform().daemon().name("oip-server-delays").factory());
  private final Server server;
  private final String target;
  private final AtomicLong seen = new AtomicLong();
  private final AtomicInteger open = new AtomicInteger();
  private final AtomicInteger openMax = new AtomicInteger();

  OipServer(ModelMetadataResponse model, Behaviour behaviour) {
    this(0, model, behaviour);
  }

  OipServer(int port, ModelMetadataResponse model, Behaviour behaviour) {
    this(port, model, behaviour, builder -> {});
  }

  OipServer(
      int port, ModelMetadataResponse model, Behaviour behaviour, Consumer<NettyServerBuilder> settings) {
    try {
      NettyServerBuilder builder = NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))
          .directExecutor()
          .addService(new Service(model, behaviour))
          .intercept(new KeepHeaders());
      settings.accept(builder);
      server = builder.build().start();
      target = "localhost:" + server.getPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static ModelMetadataResponse model(String name, TensorMetadata... inputs) {
    return ModelMetadataResponse.newBuilder().setName(name).addAllInputs(List.of(inputs)).build();
  }

  static TensorMetadata input(String name, String datatype, long... shape) {
    var input = TensorMetadata.newBuilder().setName(name).setDatatype(datatype);
    for (long dimension : shape) {
      input.addShape(dimension);
    }
    return input.build();
  }

  String target() {
    return target;
  }

  long seen() {
    return seen.get();
  }

  int openMax() {
    return openMax.get();
  }

  @Override
  public void close() {
    server.shutdownNow();
    scheduler.shutdownNow();
  }

  private final class Service extends GRPCInferenceServiceGrpc.GRPCInferenceServiceImplBase {
    private final ModelMetadataResponse model;
    private final Behaviour behaviour;

    Service(ModelMetadataResponse model, Behaviour behaviour) {
      this.model = model;
      this.behaviour = behaviour;
    }

    @Override
    public void serverLive(ServerLiveRequest request, StreamObserver<ServerLiveResponse> caller) {
      caller.onNext(ServerLiveResponse.newBuilder().setLive(true).build());
      caller.onCompleted();
    }

    @Override
    public void modelMetadata(ModelMetadataRequest request, StreamObserver<ModelMetadataResponse> caller) {
      if (!request.getName().equals(model.getName())) {
        caller.onError(Status.NOT_FOUND.withDescription("unknown model '%s'"
            .formatted(request.getName())).asException());
        return;
      }
      caller.onNext(model);
      caller.onCompleted();
    }

    @Override
    public void modelInfer(ModelInferRequest request, StreamObserver<ModelInferResponse> caller) {
      openMax.accumulateAndGet(open.incrementAndGet(), Math::max);
      Reply reply = behaviour.reply(seen.getAndIncrement(), request, HEADERS.get());
      if (reply.delayNanos() <= 0) {
        answer(reply, caller);
      } else {
        var _ = scheduler.schedule(() -> answer(reply, caller), reply.delayNanos(), TimeUnit.NANOSECONDS);
      }
    }

    private void answer(Reply reply, StreamObserver<ModelInferResponse> caller) {
      open.decrementAndGet();
      if (!reply.status().isOk()) {
        caller.onError(reply.status().asException());
        return;
      }
      var response = ModelInferResponse.newBuilder()
          .setModelName(model.getName())
          .addOutputs(ModelInferResponse.InferOutputTensor.newBuilder().setName("y").setDatatype("FP32").addShape(1))
          .addRawOutputContents(ByteString.copyFrom(new byte[4]));
      for (int i = 0; i < reply.parameters().size(); i += 2) {
        response.putParameters(reply.parameters().get(i),
            InferParameter.newBuilder().setStringParam(reply.parameters().get(i + 1)).build());
      }
      caller.onNext(response.build());
      caller.onCompleted();
    }
  }

  private static final class KeepHeaders implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      return Contexts.interceptCall(Context.current().withValue(HEADERS, headers), call, headers, next);
    }
  }
}
