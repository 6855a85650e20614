package dev.sluice.loadtest;

import com.google.protobuf.ByteString;
import dev.sluice.loadtest.traffic.RequestForm;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ServerLiveRequest;
import dev.sluice.proto.inference.ServerLiveResponse;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/// The cheapest server that speaks the protocol: it answers every inference with the same ready bytes. Started by hand,
/// in a process and on a core of its own, to measure what the generator itself costs.
public final class EchoServer {
  private static final ModelMetadataResponse MODEL =
      OipServer.model("echo", OipServer.input("x", "FP32", -1, 32));

  private EchoServer() {}

  /// Arguments: a port, and a file to write one request to, framed as h2load sends it.
  public static void main(String[] arguments) throws IOException, InterruptedException {
    byte[] request = RequestForm.of("echo", "", MODEL, 1, Map.of())
        .generate(1).getFirst();
    var body = ByteBuffer.allocate(5 + request.length).put((byte) 0).putInt(request.length).put(request);
    Files.write(Path.of(arguments[1]), body.array());

    byte[] response = ModelInferResponse.newBuilder().setModelName("echo")
        .addOutputs(ModelInferResponse.InferOutputTensor.newBuilder().setName("y").setDatatype("FP32").addShape(1))
        .addRawOutputContents(ByteString.copyFrom(new byte[4]))
        .build().toByteArray();
    var infer = GRPCInferenceServiceGrpc.getModelInferMethod().toBuilder(new Bytes(), new Bytes()).build();
    var service = ServerServiceDefinition.builder(GRPCInferenceServiceGrpc.SERVICE_NAME)
        .addMethod(infer, ServerCalls.<byte[], byte[]>asyncUnaryCall((message, caller) -> {
          caller.onNext(response);
          caller.onCompleted();
        }))
        .addMethod(GRPCInferenceServiceGrpc.getModelMetadataMethod(),
            ServerCalls.<ModelMetadataRequest, ModelMetadataResponse>asyncUnaryCall((message, caller) -> {
              caller.onNext(MODEL);
              caller.onCompleted();
            }))
        .addMethod(GRPCInferenceServiceGrpc.getServerLiveMethod(),
            ServerCalls.<ServerLiveRequest, ServerLiveResponse>asyncUnaryCall((message, caller) -> {
              caller.onNext(ServerLiveResponse.newBuilder().setLive(true).build());
              caller.onCompleted();
            }))
        .build();
    int port = Integer.parseInt(arguments[0]);
    NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))
        .directExecutor()
        .addService(service)
        .build()
        .start()
        .awaitTermination();
  }

  private record Bytes() implements Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] message) {
      return new ByteArrayInputStream(message);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
