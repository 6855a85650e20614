package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelStreamInferResponse;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Requests and answers on one stream.
class StreamInferTest {

  private static final long FOR_EVER = Long.MAX_VALUE;
  private static final Duration SOON = Duration.ofSeconds(20);

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.loop().writeTo(models, "loop", 1);
    OnnxModels.linear(2, 0, 2).writeTo(models, "linear", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  // --- order ---------------------------------------------------------------------------------------------------------

  @Test
  void answersComeInTheOrderOfTheirRequests() {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    int count = 3 * InferStream.PLACES;
    Talk talk = talk();

    for (int i = 0; i < count; i++) {
      // From a microsecond to some milliseconds: without order, the quick would overtake the slow.
      talk.requests.onNext(loop(random.nextBoolean() ? 0 : random.nextLong(3_000)).toBuilder().setId("r" + i).build());
    }
    talk.requests.onCompleted();

    assertThat(talk.end).as("seed %d", seed).succeedsWithin(SOON).isEqualTo(Status.OK);
    assertThat(talk.answers.stream().map(answer -> answer.getInferResponse().getId()))
        .as("seed %d", seed)
        .containsExactlyElementsOf(IntStream.range(0, count).mapToObj(i -> "r" + i).toList());
  }

  @Test
  void everyAnswerIsTheLastOneOfItsRequest() {
    Talk talk = talk();

    talk.requests.onNext(
        linear(3, 4).toBuilder().putParameters("triton_enable_empty_final_response", flag(true)).build());
    talk.requests.onNext(linear(3, 4, 5));
    talk.requests.onCompleted();

    assertThat(talk.end).succeedsWithin(SOON).isEqualTo(Status.OK);
    assertThat(talk.answers.stream().map(answer -> answer.getInferResponse().getParametersMap().get("triton_final_response")))
        .containsExactly(flag(true), flag(true));
    assertThat(outputs(talk.answers.getFirst().getInferResponse())).containsExactly(floats("y", Shape.of(1, 2), 6, 8));
  }

  @Test
  void aStreamWithoutRequestsEndsAtOnce() {
    Talk talk = talk();

    talk.requests.onCompleted();

    assertThat(talk.end).succeedsWithin(SOON).isEqualTo(Status.OK);
    assertThat(talk.answers).isEmpty();
  }

  // --- errors --------------------------------------------------------------------------------------------------------

  @Test
  void anErrorIsAnAnswerAndTheStreamGoesOn() {
    Talk talk = talk();

    talk.requests.onNext(linear(1, 2));
    talk.requests.onNext(linear(1, 2, 3).toBuilder().setId("bad").build());
    talk.requests.onNext(linear(1, 2).toBuilder().setId("unknown").setModelName("nosuch").build());
    talk.requests.onNext(linear(3, 4));
    talk.requests.onCompleted();

    assertThat(talk.end).succeedsWithin(SOON).isEqualTo(Status.OK);
    assertThat(talk.answers.stream().map(ModelStreamInferResponse::getErrorMessage))
        .satisfiesExactly(
            none -> assertThat(none).isEmpty(),
            bad -> assertThat(bad).startsWith("[request id: bad] unexpected shape for input 'x' for model 'linear'"),
            unknown -> assertThat(unknown).isEqualTo("Request for unknown model: 'nosuch' is not found"),
            none -> assertThat(none).isEmpty());
    assertThat(talk.answers.get(1).getInferResponse().getId()).isEqualTo("bad");
    assertThat(talk.answers.get(2).getInferResponse().getId()).isEqualTo("unknown");
    assertThat(talk.answers.get(2).getInferResponse().getOutputsCount()).isZero();
  }

  @Test
  void aCallerMayHaveTheFirstErrorEndTheStream() {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("triton_grpc_error", Metadata.ASCII_STRING_MARSHALLER), "true");
    Talk talk = talk(headers);

    talk.requests.onNext(linear(1, 2));
    talk.requests.onNext(linear(1, 2, 3));
    talk.requests.onNext(loop(FOR_EVER));

    assertThat(talk.end).succeedsWithin(SOON)
        .satisfies(status -> {
          assertThat(status.getCode()).isEqualTo(Status.Code.INVALID_ARGUMENT);
          assertThat(status.getDescription()).contains("unexpected shape for input 'x'");
        });
    assertThat(talk.answers).hasSize(1);
    nothingIsInFlight();
  }

  @Test
  void garbageEndsItsStreamAndNoOther() {
    Talk other = talk();
    CompletableFuture<Status> end = new CompletableFuture<>();
    ClientCall<byte[], byte[]> call = gateway.inferenceChannel().newCall(bytes(), CallOptions.DEFAULT);
    call.start(
        new ClientCall.Listener<>() {
          @Override
          public void onClose(Status status, Metadata trailers) {
            end.complete(status);
          }
        },
        new Metadata());
    call.request(1);
    call.sendMessage(new byte[] {(byte) 0xff, (byte) 0xff, 1, 2, 3});

    assertThat(end).succeedsWithin(SOON).satisfies(status -> assertThat(status.isOk()).isFalse());
    other.requests.onNext(linear(1, 2));
    other.requests.onCompleted();
    assertThat(other.end).succeedsWithin(SOON).isEqualTo(Status.OK);
    assertThat(other.answers).hasSize(1);
  }

  // --- bounds --------------------------------------------------------------------------------------------------------

  @Test
  void noMoreThanItsPlacesAreInFlight() {
    Talk talk = talk();
    // The first request blocks the order; those behind it are read until the places are taken.
    talk.requests.onNext(loop(FOR_EVER));
    for (int i = 0; i < 10 * InferStream.PLACES; i++) {
      talk.requests.onNext(linear(1, 2));
    }

    await().untilAsserted(() -> assertThat(answered("linear")).isEqualTo(InferStream.PLACES - 1));
    await().during(Duration.ofMillis(300)).untilAsserted(
        () -> assertThat(answered("linear")).isEqualTo(InferStream.PLACES - 1));
    assertThat(talk.answers).isEmpty();
    talk.cancel();
    nothingIsInFlight();
  }

  @Test
  void aCallerThatDoesNotReadIsNotServedOn() {
    // Answers of 1 MB: a few of them fill the connection's window and what gRPC holds.
    Tensor large = floats("x", Shape.of(1 << 17, 2), new float[1 << 18]);
    Talk talk = new Talk(false);
    ClientCalls.asyncBidiStreamingCall(
        gateway.inferenceChannel().newCall(GRPCInferenceServiceGrpc.getModelStreamInferMethod(), CallOptions.DEFAULT),
        talk);
    int sent = 4 * InferStream.PLACES;
    for (int i = 0; i < sent; i++) {
      talk.requests.onNext(raw("linear", large).build());
    }

    await().during(Duration.ofMillis(500)).atMost(SOON).until(() -> answered("linear"), count -> count < InferStream.PLACES + 8);
    talk.requests.request(sent);
    talk.requests.onCompleted();

    assertThat(talk.end).succeedsWithin(SOON).isEqualTo(Status.OK);
    assertThat(talk.answers).hasSize(sent);
  }

  // --- ends ----------------------------------------------------------------------------------------------------------

  @Test
  void aCancelledStreamEndsWhatIsInFlight() {
    Talk talk = talk();
    talk.requests.onNext(loop(FOR_EVER));
    talk.requests.onNext(loop(FOR_EVER));
    await().untilAsserted(() -> assertThat(inFlight()).isPositive());

    talk.cancel();

    nothingIsInFlight();
  }

  @Test
  void theServersEndWaitsForWhatIsInFlightAndEndsTheStream() {
    Talk busy = talk();
    Talk idle = talk();
    idle.requests.onNext(linear(1, 2));
    await().untilAsserted(() -> assertThat(idle.answers).hasSize(1));
    busy.requests.onNext(loop(200_000).toBuilder().setId("last").build());
    await().untilAsserted(() -> assertThat(inFlight()).isPositive());

    gateway.gateway().close();

    for (Talk talk : List.of(busy, idle)) {
      assertThat(talk.end).succeedsWithin(SOON).satisfies(status -> {
        assertThat(status.getCode()).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(status.getDescription())
            .isEqualTo("GRPC server is shutting down and has stopped accepting new requests.");
      });
    }
    assertThat(busy.answers).singleElement()
        .satisfies(answer -> {
          assertThat(answer.getErrorMessage()).isEmpty();
          assertThat(answer.getInferResponse().getId()).isEqualTo("last");
        });
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private Talk talk() {
    return talk(new Metadata());
  }

  private Talk talk(Metadata headers) {
    Talk talk = new Talk(true);
    GRPCInferenceServiceGrpc.newStub(gateway.inferenceChannel())
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
        .modelStreamInfer(talk);
    return talk;
  }

  /// One stream as its client sees it.
  private static final class Talk implements ClientResponseObserver<ModelInferRequest, ModelStreamInferResponse> {
    private final List<ModelStreamInferResponse> answers = new CopyOnWriteArrayList<>();
    private final CompletableFuture<Status> end = new CompletableFuture<>();
    private final boolean reads;

    @SuppressWarnings("NullAway.Init") // before the call begins
    private ClientCallStreamObserver<ModelInferRequest> requests;

    Talk(boolean reads) {
      this.reads = reads;
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<ModelInferRequest> requests) {
      this.requests = requests;
      if (!reads) {
        requests.disableAutoRequestWithInitial(0);
      }
    }

    void cancel() {
      requests.cancel("enough", null);
    }

    @Override
    public void onNext(ModelStreamInferResponse answer) {
      answers.add(answer);
    }

    @Override
    public void onError(Throwable t) {
      end.complete(Status.fromThrowable(t));
    }

    @Override
    public void onCompleted() {
      end.complete(Status.OK);
    }
  }

  private void nothingIsInFlight() {
    await().atMost(SOON).untilAsserted(() -> assertThat(inFlight()).isZero());
  }

  private long inFlight() {
    return gateway.models().listModels(ListModelsRequest.getDefaultInstance()).getVersionsList().stream()
        .mapToLong(ModelVersion::getCallsInFlight).sum();
  }

  private long answered(String model) {
    return gateway.gateway().repository().models().stream()
        .filter(found -> found.name().equals(model))
        .flatMap(found -> found.versions().stream())
        .mapToLong(version -> version.statistics().snapshot().request().count())
        .sum();
  }

  private static ModelInferRequest linear(float... row) {
    return raw("linear", floats("x", Shape.of(1, row.length), row)).build();
  }

  private static ModelInferRequest loop(long trips) {
    return raw("loop", longs("trips", Shape.of(), trips), floats("x", Shape.of(1), 0)).build();
  }

  private static InferParameter flag(boolean value) {
    return InferParameter.newBuilder().setBoolParam(value).build();
  }

  private static MethodDescriptor<byte[], byte[]> bytes() {
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
            } catch (java.io.IOException e) {
              throw new java.io.UncheckedIOException(e);
            }
          }
        };
    return MethodDescriptor.newBuilder(asTheyAre, asTheyAre)
        .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
        .setFullMethodName(GRPCInferenceServiceGrpc.getModelStreamInferMethod().getFullMethodName())
        .build();
  }
}
