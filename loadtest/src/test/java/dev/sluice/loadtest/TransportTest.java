package dev.sluice.loadtest;

import static dev.sluice.loadtest.OipServer.input;
import static dev.sluice.loadtest.OipServer.model;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.OipServer.Behaviour;
import dev.sluice.loadtest.OipServer.Reply;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.loadtest.report.LoadReport.ErrorCount;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.loadtest.traffic.Traffic;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import io.grpc.Status;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// The generator's HTTP/2 against a real server that does what a server may do.
@Timeout(60)
class TransportTest {
  private static final ModelMetadataResponse MODEL = model("m", input("x", "FP32", -1, 4));
  private static final int LARGE = 300_000;

  @Test
  void requestsLargerThanEveryWindowArriveWhole() throws Exception {
    byte[] content = new byte[LARGE];
    for (int i = 0; i < LARGE; i++) {
      content[i] = (byte) ((i * 31) >> 3);
    }
    ByteString sent = ByteString.copyFrom(content);
    Behaviour checking = (n, request, headers) ->
        request.getRawInputContentsCount() == 1 && request.getRawInputContents(0).equals(sent)
            ? Reply.AT_ONCE
            : Reply.failure(Status.DATA_LOSS.withDescription("not what was sent"));
    byte[] message = ModelInferRequest.newBuilder().setModelName("m").addRawInputContents(sent).build().toByteArray();
    for (int window : new int[] {65_535, 1 << 20}) {
      try (var server = new OipServer(0, MODEL, checking, builder -> builder.initialFlowControlWindow(window))) {
        LoadReport report = run(closedLoop(server, 5, n -> message).withRequestsMax(100));
        assertThat(report.errors()).isEmpty();
        assertThat(report.answered()).isEqualTo(100);
      }
    }
  }

  @Test
  void largeAnswersAreReadWhole() throws Exception {
    String filling = "a".repeat(LARGE);
    try (var server = new OipServer(MODEL, (n, request, headers) ->
        Reply.saying("filling", filling, "sluice_variant", "candidate"))) {
      LoadReport report = run(closedLoop(server, 3, small()).withRequestsMax(60));
      assertThat(requireNonNull(report.variants())).containsEntry("candidate", 60L);
      assertThat(report.failed()).isZero();
    }
  }

  @Test
  void noMoreCallsAreOpenThanTheServerAllows() throws Exception {
    try (var server = new OipServer(
        0, MODEL, (n, request, headers) -> Reply.after(2, TimeUnit.MILLISECONDS),
        builder -> builder.maxConcurrentCallsPerConnection(3))) {
      // Until its settings have come the server's limit is unknown, so calls go out only after them.
      LoadReport report = run(closedLoop(server, 20, small()).withRequestsMax(200));
      assertThat(report.errors()).isEmpty();
      assertThat(report.answered()).isEqualTo(200);
      assertThat(server.openMax()).isEqualTo(3);
    }
  }

  @Test
  void aServerThatAsksToComeAnewLosesNoCall() throws Exception {
    try (var server = new OipServer(
        0, MODEL, (n, request, headers) -> Reply.after(5, TimeUnit.MILLISECONDS),
        builder -> builder.maxConnectionAge(100, TimeUnit.MILLISECONDS))) {
      LoadReport report = run(closedLoop(server, 4, small()).withDuration(Duration.ofSeconds(2)));
      assertThat(report.errors()).isEmpty();
      assertThat(report.answered()).isPositive();
    }
  }

  @Test
  void aServerThatGoesAndComesBackIsFoundAgain() throws Exception {
    var first = new OipServer(MODEL, (n, request, headers) -> Reply.AT_ONCE);
    int port = Integer.parseInt(first.target().substring(first.target().indexOf(':') + 1));
    Set<String> answeredBy = ConcurrentHashMap.newKeySet();
    LoadTestPlan plan = LoadTestPlan
        .of(first.target(), "m", new Load.OpenLoop(new Arrivals.Constant(200), 1000), small())
        .withWarmUp(Duration.ZERO).withDuration(Duration.ofSeconds(4)).withDeadline(Duration.ofSeconds(5));
    var restart = Thread.ofVirtual().start(() -> {
      while (first.seen() < 100) {
        Thread.onSpinWait();
      }
      first.close();
      try (var second = new OipServer(port, MODEL, (n, request, headers) -> {
        answeredBy.add("second");
        return Reply.AT_ONCE;
      })) {
        while (second.seen() < 100) {
          Thread.onSpinWait();
        }
      }
    });
    LoadReport report = run(plan);
    restart.join();
    assertThat(answeredBy).containsExactly("second");
    assertThat(report.errors()).extracting(ErrorCount::code).containsOnly("UNAVAILABLE");
    assertThat(report.answered()).isGreaterThanOrEqualTo(200);
  }

  @Test
  void whatAServerSaysInAFailureIsReadAsItWasMeant() throws Exception {
    String words = "no 100 % + \u00e4\u20ac\n";
    try (var server = new OipServer(MODEL, (n, request, headers) ->
        Reply.failure(Status.FAILED_PRECONDITION.withDescription(words)))) {
      LoadReport report = run(closedLoop(server, 1, small()).withRequestsMax(10));
      assertThat(report.errors()).containsExactly(new ErrorCount("FAILED_PRECONDITION", 10, words));
    }
  }

  private static Traffic small() {
    byte[] message = ModelInferRequest.newBuilder().setModelName("m").build().toByteArray();
    return n -> message;
  }

  private static LoadReport run(LoadTestPlan plan) throws InterruptedException {
    return LoadTest.run(plan, ProgressListener.NONE);
  }

  private static LoadTestPlan closedLoop(OipServer server, int concurrency, Traffic traffic) {
    return LoadTestPlan.of(server.target(), "m", new Load.ClosedLoop(concurrency), traffic)
        .withWarmUp(Duration.ZERO).withDeadline(Duration.ofSeconds(10));
  }
}
