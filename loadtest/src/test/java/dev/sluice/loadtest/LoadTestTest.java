package dev.sluice.loadtest;

import static dev.sluice.loadtest.OipServer.input;
import static dev.sluice.loadtest.OipServer.model;
import static java.util.Comparator.comparing;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.OipServer.Behaviour;
import dev.sluice.loadtest.OipServer.Reply;
import dev.sluice.loadtest.client.TargetException;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.loadtest.report.LoadReport.ErrorCount;
import dev.sluice.loadtest.report.Percentiles;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.loadtest.traffic.Callers;
import dev.sluice.loadtest.traffic.Keys;
import dev.sluice.loadtest.traffic.ModelTraffic;
import dev.sluice.loadtest.traffic.RequestForm;
import dev.sluice.loadtest.traffic.SegmentMix;
import dev.sluice.loadtest.traffic.Traffic;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataResponse;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// The generator against a real server on the loopback.
@Timeout(60)
class LoadTestTest {
  private static final ModelMetadataResponse MODEL = model("m", input("x", "FP32", -1, 4));
  private static final Traffic TRAFFIC = traffic(Callers.ANONYMOUS);

  /// A busy machine may take its time; only what a test is about may fail it.
  private static final Duration PATIENT = Duration.ofSeconds(10);

  private static final double SECOND_MICROS = 1e6;

  @Test
  void aStallOfTheServerIsFeltByEveryRequestPlannedMeanwhile() throws Exception {
    var progress = new ArrayList<ProgressListener.Progress>();
    try (var server = new OipServer(MODEL, stallOnce(100))) {
      LoadTestPlan plan = openLoop(server, new Arrivals.Constant(200), 10_000).withDuration(Duration.ofSeconds(3));
      LoadReport report = LoadTest.run(plan, progress::add);

      assertThat(progress).hasSizeBetween(2, 3).isSortedAccordingTo(comparing(ProgressListener.Progress::elapsed));
      assertThat(report.answered()).isEqualTo(600);
      Percentiles latency = requireNonNull(report.latencyMicros());
      // 200 of the 600 requests were due in the stall: they waited for 1 s, 0.995 s, ... and the last one not at all.
      assertThat(latency.max()).isBetween(0.99 * SECOND_MICROS, 2.5 * SECOND_MICROS);
      assertThat(latency.p99()).isGreaterThan(0.95 * SECOND_MICROS);
      assertThat(latency.p90()).isGreaterThan(0.6 * SECOND_MICROS);
      assertThat(latency.p50()).isLessThan(0.1 * SECOND_MICROS);
    }
  }

  @Test
  void aClosedLoopSendsLessInAStallAndThereforeHidesIt() throws Exception {
    try (var server = new OipServer(MODEL, stallOnce(100))) {
      LoadReport report = run(closedLoop(server, 1)
          .withDuration(Duration.ofSeconds(3)));

      Percentiles latency = requireNonNull(report.latencyMicros());
      assertThat(latency.max()).isGreaterThan(0.99 * SECOND_MICROS);
      assertThat(latency.p99()).as("one slow call among %d", report.answered()).isLessThan(0.1 * SECOND_MICROS);
    }
  }

  @Test
  void theGeneratorsOwnDelayIsInTheLatencyAndIsReported() throws Exception {
    try (var server = new OipServer(MODEL, always(Reply.AT_ONCE))) {
      LoadReport report = run(openLoop(server, new Arrivals.Constant(500), 10_000)
          .withDuration(Duration.ofSeconds(1))
          .withObserver((n, status, response, latencyNanos) -> {
            if (n == 100) {
              spin(300);
            }
          }));

      assertThat(report.answered()).isEqualTo(500);
      assertThat(requireNonNull(report.latenessMicros()).max()).isGreaterThan(250_000);
      assertThat(requireNonNull(report.latencyMicros()).p90()).isGreaterThan(50_000);
      // The server had no part in it.
      assertThat(requireNonNull(report.serviceMicros()).p50()).isLessThan(50_000);
      assertThat(report.doubts()).anyMatch(doubt -> doubt.contains("the generator itself was late"));
    }
  }

  @Test
  void aClosedLoopKeepsExactlyThatManyCallsInFlight() throws Exception {
    try (var server = new OipServer(MODEL, always(Reply.after(5, TimeUnit.MILLISECONDS)))) {
      LoadReport report = run(closedLoop(server, 7).withConnections(3).withDuration(Duration.ofSeconds(1)));

      assertThat(server.openMax()).isEqualTo(7);
      // Little's law: calls in flight = rate x time in the server.
      double inFlight = report.answeredPerSecond() * requireNonNull(report.latencyMicros()).mean() / SECOND_MICROS;
      assertThat(inFlight).isCloseTo(7, within(0.5));
    }
  }

  @Test
  void whatWouldExceedTheInFlightBoundIsCountedAsNotSent() throws Exception {
    try (var server = new OipServer(MODEL, always(Reply.after(200, TimeUnit.MILLISECONDS)))) {
      LoadReport report = run(openLoop(server, new Arrivals.Constant(100), 5).withDuration(Duration.ofSeconds(1)));

      assertThat(server.openMax()).isEqualTo(5);
      assertThat(report.sent() + report.notSent()).isEqualTo(100);
      assertThat(report.sent()).isBetween(20L, 30L);
      assertThat(report.answered()).isEqualTo(report.sent());
      assertThat(report.doubts())
          .anyMatch(doubt -> doubt.contains(report.notSent() + " requests were due and not sent"));
    }
  }

  @Test
  void theWarmUpIsSentAndLeftOutOfTheFigures() throws Exception {
    Behaviour slowStart = (n, request, headers) -> n < 100 ? Reply.after(300, TimeUnit.MILLISECONDS) : Reply.AT_ONCE;
    try (var server = new OipServer(MODEL, slowStart)) {
      LoadReport report = run(openLoop(server, new Arrivals.Constant(200), 10_000)
          .withWarmUp(Duration.ofSeconds(1)).withDuration(Duration.ofSeconds(1)));

      assertThat(server.seen()).isEqualTo(400);
      assertThat(report.sent()).isEqualTo(200);
      assertThat(report.answered()).isEqualTo(200);
      assertThat(requireNonNull(report.latencyMicros()).count()).isEqualTo(200);
      assertThat(requireNonNull(report.latencyMicros()).p90()).isLessThan(290_000);
      assertThat(report.measuredSeconds()).isCloseTo(1, within(0.2));
    }
  }

  @Test
  void failuresAreCountedByStatusWithTheFirstMessageOfEach() throws Exception {
    Behaviour mixed = (n, request, headers) -> switch ((int) (n % 10)) {
      case 0 -> Reply.failure(Status.UNAVAILABLE.withDescription("queue full at " + n));
      case 1, 2 -> Reply.failure(Status.INVALID_ARGUMENT.withDescription("bad shape"));
      default -> Reply.AT_ONCE;
    };
    try (var server = new OipServer(MODEL, mixed)) {
      LoadReport report = run(openLoop(server, new Arrivals.Constant(1_000), 10_000).withRequestsMax(200));

      assertThat(report.sent()).isEqualTo(200);
      assertThat(report.answered()).isEqualTo(140);
      assertThat(report.failed()).isEqualTo(60);
      assertThat(report.errors()).containsExactlyInAnyOrder(
          new ErrorCount("UNAVAILABLE", 20, "queue full at 0"), new ErrorCount("INVALID_ARGUMENT", 40, "bad shape"));
      assertThat(requireNonNull(report.latencyMicros()).count()).isEqualTo(140);
    }
  }

  @Test
  void aCallBeyondItsDeadlineIsAFailureAndItsWaitStillCounts() throws Exception {
    Behaviour oneInTen = (n, request, headers) -> n % 10 == 0 ? Reply.after(1, TimeUnit.HOURS) : Reply.AT_ONCE;
    try (var server = new OipServer(MODEL, oneInTen)) {
      LoadReport report = run(openLoop(server, new Arrivals.Constant(200), 10_000)
          .withDuration(Duration.ofSeconds(1)).withDeadline(Duration.ofMillis(300)));

      assertThat(report.errors()).extracting(ErrorCount::code).containsExactly("DEADLINE_EXCEEDED");
      assertThat(report.failed()).isEqualTo(20);
      assertThat(requireNonNull(report.latencyMicros()).count()).isEqualTo(200);
      assertThat(requireNonNull(report.latencyMicros()).p99()).isGreaterThan(299_000);
    }
  }

  @Test
  void keysSegmentsAndMetadataArriveAtTheServer() throws Exception {
    Set<String> keys = ConcurrentHashMap.newKeySet();
    Set<String> countries = ConcurrentHashMap.newKeySet();
    Set<String> tenants = ConcurrentHashMap.newKeySet();
    Behaviour noting = (n, request, headers) -> {
      keys.add(String.valueOf(header(headers, "sluice-key")));
      countries.add(String.valueOf(header(headers, "sluice-segment-country")));
      tenants.add(String.valueOf(header(headers, "sluice-tenant")));
      return Reply.AT_ONCE;
    };
    var callers = new Callers(
        new Keys(5, Keys.Spread.UNIFORM), List.of(SegmentMix.parse("country=DE:1,FR:1,IT:1,ES:1")),
        Map.of("sluice-tenant", "blue"), 1);
    try (var server = new OipServer(MODEL, noting)) {
      LoadTestPlan plan = LoadTestPlan.of(server.target(), "m", new Load.ClosedLoop(4), traffic(callers))
          .withWarmUp(Duration.ZERO).withDeadline(PATIENT).withRequestsMax(500);
      assertThat(run(plan).answered()).isEqualTo(500);

      assertThat(keys).containsExactlyInAnyOrder("key-0", "key-1", "key-2", "key-3", "key-4");
      assertThat(countries).hasSizeGreaterThan(1).isSubsetOf("DE", "FR", "IT", "ES");
      assertThat(tenants).containsExactly("blue");
    }
  }

  @Test
  void variantsAndFallbacksAreCountedFromTheResponses() throws Exception {
    Behaviour rollout = (n, request, headers) -> switch ((int) (n % 4)) {
      case 0 -> Reply.saying("sluice_variant", "candidate", "other", "x");
      case 1 -> Reply.saying("sluice_fallback", "candidate_late", "sluice_variant", "baseline");
      default -> Reply.saying("sluice_variant", "baseline");
    };
    try (var server = new OipServer(MODEL, rollout)) {
      LoadReport report = run(closedLoop(server, 1).withRequestsMax(400));

      assertThat(report.variants()).isEqualTo(Map.of("candidate", 100L, "baseline", 300L));
      assertThat(report.fallbacks()).isEqualTo(Map.of("candidate_late", 100L));
    }
  }

  @Test
  void theObserverSeesEveryCallOnceWithItsResponse() throws Exception {
    Map<Long, String> seen = new ConcurrentHashMap<>();
    Behaviour everyThirdFails = (n, request, headers) ->
        n % 3 == 0 ? Reply.failure(Status.ABORTED.withDescription("no")) : Reply.AT_ONCE;
    try (var server = new OipServer(MODEL, everyThirdFails)) {
      run(closedLoop(server, 3).withConnections(2).withRequestsMax(300)
          .withObserver((n, status, response, latencyNanos) -> {
            assertThat(latencyNanos).isPositive();
            assertThat(seen.put(n, status.getCode() + " " + modelOf(response))).isNull();
          }));

      assertThat(seen).hasSize(300);
      assertThat(seen.values()).containsOnly("OK m", "ABORTED null");
      assertThat(seen.keySet()).contains(0L, 299L);
    }
  }

  @Test
  void aStoppedRunReportsWhatWasMeasuredSoFar() throws Exception {
    try (var server = new OipServer(MODEL, always(Reply.AT_ONCE))) {
      var test = new LoadTest(
          openLoop(server, new Arrivals.Poisson(500, 1), 10_000).withDuration(Duration.ofHours(1)),
          ProgressListener.NONE);
      var report = new CompletableFuture<LoadReport>();
      Thread.ofPlatform().start(() -> {
        try {
          report.complete(test.run());
        } catch (InterruptedException | RuntimeException e) {
          report.completeExceptionally(e);
        }
      });
      await().until(() -> server.seen() > 100);
      test.stop();

      LoadReport stopped = report.get(10, TimeUnit.SECONDS);
      assertThat(stopped.answered()).isEqualTo(stopped.sent()).isGreaterThan(100);
      assertThat(stopped.measuredSeconds()).isLessThan(20);
    }
  }

  @Test
  void trafficThatBreaksEndsTheRunWithItsException() {
    try (var server = new OipServer(MODEL, always(Reply.AT_ONCE))) {
      Traffic broken = n -> {
        if (n >= 20) { // an open loop may leave out any one of them
          throw new IllegalStateException("out of payments");
        }
        return TRAFFIC.message(n);
      };
      for (Load load : List.of(new Load.ClosedLoop(4), new Load.OpenLoop(new Arrivals.Constant(1_000), 10))) {
        assertThatThrownBy(() -> run(LoadTestPlan.of(server.target(), "m", load, broken).withWarmUp(Duration.ZERO)))
            .isInstanceOf(IllegalStateException.class).hasMessage("out of payments");
      }
    }
  }

  @Test
  void aTargetWhereNobodyAnswersIsUnreachable() {
    var server = new OipServer(MODEL, always(Reply.AT_ONCE));
    server.close();
    assertThatThrownBy(() -> run(closedLoop(server, 1)))
        .isInstanceOfSatisfying(TargetException.class,
            e -> assertThat(e.reason()).isEqualTo(TargetException.Reason.UNREACHABLE))
        .hasMessageContaining(server.target() + " is unreachable").hasMessageContaining("refused");
  }

  private static LoadReport run(LoadTestPlan plan) throws InterruptedException {
    return LoadTest.run(plan, ProgressListener.NONE);
  }

  private static LoadTestPlan openLoop(OipServer server, Arrivals arrivals, int inFlightMax) {
    return LoadTestPlan.of(server.target(), "m", new Load.OpenLoop(arrivals, inFlightMax), TRAFFIC)
        .withWarmUp(Duration.ZERO).withDeadline(PATIENT);
  }

  private static LoadTestPlan closedLoop(OipServer server, int concurrency) {
    return LoadTestPlan.of(server.target(), "m", new Load.ClosedLoop(concurrency), TRAFFIC)
        .withWarmUp(Duration.ZERO).withDeadline(PATIENT);
  }

  private static Traffic traffic(Callers callers) {
    return new ModelTraffic(RequestForm.of("m", "", MODEL, 1, Map.of()).generate(1), callers);
  }

  private static Behaviour always(Reply reply) {
    return (n, request, headers) -> reply;
  }

  /// From the given request on, nothing is answered for one second.
  private static Behaviour stallOnce(long at) {
    var endNanos = new AtomicLong(Long.MIN_VALUE);
    return (n, request, headers) -> {
      long now = System.nanoTime();
      if (n == at) {
        endNanos.set(now + TimeUnit.SECONDS.toNanos(1));
      }
      return n < at ? Reply.AT_ONCE : Reply.after(Math.max(0, endNanos.get() - now), TimeUnit.NANOSECONDS);
    };
  }

  /// Keeps the thread busy, as a slow observer would.
  private static void spin(long millis) {
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    while (System.nanoTime() < end) {
      Thread.onSpinWait();
    }
  }

  private static @Nullable String modelOf(byte @Nullable [] response) {
    try {
      return response == null ? null : ModelInferResponse.parseFrom(response).getModelName();
    } catch (InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
  }

  private static @Nullable String header(Metadata headers, String name) {
    return headers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }
}
