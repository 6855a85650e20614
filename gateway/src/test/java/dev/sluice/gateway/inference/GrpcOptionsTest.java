package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.gateway.testing.InferMessages.typed;
import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.GrpcOptions;
import dev.sluice.gateway.config.GrpcOptions.Compression;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.ClientInterceptor;
import io.grpc.Codec;
import io.grpc.Compressor;
import io.grpc.CompressorRegistry;
import io.grpc.DecompressorRegistry;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.zip.DeflaterOutputStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// How the inference port speaks gRPC when it is told to.
class GrpcOptionsTest {

  private static final Metadata.Key<String> ENCODING =
      Metadata.Key.of("grpc-encoding", Metadata.ASCII_STRING_MARSHALLER);

  @TempDir
  @SuppressWarnings("NullAway.Init") // by JUnit
  private Path folder;

  @BeforeEach
  void models() throws Exception {
    OnnxModels.identity(Datatype.FP32, -1).writeTo(Files.createDirectories(folder.resolve("models")), "identity", 1);
  }

  // --- size and compression ------------------------------------------------------------------------------------------

  @Test
  void aTensorOf64MegabytesGoesBothWays() throws Exception {
    Tensor large = numbers(64 << 20);
    try (RunningGateway gateway = start(GrpcOptions.defaults())) {
      assertThat(outputs(gateway.inference().modelInfer(raw("identity", large).build())).getFirst().bytes())
          .isEqualTo(large.bytes());
    }
  }

  @Test
  void answersAreNotCompressedByDefault() throws Exception {
    try (RunningGateway gateway = start(GrpcOptions.defaults())) {
      assertThat(encodingOfAnAnswer(gateway.inferenceChannel())).isIn("identity", null);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"LOW", "MEDIUM", "HIGH"})
  void answersAreCompressedForThoseWhoAcceptIt(Compression compression) throws Exception {
    try (RunningGateway gateway = start(compressing(compression))) {
      assertThat(encodingOfAnAnswer(gateway.inferenceChannel())).isEqualTo("gzip");

      ManagedChannel plain =
          Grpc.newChannelBuilder("127.0.0.1:" + gateway.gateway().grpcPort(), InsecureChannelCredentials.create())
              .decompressorRegistry(DecompressorRegistry.emptyInstance().with(Codec.Identity.NONE, false))
              .build();
      assertThat(encodingOfAnAnswer(plain)).isIn("identity", null);
      plain.shutdownNow();
    }
  }

  @Test
  void compressedRequestsAreRead() throws Exception {
    try (RunningGateway gateway = start(GrpcOptions.defaults())) {
      Tensor row = numbers(1 << 20);
      assertThat(
              outputs(gateway.inference().withCompression("gzip").modelInfer(raw("identity", row).build()))
                  .getFirst().bytes())
          .isEqualTo(row.bytes());
    }
  }

  /// What Triton's own clients for Python and C++ offer beside gzip.
  @Test
  void deflateIsReadToo() throws Exception {
    CompressorRegistry registry = CompressorRegistry.newEmptyInstance();
    registry.register(
        new Compressor() {
          @Override
          public String getMessageEncoding() {
            return "deflate";
          }

          @Override
          public OutputStream compress(OutputStream out) {
            return new DeflaterOutputStream(out);
          }
        });
    try (RunningGateway gateway = start(GrpcOptions.defaults())) {
      ManagedChannel channel =
          Grpc.newChannelBuilder("127.0.0.1:" + gateway.gateway().grpcPort(), InsecureChannelCredentials.create())
              .compressorRegistry(registry)
              .build();
      Tensor row = numbers(1 << 20);
      assertThat(
              outputs(
                      GRPCInferenceServiceGrpc.newBlockingStub(channel).withCompression("deflate")
                          .modelInfer(raw("identity", row).build()))
                  .getFirst().bytes())
          .isEqualTo(row.bytes());
      channel.shutdownNow();
    }
  }

  // --- typed answers -------------------------------------------------------------------------------------------------

  @Test
  void aMirroringServerAnswersInTheFormOfTheRequest() throws Exception {
    GrpcOptions defaults = GrpcOptions.defaults();
    GrpcOptions mirroring =
        new GrpcOptions(
            true, Compression.NONE, defaults.keepAliveTime(), defaults.keepAliveTimeout(), Duration.ZERO, Duration.ZERO);
    List<Tensor> row = List.of(floats("x", Shape.of(2), 1, 2));
    try (RunningGateway gateway = start(mirroring)) {
      ModelInferResponse typed = gateway.inference().modelInfer(typed("identity", row).build());
      assertThat(typed.getOutputs(0).getContents().getFp32ContentsList()).containsExactly(1f, 2f);
      assertThat(gateway.inference().modelInfer(raw("identity", row).build()).getRawOutputContentsCount()).isOne();
      ModelInferRequest raw =
          typed("identity", row)
              .putParameters("sluice_typed_output", InferParameter.newBuilder().setBoolParam(false).build())
              .build();
      assertThat(gateway.inference().modelInfer(raw).getRawOutputContentsCount()).isOne();
    }
  }

  // --- limits --------------------------------------------------------------------------------------------------------

  @Test
  void everyProblemIsNamed() {
    assertThatThrownBy(
            () ->
                new GrpcOptions(
                    false, Compression.NONE, Duration.ZERO, Duration.ofMillis(-5), Duration.ZERO, Duration.ZERO))
        .hasMessage("grpc-keepalive-time: 0 ms is below 1 ms\ngrpc-keepalive-timeout: -5 ms is below 1 ms");
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private RunningGateway start(GrpcOptions options) throws Exception {
    return RunningGateway.start(
        GatewayConfig.onFreePorts(folder.resolve("models"), folder.resolve("data")).with(options));
  }

  private static GrpcOptions compressing(Compression compression) {
    GrpcOptions defaults = GrpcOptions.defaults();
    return new GrpcOptions(
        false, compression, defaults.keepAliveTime(), defaults.keepAliveTimeout(), Duration.ZERO, Duration.ZERO);
  }

  private static @Nullable String encodingOfAnAnswer(ManagedChannel channel) {
    AtomicReference<Metadata> headers = new AtomicReference<>();
    ClientInterceptor capture = MetadataUtils.newCaptureMetadataInterceptor(headers, new AtomicReference<>());
    Tensor row = numbers(4_000);
    ModelInferResponse answer =
        GRPCInferenceServiceGrpc.newBlockingStub(channel).withInterceptors(capture)
            .modelInfer(raw("identity", row).build());
    assertThat(outputs(answer).getFirst().bytes()).isEqualTo(row.bytes());
    return headers.get().get(ENCODING);
  }

  private static Tensor numbers(int bytes) {
    ByteBuffer buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < bytes / Float.BYTES; i++) {
      buffer.putFloat(4 * i, i);
    }
    return new Tensor("x", Datatype.FP32, Shape.of(bytes / Float.BYTES), buffer);
  }
}
