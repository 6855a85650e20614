package dev.sluice.gateway.rpc;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.common.util.concurrent.ListenableFuture;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RawHttp2;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Callers who ask for what they do not wait for, over real connections, and one beside them who waits for each answer. Those who
/// fill the memory are in `MessageBudgetTest`.
@Timeout(120)
class UnkindClientsTest {

  private static final String SLOW = "slow";

  /// Some milliseconds a run.
  private static final long TRIPS = 12_000;

  private static final ModelInferRequest SLOW_CALL = Calls.of(3).setModelName(SLOW).build();

  @TempDir private Path folder;

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  private final AtomicBoolean over = new AtomicBoolean();
  private final AtomicLong answered = new AtomicLong();
  private final List<Throwable> troubles = new CopyOnWriteArrayList<>();

  @SuppressWarnings("NullAway.Init") // before each test
  private Thread good;

  @BeforeEach
  void start() throws Exception {
    Path models = folder.resolve("models");
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.slowLinear(2, 1, 1, TRIPS).writeTo(models, SLOW, 1);
    Files.writeString(models.resolve("slow/config.pbtxt"), "instance_group { kind: KIND_CPU count: 1 }\n");
    gateway = RunningGateway.start(models, folder.resolve("data"));
    good = Thread.ofPlatform().start(this::callInPeace);
  }

  private void callInPeace() {
    while (!over.get()) {
      try {
        assertThat(Calls.y(gateway.inference().withDeadlineAfter(20, TimeUnit.SECONDS).modelInfer(Calls.of(3).build())))
            .isEqualTo(7);
        answered.incrementAndGet();
      } catch (RuntimeException | AssertionError e) {
        troubles.add(e);
        return;
      }
    }
  }

  /// Whoever was served before is served on, nothing is left of the others, and the model that they asked for has time again.
  @AfterEach
  void theGoodCallerWasServedAndNothingIsLeft() throws Exception {
    try {
      long before = answered.get();
      await().until(() -> answered.get() > before + 100 || !troubles.isEmpty());
      over.set(true);
      good.join();
      assertThat(troubles).isEmpty();
      await()
          .untilAsserted(
              () -> {
                assertThat(slow().statistics().snapshot().pendingRequests()).isZero();
                assertThat(slow().callsInFlight()).isZero();
              });
      assertThat(gateway.metric("sluice_bytes_in_flight_bytes")).isZero();
      assertThat(Calls.y(gateway.inference().withDeadlineAfter(20, TimeUnit.SECONDS).modelInfer(SLOW_CALL))).isEqualTo(7);
    } finally {
      over.set(true);
      gateway.close();
    }
  }

  private ModelVersion slow() {
    try {
      return gateway.gateway().routes().find(SLOW, "1").version();
    } catch (InferenceFailure e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aFloodOfCallsThatAreAllCancelledIsNotRun() throws Exception {
    int calls = 3_000;
    long runsBefore = slow().statistics().snapshot().executionCount();
    byte[] message = SLOW_CALL.toByteArray();
    try (RawHttp2 client = new RawHttp2(gateway.gateway().grpcPort())) {
      for (int i = 0; i < calls && !client.isClosed(); i++) {
        int stream = client.begin("ModelInfer");
        client.send(stream, RawHttp2.prefix(message.length), 5, false);
        client.send(stream, message, 16_384, true);
        client.reset(stream);
      }
      await().until(() -> slow().callsInFlight() == 0);
    }
    long runs = slow().statistics().snapshot().executionCount() - runsBefore;
    System.out.printf("FIGURE unkind: %d calls cancelled at once, %d of them run%n", calls, runs);
    assertThat(runs).as("runs for callers who had gone").isLessThan(calls / 4);
  }

  @Test
  void deadlinesOfAMillisecondFromManyCallersAreToldApartQuickly() throws Exception {
    for (int i = 0; i < 20; i++) {
      var _ = gateway.inference().modelInfer(SLOW_CALL); // its pace becomes known
    }
    var stub = GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel());
    List<ListenableFuture<ModelInferResponse>> calls = new ArrayList<>();
    for (int i = 0; i < 5_000; i++) {
      calls.add(stub.withDeadlineAfter(1, TimeUnit.MILLISECONDS).modelInfer(SLOW_CALL));
    }
    Map<Status.Code, Integer> ends = new EnumMap<>(Status.Code.class);
    for (ListenableFuture<ModelInferResponse> call : calls) {
      Status.Code code;
      try {
        var _ = call.get();
        code = Status.Code.OK;
      } catch (ExecutionException e) {
        code = Status.fromThrowable(e.getCause()).getCode();
      }
      ends.merge(code, 1, Integer::sum);
    }
    System.out.printf("FIGURE unkind: deadlines of 1 ms end with %s%n", ends);
    assertThat(ends.keySet()).isSubsetOf(Status.Code.DEADLINE_EXCEEDED, Status.Code.UNAVAILABLE, Status.Code.OK);
    assertThat(ends).containsKey(Status.Code.DEADLINE_EXCEEDED);
  }

  @Test
  void aConnectionHasOnlySoManyCallsAtOnce() throws Exception {
    try (RawHttp2 client = new RawHttp2(gateway.gateway().grpcPort())) {
      int streams = 0;
      while (streams < 4_000 && !client.isClosed()) {
        client.begin("ModelInfer");
        streams++;
      }
      // All beyond those that may be open are ended, or the connection is.
      int opened = streams;
      await().until(() -> client.isClosed() || opened - client.endedCalls() <= 1_024);
      System.out.printf(
          "FIGURE unkind: of %d streams of one connection %d were refused%s%n",
          streams, client.endedCalls(), client.isClosed() ? ", then the connection" : "");
    }
  }

  @Test
  void aRequestThatComesByteByByteIsAnswered() throws Exception {
    byte[] message = SLOW_CALL.toByteArray();
    long before = slow().statistics().snapshot().executionCount();
    try (RawHttp2 client = new RawHttp2(gateway.gateway().grpcPort())) {
      List<Integer> streams = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        int stream = client.begin("ModelInfer");
        client.send(stream, RawHttp2.prefix(message.length), 1, false);
        client.send(stream, message, 1, true);
        streams.add(stream);
      }
      await().until(() -> streams.stream().noneMatch(stream -> client.end(stream).isEmpty()));
    }
    assertThat(slow().statistics().snapshot().executionCount() - before).isEqualTo(20);
  }
}
