package dev.sluice.loadtest.server;

import com.google.protobuf.ByteString;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelInferResponse.InferOutputTensor;
import dev.sluice.proto.inference.ServerLiveRequest;
import dev.sluice.proto.inference.ServerLiveResponse;
import io.grpc.Drainable;
import io.grpc.KnownLength;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.Server;
import io.grpc.ServerMethodDefinition;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;

/// A gRPC server on a free port of loopback that answers each `ModelInfer` with a vector of zeros, on the event loop
/// that brought the request.
public final class BareServer implements AutoCloseable {
  private static final int MESSAGE_BYTES_MAX = 256 << 20;

  private final Server server;

  private BareServer(ServerMethodDefinition<?, ?> infer) throws IOException {
    var live = ServerCalls.<ServerLiveRequest, ServerLiveResponse>asyncUnaryCall((_, caller) -> {
      caller.onNext(ServerLiveResponse.newBuilder().setLive(true).build());
      caller.onCompleted();
    });
    var service = ServerServiceDefinition.builder(GRPCInferenceServiceGrpc.SERVICE_NAME)
        .addMethod(infer)
        .addMethod(GRPCInferenceServiceGrpc.getServerLiveMethod(), live)
        .build();
    this.server = NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
        .directExecutor()
        .maxInboundMessageSize(MESSAGE_BYTES_MAX)
        .addService(service)
        .build()
        .start();
  }

  /// gRPC alone: requests are read as bytes into one array of each event loop and not looked at, answers are ready bytes.
  /// The least that any server has to do with them; with large requests it is a sink.
  ///
  /// @param columns of the one row of FP32 in each answer
  public static BareServer raw(int columns) throws IOException {
    byte[] answer = answer("model", "", columns).toByteArray();
    MethodDescriptor<byte[], byte[]> method =
        GRPCInferenceServiceGrpc.getModelInferMethod().toBuilder(new Sink(), new Ready()).build();
    return new BareServer(ServerMethodDefinition.create(method, ServerCalls.asyncUnaryCall((_, caller) -> {
      caller.onNext(answer);
      caller.onCompleted();
    })));
  }

  /// gRPC and the generated messages: requests are parsed, answers are built and serialised.
  ///
  /// @param columns of the one row of FP32 in each answer
  public static BareServer protobuf(int columns) throws IOException {
    return new BareServer(ServerMethodDefinition.create(
        GRPCInferenceServiceGrpc.getModelInferMethod(),
        ServerCalls.<ModelInferRequest, ModelInferResponse>asyncUnaryCall((request, caller) -> {
          caller.onNext(answer(request.getModelName(), request.getId(), columns));
          caller.onCompleted();
        })));
  }

  public int port() {
    return server.getPort();
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  private static ModelInferResponse answer(String model, String id, int columns) {
    return ModelInferResponse.newBuilder()
        .setModelName(model)
        .setModelVersion("1")
        .setId(id)
        .addOutputs(InferOutputTensor.newBuilder().setName("y").setDatatype("FP32").addShape(1).addShape(columns))
        .addRawOutputContents(ByteString.copyFrom(new byte[columns * Float.BYTES]))
        .build();
  }

  private static final class Sink implements Marshaller<byte[]> {
    private final ThreadLocal<byte[]> buffers = ThreadLocal.withInitial(() -> new byte[64 << 10]);

    @Override
    public InputStream stream(byte[] message) {
      throw new UnsupportedOperationException("a server does not send requests");
    }

    /// The array is overwritten by the next request of the same loop: nobody reads it.
    @Override
    public byte[] parse(InputStream stream) {
      byte[] buffer = buffers.get();
      try {
        while (stream.read(buffer) >= 0) {
          // On to the rest.
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return buffer;
    }
  }

  private static final class Ready implements Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] message) {
      return new ReadyBytes(message);
    }

    @Override
    public byte[] parse(InputStream stream) {
      throw new UnsupportedOperationException("a server does not parse answers");
    }
  }

  /// Lets gRPC copy the message into its frame in one step.
  private static final class ReadyBytes extends ByteArrayInputStream implements Drainable, KnownLength {
    ReadyBytes(byte[] message) {
      super(message);
    }

    @Override
    public int drainTo(OutputStream target) throws IOException {
      int written = available();
      target.write(buf, pos, written);
      pos = count;
      return written;
    }
  }
}
