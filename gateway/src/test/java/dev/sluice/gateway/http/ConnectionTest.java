package dev.sluice.gateway.http;

import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.RestTensors;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Connections as callers keep, share, break and leave them.
class ConnectionTest {

  private static final long FOR_EVER = Long.MAX_VALUE;

  private final TamperedRuntime runtime = new TamperedRuntime();

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.loop().writeTo(models, "loop", 1);
    OnnxModels.linear(2, 0, 2).writeTo(models, "linear", 2);
    gateway = RunningGateway.start(models, folder.resolve("data"), runtime);
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  // --- kept connections -----------------------------------------------------------------------------------------------

  @Test
  void aConnectionIsKeptOverAnswersAndRefusals() throws Exception {
    try (Wire wire = new Wire()) {
      for (int i = 0; i < 50; i++) {
        wire.send(post("linear", linear(i)));
        assertThat(wire.answer()).startsWith("HTTP/1.1 200").endsWith("\"data\":[%s,0.0]}]}".formatted(2f * i));
        wire.send(post("linear", "{\"inputs\":7}"));
        assertThat(wire.answer()).startsWith("HTTP/1.1 400").endsWith("{\"error\":\"inputs: 7 is not an array\"}");
        wire.send("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
        assertThat(wire.answer()).startsWith("HTTP/1.1 404").endsWith("{\"error\":\"Not Found\"}");
      }
    }
  }

  @Test
  void requestsThatFollowAtOnceAreAnsweredInTheirOrder() throws Exception {
    try (Wire wire = new Wire()) {
      StringBuilder all = new StringBuilder();
      for (int i = 0; i < 20; i++) {
        all.append(post("linear", linear(i)));
      }
      wire.send(all.toString());
      for (int i = 0; i < 20; i++) {
        assertThat(wire.answer()).endsWith("\"data\":[%s,0.0]}]}".formatted(2f * i));
      }
    }
  }

  /// The next request's bytes come where the end of the stream is waited for.
  @Test
  void aRequestThatComesWhileTheModelRunsIsAnsweredAfterIt() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    hold(running, goOn);
    try (Wire wire = new Wire()) {
      wire.send(post("linear", linear(1)));
      assertThat(running.await(30, TimeUnit.SECONDS)).isTrue();
      String next = post("linear", linear(2)) + post("linear", linear(3));
      wire.send(next.substring(0, 10));
      wire.send(next.substring(10, 700));
      runtime.leaveAlone(2);
      goOn.countDown();
      wire.send(next.substring(700));
      for (int i = 1; i <= 3; i++) {
        assertThat(wire.answer()).endsWith("\"data\":[%s,0.0]}]}".formatted(2f * i));
      }
    }
  }

  // --- callers that leave ---------------------------------------------------------------------------------------------

  @Test
  void aCallerThatLeavesEndsItsRun() throws Exception {
    Wire wire = new Wire();
    wire.send(post("loop", loop(FOR_EVER)));
    await().untilAsserted(() -> assertThat(callsInFlight()).isOne());

    wire.close();

    await().untilAsserted(() -> assertThat(callsInFlight()).isZero());
    await()
        .untilAsserted(
            () ->
                assertThat(gateway.gateway().metrics().scrape())
                    .contains("sluice_requests_total{code=\"CANCELLED\",model=\"loop\""));
    theServerAnswers();
  }

  @Test
  void aCallerThatStaysIsNotTakenForOneThatLeft() throws Exception {
    try (Wire wire = new Wire()) {
      for (int i = 0; i < 3; i++) {
        CountDownLatch now = new CountDownLatch(1);
        CountDownLatch on = new CountDownLatch(1);
        hold(now, on);
        wire.send(post("linear", linear(i)));
        assertThat(now.await(30, TimeUnit.SECONDS)).isTrue();
        on.countDown();
        assertThat(wire.answer()).startsWith("HTTP/1.1 200");
      }
    }
  }

  @Test
  void aCallerThatLeavesInTheMiddleOfItsBodyHarmsNobody() throws Exception {
    for (int length : List.of(0, 1, 50, 5000)) {
      try (Wire wire = new Wire()) {
        wire.send("POST /v2/models/linear/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n" + " ".repeat(length));
      }
    }
    theServerAnswers();
  }

  // --- nonsense -------------------------------------------------------------------------------------------------------

  @Test
  void whatIsNoHttpIsRefusedInTheProtocolsForm() throws Exception {
    assertRefused("hello\r\n\r\n", "HTTP/1.1 400", "{\"error\":");
    assertRefused("GET /v2 HTTP/9.9\r\nHost: h\r\n\r\n", "HTTP/1.1 ", "{\"error\":");
    assertRefused("GET /v2 HTTP/1.1\r\nHost: h\r\nX: " + "x".repeat(20_000) + "\r\n\r\n", "HTTP/1.1 431", "{\"error\":");
    assertRefused("GET /v2 HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 400", "{\"error\":");
    assertRefused(
        "POST /v2/models/linear/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 400", "{\"error\":");
    assertRefused("GET /v2/models/%zz HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400", "{\"error\":");
    theServerAnswers();
  }

  private void assertRefused(String request, String status, String body) throws IOException {
    try (Wire wire = new Wire()) {
      wire.send(request);
      assertThat(wire.answer()).as(request.substring(0, Math.min(40, request.length()))).startsWith(status).contains(body);
    }
  }

  /// Before its bytes come: the caller asked whether it may send them.
  @Test
  void aBodyThatIsAnnouncedTooLargeIsRefusedUnseen() throws Exception {
    try (Wire wire = new Wire()) {
      wire.send(
          "POST /v2/models/linear/infer HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n");
      assertThat(wire.answer()).startsWith("HTTP/1.1 413").contains("Connection: close", "the largest message");
    }
  }

  // --- the end --------------------------------------------------------------------------------------------------------

  @Test
  void aDrainLetsTheRequestInFlightFinishAndBeginsNoOther() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    hold(running, goOn);
    try (Wire asking = new Wire();
        Wire other = new Wire()) {
      other.send("GET /v2/health/ready HTTP/1.1\r\nHost: h\r\n\r\n");
      assertThat(other.answer()).startsWith("HTTP/1.1 200");
      asking.send(post("linear", linear(1)));
      assertThat(running.await(30, TimeUnit.SECONDS)).isTrue();

      CompletableFuture<Void> closed = CompletableFuture.runAsync(gateway.gateway()::close);
      other.send("GET /v2/health/ready HTTP/1.1\r\nHost: h\r\n\r\n");
      String refused = other.answer();
      while (!refused.contains("Connection: close")) { // asked before the end began for connections
        other.send("GET /v2/health/ready HTTP/1.1\r\nHost: h\r\n\r\n");
        refused = other.answer();
      }
      assertThat(refused).startsWith("HTTP/1.1 503").contains("shutting down", "Connection: close");
      assertThat(closed).isNotDone();

      goOn.countDown();
      assertThat(asking.answer()).startsWith("HTTP/1.1 200").endsWith("\"data\":[2.0,0.0]}]}");
      closed.get(30, TimeUnit.SECONDS);
    }
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  /// From now on, runs of `linear` wait.
  private void hold(CountDownLatch running, CountDownLatch goOn) {
    runtime.tamper(
        2,
        (real, inputs, outputs, control) -> {
          running.countDown();
          awaitUninterruptibly(goOn);
          return real.run(inputs, outputs, RunControl.create());
        });
  }

  private static void awaitUninterruptibly(CountDownLatch latch) {
    try {
      if (!latch.await(30, TimeUnit.SECONDS)) {
        throw new AssertionError("held for too long");
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private void theServerAnswers() {
    assertThat(
            RestTensors.outputs(
                RestTensors.inferJson(
                    gateway.rest(), "loop", List.of(longs("trips", Shape.of(), 3), floats("x", Shape.of(1), 0)), List.of())))
        .containsExactly(floats("y", Shape.of(1), 3));
  }

  private long callsInFlight() {
    return gateway.models().listModels(ListModelsRequest.newBuilder().setModel("loop").build()).getVersionsList()
        .stream().mapToLong(ModelVersion::getCallsInFlight).sum();
  }

  private static String linear(int x) {
    return "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[%d,0]}]}".formatted(x);
  }

  private static String loop(long trips) {
    return """
        {"inputs":[{"name":"trips","shape":[],"datatype":"INT64","data":[%d]},
                   {"name":"x","shape":[1],"datatype":"FP32","data":[0]}]}"""
        .formatted(trips);
  }

  private static String post(String model, String body) {
    return "POST /v2/models/%s/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%s\r\n%s"
        .formatted(model, body.length(), "X-Padding: " + "x".repeat(200) + "\r\n", body);
  }

  /// A socket, and what comes over it.
  private final class Wire implements AutoCloseable {
    private final Socket socket;

    Wire() throws IOException {
      socket = new Socket(InetAddress.getLoopbackAddress(), gateway.gateway().httpPort());
      socket.setSoTimeout(30_000);
      socket.setTcpNoDelay(true);
    }

    void send(String bytes) throws IOException {
      socket.getOutputStream().write(bytes.getBytes(ISO_8859_1));
      socket.getOutputStream().flush();
    }

    /// One response: its head and its body.
    String answer() throws IOException {
      InputStream in = socket.getInputStream();
      ByteArrayOutputStream head = new ByteArrayOutputStream();
      while (!head.toString(ISO_8859_1).endsWith("\r\n\r\n")) {
        int next = in.read();
        if (next < 0) {
          throw new AssertionError("the connection ended after: " + head.toString(ISO_8859_1));
        }
        head.write(next);
      }
      String text = head.toString(ISO_8859_1);
      int length =
          text.lines()
              .filter(line -> line.regionMatches(true, 0, "Content-Length:", 0, 15))
              .mapToInt(line -> Integer.parseInt(line.substring(15).strip()))
              .findFirst()
              .orElse(0);
      return text + new String(in.readNBytes(length), ISO_8859_1);
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }
}
