package dev.sluice.gateway.rpc;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.Listeners;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RawHttp2;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Callers who fill the memory, by ill will or bad luck, and others beside them who only want their answers.
@Timeout(120)
class MessageBudgetTest {

  private static final int MEGABYTE = 1 << 20;
  private static final long BUDGET = 16L * MEGABYTE;
  private static final int COLUMNS = 37_500; // 150 kB

  private static final ModelInferRequest WIDE =
      ModelInferRequest.newBuilder()
          .setModelName("wide")
          .addInputs(InferInputTensor.newBuilder().setName("x").setDatatype("FP32").addShape(1).addShape(COLUMNS))
          .addRawInputContents(ByteString.copyFrom(new byte[4 * COLUMNS]))
          .build();

  @TempDir private Path folder;

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  private final AtomicBoolean over = new AtomicBoolean();
  private final AtomicLong mostTaken = new AtomicLong();
  private final AtomicLong answered = new AtomicLong();
  private final List<Throwable> troubles = new CopyOnWriteArrayList<>();

  @BeforeEach
  void start() throws Exception {
    Path models = folder.resolve("models");
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, COLUMNS).writeTo(models, "wide", 1);
    gateway =
        RunningGateway.start(
            GatewayConfig.onFreePorts(models, folder.resolve("data"))
                .with(
                    new Listeners(
                        "127.0.0.1", "127.0.0.1", 0, 0, 0, 0, 64 * MEGABYTE, BUDGET, Duration.ofSeconds(5), null)));
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  /// Small calls and such of 150 kB, none of which may fail.
  private void callInPeace() {
    while (!over.get()) {
      try {
        assertThat(Calls.y(gateway.inference().modelInfer(Calls.of(3).build()))).isEqualTo(7);
        assertThat(gateway.inference().modelInfer(WIDE).getOutputsCount()).isOne();
        answered.addAndGet(2);
        mostTaken.accumulateAndGet((long) gateway.metric("sluice_bytes_in_flight_bytes"), Math::max);
      } catch (RuntimeException | AssertionError e) {
        troubles.add(e);
        return;
      }
    }
  }

  private double refused() {
    return gateway.metric("sluice_requests_refused_total{code=\"TOO_MANY_BYTES\"}");
  }

  private interface Attack {
    void run(RawHttp2 client) throws Exception;
  }

  private void attack(int clients, Attack attack) throws Exception {
    Thread good = Thread.ofPlatform().start(this::callInPeace);
    List<RawHttp2> attackers = new ArrayList<>();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < clients; i++) {
      RawHttp2 client = new RawHttp2(gateway.gateway().grpcPort());
      attackers.add(client);
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    try {
                      attack.run(client);
                    } catch (Exception e) {
                      if (!client.isClosed()) {
                        troubles.add(e);
                      }
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join(Duration.ofSeconds(20));
    }
    long before = answered.get();
    await().until(() -> answered.get() > before + 20 || !troubles.isEmpty());
    over.set(true);
    good.join();
    System.out.printf(
        "FIGURE message budget: %d answered meanwhile, %.0f refused, at most %d bytes of %d%n",
        answered.get(), refused(), mostTaken.get(), BUDGET);
    for (RawHttp2 client : attackers) {
      client.close();
    }
    assertThat(troubles).isEmpty();
    assertThat(mostTaken.get()).isLessThanOrEqualTo(BUDGET + MEGABYTE);
    await().until(() -> gateway.metric("sluice_bytes_in_flight_bytes") == 0);
    assertThat(Calls.y(gateway.inference().modelInfer(Calls.of(3).build()))).isEqualTo(7);
  }

  @Test
  void largeMessagesThatNeverEndAreRefusedAndOthersAreServed() throws Exception {
    byte[] part = new byte[MEGABYTE];
    attack(
        12,
        client -> {
          int stream = client.begin("ModelInfer");
          boolean open = client.send(stream, RawHttp2.prefix(60 * MEGABYTE), 5, false);
          for (int i = 0; i < 5 && open; i++) {
            open = client.send(stream, part, 16_384, false);
          }
        });
    assertThat(refused()).isGreaterThanOrEqualTo(9);
  }

  @Test
  void aMessageInSingleBytesCostsWhatItsPiecesDo() throws Exception {
    attack(
        4,
        client -> {
          int stream = client.begin("ModelInfer");
          client.send(stream, RawHttp2.prefix(60 * MEGABYTE), 5, false);
          client.send(stream, new byte[100_000], 1, false);
        });
    assertThat(refused()).isPositive();
  }

  @Test
  void aCompressedMessageCountsAsWhatItUnfoldsTo() throws Exception {
    ModelInferRequest zeros =
        WIDE.toBuilder().setRawInputContents(0, ByteString.copyFrom(new byte[14 * MEGABYTE])).build();
    Refusal alone = Refusal.of(() -> call(zeros));
    assertThat(alone.code()).as("its only fault is its shape").isEqualTo(Status.Code.INVALID_ARGUMENT);
    try (RawHttp2 other = new RawHttp2(gateway.gateway().grpcPort())) {
      int stream = other.begin("ModelInfer");
      other.send(stream, RawHttp2.prefix(60 * MEGABYTE), 5, false);
      other.send(stream, new byte[5 * MEGABYTE], 16_384, false);
      await().until(() -> gateway.metric("sluice_bytes_in_flight_bytes") > 5 * MEGABYTE);
      Refusal beside = Refusal.of(() -> call(zeros));
      assertThat(beside.reason()).isEqualTo("TOO_MANY_BYTES");
      assertThat(refused()).isOne();
    }
    await().until(() -> gateway.metric("sluice_bytes_in_flight_bytes") == 0);
  }

  private void call(ModelInferRequest request) {
    var _ = gateway.inference().withCompression("gzip").modelInfer(request);
  }

  @Test
  void whoDoesNotReadItsAnswersGetsNoMoreOfThem() throws Exception {
    byte[] message = WIDE.toByteArray();
    attack(
        2,
        client -> {
          for (int i = 0; i < 100; i++) {
            int stream = client.begin("ModelInfer");
            client.send(stream, RawHttp2.prefix(message.length), 5, false);
            client.send(stream, message, 16_384, true);
          }
        });
    assertThat(refused()).isPositive();
  }
}
