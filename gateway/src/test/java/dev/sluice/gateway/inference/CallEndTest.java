package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.common.util.concurrent.ListenableFuture;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.Listeners;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.stub.MetadataUtils;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Calls that end before the model does, and calls that are too large to begin.
class CallEndTest {

  private static final long FOR_EVER = Long.MAX_VALUE;
  private static final int MESSAGE_BYTES_MAX = 1 << 20;

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.loop().writeTo(models, "loop", 1);
    OnnxModels.linear(2, 0, 2).writeTo(models, "linear", 1);
    gateway =
        RunningGateway.start(
            GatewayConfig.onFreePorts(models, folder.resolve("data"))
                .with(
                    new Listeners(
                        "127.0.0.1", "127.0.0.1", 0, 0, 0, 0, MESSAGE_BYTES_MAX, Duration.ofSeconds(5))));
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  @Test
  void aDeadlineEndsTheCallAndTheRun() {
    // By the server's clock alone: a client that knew of its deadline would end the call itself at the same moment.
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("grpc-timeout", Metadata.ASCII_STRING_MARSHALLER), "300m");

    Refusal refusal =
        Refusal.of(
            () ->
                gateway.inference()
                    .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
                    .modelInfer(loop(FOR_EVER)));

    // gRPC for Java resets the stream then, and leaves the word for it to the client.
    assertThat(refusal.code()).isIn(Status.Code.CANCELLED, Status.Code.DEADLINE_EXCEEDED);
    theServerIsAsBefore("DEADLINE_EXCEEDED");
  }

  @Test
  void aDeadlineThatHasPassedNeverReachesAModel() {
    Refusal refusal =
        Refusal.of(() -> gateway.inference().withDeadlineAfter(-1, TimeUnit.SECONDS).modelInfer(loop(FOR_EVER)));

    assertThat(refusal.code()).isEqualTo(Status.Code.DEADLINE_EXCEEDED);
    assertThat(callsInFlight()).isZero();
  }

  @Test
  void aCancelledCallLeavesNoTrace() {
    ListenableFuture<ModelInferResponse> call =
        GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel()).modelInfer(loop(FOR_EVER));
    await().untilAsserted(() -> assertThat(callsInFlight()).isOne());

    call.cancel(true);

    theServerIsAsBefore("CANCELLED");
  }

  @Test
  void aConnectionThatGoesTakesItsCallsAlong() {
    ListenableFuture<ModelInferResponse> call =
        GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel()).modelInfer(loop(FOR_EVER));
    await().untilAsserted(() -> assertThat(callsInFlight()).isOne());

    gateway.inferenceChannel().shutdownNow();

    await().untilAsserted(() -> assertThat(callsInFlight()).isZero());
    await().untilAsserted(() -> assertThat(call).isDone());
  }

  @Test
  void aRequestBeyondTheMessageLimitIsRefusedAndTheConnectionLives() {
    float[] numbers = new float[MESSAGE_BYTES_MAX / Float.BYTES];
    ModelInferRequest request = raw("linear", floats("x", Shape.of(numbers.length / 2, 2), numbers)).build();

    Refusal refusal = Refusal.of(() -> gateway.inference().modelInfer(request));

    assertThat(refusal.code()).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
    assertThat(refusal.message()).contains("message exceeds maximum size 1048576");
    theServerAnswers();
  }

  @Test
  void whatACompressedRequestUnfoldsToIsBoundedToo() {
    ModelInferRequest zeros = raw("linear", floats("x", Shape.of(1 << 20, 2), new float[1 << 21])).build();

    Refusal refusal = Refusal.of(() -> gateway.inference().withCompression("gzip").modelInfer(zeros));

    assertThat(refusal.code()).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
    assertThat(refusal.message()).contains("exceeds maximum size 1048576");
    theServerAnswers();
  }

  private void theServerIsAsBefore(String code) {
    await().untilAsserted(() -> assertThat(callsInFlight()).isZero());
    await()
        .untilAsserted(
            () ->
                assertThat(gateway.gateway().metrics().scrape().lines())
                    .contains(
                        "sluice_requests_total{code=\"%s\",model=\"loop\",segment=\"\",variant=\"\",version=\"1\"} 1.0"
                            .formatted(code)));
    theServerAnswers();
  }

  private void theServerAnswers() {
    assertThat(outputs(gateway.inference().modelInfer(raw("linear", floats("x", Shape.of(1, 2), 3, 4)).build())))
        .containsExactly(floats("y", Shape.of(1, 2), 6, 8));
    assertThat(outputs(gateway.inference().modelInfer(loop(3)))).containsExactly(floats("y", Shape.of(1), 3));
  }

  private long callsInFlight() {
    return gateway.models().listModels(ListModelsRequest.newBuilder().setModel("loop").build()).getVersionsList()
        .stream().mapToLong(ModelVersion::getCallsInFlight).sum();
  }

  /// The model is fast when it is warmed and as slow as its caller likes afterwards.
  private static ModelInferRequest loop(long trips) {
    return raw("loop", longs("trips", Shape.of(), trips), floats("x", Shape.of(1), 0)).build();
  }
}
