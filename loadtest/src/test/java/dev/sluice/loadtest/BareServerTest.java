package dev.sluice.loadtest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.loadtest.client.CallObserver;
import dev.sluice.loadtest.client.CallSettings;
import dev.sluice.loadtest.client.Figures;
import dev.sluice.loadtest.client.LoadRun;
import dev.sluice.loadtest.client.Window;
import dev.sluice.loadtest.server.BareServer;
import dev.sluice.loadtest.traffic.Callers;
import dev.sluice.loadtest.traffic.ModelTraffic;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class BareServerTest {
  private static final byte[] REQUEST = ModelInferRequest.newBuilder()
      .setModelName("m").setId("7").addRawInputContents(com.google.protobuf.ByteString.copyFrom(new byte[200_000]))
      .build().toByteArray();

  @Test
  void bytesAreAnsweredByReadyBytes() throws Exception {
    try (BareServer server = BareServer.raw(3)) {
      ModelInferResponse answer = oneAnswer(server);
      assertThat(answer.getRawOutputContents(0).size()).isEqualTo(12);
      assertThat(answer.getOutputs(0).getShapeList()).containsExactly(1L, 3L);
    }
  }

  @Test
  void messagesAreParsedAndBuilt() throws Exception {
    try (BareServer server = BareServer.protobuf(2)) {
      ModelInferResponse answer = oneAnswer(server);
      assertThat(answer.getModelName()).isEqualTo("m");
      assertThat(answer.getId()).isEqualTo("7");
      assertThat(answer.getRawOutputContents(0).size()).isEqualTo(8);
    }
  }

  private static ModelInferResponse oneAnswer(BareServer server) throws Exception {
    var first = new AtomicReference<byte @Nullable []>();
    CallObserver keep = (_, _, response, _) -> first.compareAndSet(null, response);
    var settings = new CallSettings(new ModelTraffic(List.of(REQUEST), Callers.ANONYMOUS), keep, Duration.ofSeconds(5));
    try (LoadRun run = LoadRun.open("127.0.0.1:" + server.port(), 1, settings)) {
      long now = System.nanoTime();
      run.beginClosedLoop(new Window(now, now, now + Duration.ofSeconds(60).toNanos(), 5), 2);
      assertThat(run.awaitEnd(Duration.ofSeconds(10))).isTrue();
      Figures figures = run.figures();
      assertThat(figures.answered()).isEqualTo(5);
    }
    byte[] bytes = first.get();
    assertThat(bytes).isNotNull();
    return ModelInferResponse.parseFrom(bytes);
  }
}
