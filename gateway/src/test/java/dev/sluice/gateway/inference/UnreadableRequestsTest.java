package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.CallOptions;
import io.grpc.Codec;
import io.grpc.CompressorRegistry;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Requests of which not even the message can be read.
class UnreadableRequestsTest {

  private static final byte[] GARBAGE = "neither protobuf nor anything else".getBytes(UTF_8);

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 0, 2).writeTo(models, "linear", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  @Test
  void bytesThatAreNoMessageAreAnInvalidArgument() {
    Refusal refusal = Refusal.of(() -> call(gateway.inferenceChannel(), GARBAGE, null));

    assertThat(refusal.code()).isEqualTo(Status.Code.INVALID_ARGUMENT);
    assertThat(refusal.reason()).isEqualTo("UNREADABLE_REQUEST");
    assertThat(refusal.message())
        .startsWith("the request cannot be read as what inference.GRPCInferenceService/ModelInfer takes: ");
    theServerAnswers();
  }

  @Test
  void theSameHoldsForEveryServiceOfThePort() {
    MethodDescriptor<byte[], byte[]> check = unary("grpc.health.v1.Health/Check");

    Refusal refusal =
        Refusal.of(
            () -> ClientCalls.blockingUnaryCall(gateway.inferenceChannel(), check, CallOptions.DEFAULT, GARBAGE));

    assertThat(refusal.code()).isEqualTo(Status.Code.INVALID_ARGUMENT);
  }

  @Test
  void whatDoesNotUnfoldIsAnInvalidArgument() {
    for (String encoding : new String[] {"gzip", "deflate"}) {
      CompressorRegistry lies = CompressorRegistry.newEmptyInstance();
      lies.register(new NotCompressed(encoding));
      ManagedChannel channel =
          NettyChannelBuilder.forAddress("127.0.0.1", gateway.gateway().grpcPort())
              .usePlaintext()
              .compressorRegistry(lies)
              .build();
      try {
        Refusal refusal = Refusal.of(() -> call(channel, GARBAGE, encoding));

        assertThat(refusal.code()).as(encoding).isEqualTo(Status.Code.INVALID_ARGUMENT);
        assertThat(refusal.message()).as(encoding).containsAnyOf("GZIP format", "header check");
      } finally {
        channel.shutdownNow();
      }
    }
    theServerAnswers();
  }

  private void theServerAnswers() {
    assertThat(outputs(gateway.inference().modelInfer(raw("linear", floats("x", Shape.of(1, 2), 3, 4)).build())))
        .containsExactly(floats("y", Shape.of(1, 2), 6, 8));
  }

  private static void call(ManagedChannel channel, byte[] bytes, @org.jspecify.annotations.Nullable String encoding) {
    CallOptions options = encoding == null ? CallOptions.DEFAULT : CallOptions.DEFAULT.withCompression(encoding);
    byte[] answer =
        ClientCalls.blockingUnaryCall(
            channel, unary(GRPCInferenceServiceGrpc.getModelInferMethod().getFullMethodName()), options, bytes);
    throw new AssertionError("answered with " + Arrays.toString(answer));
  }

  private static MethodDescriptor<byte[], byte[]> unary(String name) {
    MethodDescriptor.Marshaller<byte[]> asTheyAre =
        new MethodDescriptor.Marshaller<>() {
          @Override
          public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
          }

          @Override
          public byte[] parse(InputStream stream) {
            try {
              return stream.readAllBytes();
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          }
        };
    return MethodDescriptor.newBuilder(asTheyAre, asTheyAre)
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName(name)
        .build();
  }

  /// Says that it compresses, and does not.
  private record NotCompressed(String encoding) implements io.grpc.Compressor {
    @Override
    public String getMessageEncoding() {
      return encoding;
    }

    @Override
    public OutputStream compress(OutputStream out) throws IOException {
      return Codec.Identity.NONE.compress(out);
    }
  }
}
