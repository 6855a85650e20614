package dev.sluice.gateway.metrics;

import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Metadata;
import io.grpc.Status.Code;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What Prometheus and an orchestrator see of a gateway under traffic.
class MetricsPageTest {

  private static final String NOTE =
      """
      rollout: m-2
      model: m
      owner: test
      baseline: 1
      candidate: 2
      segments: [country=DE, "country=US, tier=vip"]
      compare: { y: { absolute: 1e-3 } }
      steps:
        - canary: 50%
          shadow: 100%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 5% }
        - disagreement-rate: { limit: 5% }
      """;

  private final HttpClient http = HttpClient.newHttpClient();

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 0, 2).writeTo(models, "m", 1);
    OnnxModels.linear(2, 0, 2).writeTo(models, "m", 2);
    Files.writeString(models.resolve("m/config.pbtxt"), """
        version_policy: { specific: { versions: [1] } }
        metric_tags: { key: "kind" value: "linear model" }
        metric_tags: { key: "le" value: "x" }
        metric_tags: { key: "2" value: "2" }
        """);
    OnnxModels.gather().writeTo(models, "gather", 1);
    OnnxModels.loop().writeTo(models, "loop", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterEach
  void stop() {
    http.close();
    gateway.close();
  }

  @Test
  void everyRequestIsCountedWhereItEnded() throws Exception {
    infer(Map.of());
    infer(Map.of());
    assertThat(
            Refusal.of(
                    () -> gateway.inference().modelInfer(raw("gather", longs("index", Shape.of(1), 99)).build()))
                .code())
        .isEqualTo(Code.INTERNAL);

    await()
        .untilAsserted(
            () ->
                assertThat(lines())
                    .contains(
                        "sluice_requests_total{code=\"OK\",model=\"m\",segment=\"\",variant=\"\",version=\"1\"} 2.0",
                        "sluice_requests_total{code=\"EXECUTION_FAILED\",model=\"gather\",segment=\"\",variant=\"\","
                            + "version=\"1\"} 1.0",
                        "sluice_model_versions_ready 3.0",
                        "sluice_queue_depth 0.0",
                        "sluice_store_readable 1.0"));
    assertThat(sum("process_cpu_seconds_total ")).isPositive();
    assertThat(lines())
        .anyMatch(line -> line.startsWith("sluice_request_duration_seconds_bucket{model=\"m\"") && line.contains("le=\"1.0E-4\""));
  }

  @Test
  void versionsAreShownUnderTritonsNames() throws Exception {
    for (int i = 0; i < 3; i++) {
      infer(Map.of());
    }
    assertThat(
            Refusal.of(
                    () -> gateway.inference().modelInfer(raw("gather", longs("index", Shape.of(1), 99)).build()))
                .code())
        .isEqualTo(Code.INTERNAL);

    String m = "{kind=\"linear model\",model=\"m\",tag_2=\"2\",tag_le=\"x\",version=\"1\"}";
    await()
        .untilAsserted(
            () ->
                assertThat(lines())
                    .contains(
                        "nv_inference_request_success" + m + " 3.0",
                        "nv_inference_count" + m + " 3.0",
                        "nv_inference_exec_count" + m + " 3.0",
                        "nv_inference_pending_request_count" + m + " 0.0",
                        "nv_inference_request_failure{model=\"gather\",reason=\"BACKEND\",version=\"1\"} 1.0",
                        "nv_inference_request_failure{model=\"gather\",reason=\"CANCELED\",version=\"1\"} 0.0",
                        "nv_inference_request_failure{model=\"gather\",reason=\"OTHER\",version=\"1\"} 0.0",
                        "nv_inference_request_failure{model=\"gather\",reason=\"REJECTED\",version=\"1\"} 0.0",
                        "nv_inference_request_success{model=\"gather\",version=\"1\"} 0.0",
                        "nv_inference_request_duration_histogram_us_count" + m + " 3"));
    for (String part : List.of("request", "compute_infer")) {
      assertThat(sum("nv_inference_%s_duration_us%s".formatted(part, m))).as(part).isPositive();
    }
    for (String part : List.of("request", "queue", "compute_input", "compute_infer", "compute_output")) {
      String family = "nv_inference_%s_duration".formatted(part);
      assertThat(sum(family + "_histogram_us_sum" + m)).as(part).isEqualTo(sum(family + "_us" + m));
      List<Double> buckets =
          lines().stream()
              .filter(line -> line.startsWith(family + "_histogram_us_bucket{kind="))
              .map(line -> Double.valueOf(line.substring(line.lastIndexOf(' ') + 1)))
              .toList();
      assertThat(buckets).as(part).hasSize(28).isSorted().last().isEqualTo(3.0);
    }
    assertThat(sum("nv_model_load_duration_secs" + m)).isBetween(1e-6, 60.0);
    assertThat(sum("nv_cpu_memory_used_bytes ")).isPositive().isLessThan(sum("nv_cpu_memory_total_bytes "));
    await().untilAsserted(() -> assertThat(lines()).anyMatch(line -> line.startsWith("nv_cpu_utilization ")));
    assertThat(lines()).noneMatch(line -> line.startsWith("nv_") && line.contains("_total{"));
  }

  @Test
  void aVersionThatIsLoadedAgainGoesOnCountingAndOneThatIsUnloadedIsNotShown() throws Exception {
    ModelRepository repository = gateway.gateway().repository();
    String success = "nv_inference_request_success{kind=\"linear model\",model=\"m\"";
    infer(Map.of());
    repository.load("m", 1);
    infer(Map.of());
    for (int i = 0; i < 10; i++) {
      repository.load("m", 1);
    }
    infer(Map.of());
    await().untilAsserted(() -> assertThat(sum(success)).isEqualTo(3));

    repository.unload("m", 1);
    await().untilAsserted(() -> assertThat(lines()).noneMatch(line -> line.startsWith("nv_") && line.contains("\"m\"")));
    repository.load("m", 1);
    assertThat(sum(success)).isEqualTo(3);
    infer(Map.of());
    await().untilAsserted(() -> assertThat(sum(success)).isEqualTo(4));
  }

  @Test
  void aRolloutIsShownByVariantAndSegment() throws Exception {
    gateway.create(NOTE);
    for (int i = 0; i < 300; i++) {
      infer(Map.of("sluice-key", "user-" + i, "sluice-segment-country", i % 2 == 0 ? "DE" : "FR"));
    }

    // On a busy machine a copy may be shed, or the baseline answer for a late candidate; then there is nothing to compare.
    await()
        .untilAsserted(
            () ->
                assertThat(
                        sum("sluice_disagreement_count{") + sum("sluice_shadow_dropped_total{") + sum("sluice_fallbacks_total{"))
                    .isEqualTo(300));
    assertThat(sum("sluice_disagreement_count{")).isGreaterThan(200);
    for (String segment : List.of("country=DE", "other")) {
      for (String variant : List.of("baseline", "candidate")) {
        assertThat(sum("sluice_requests_total{code=\"OK\",model=\"m\",segment=\"%s\",variant=\"%s\"".formatted(segment, variant)))
            .as("%s in %s", variant, segment)
            .isBetween(30.0, 120.0);
      }
    }
    assertThat(sum("sluice_requests_total{code=\"OK\",model=\"m\"")).isEqualTo(300);
    assertThat(sum("sluice_disagreements_total{")).isZero();
    assertThat(lines())
        .contains(
            "sluice_rollout_stage{model=\"m\",rollout=\"m-2\",stage=\"CANARY\"} 1.0",
            "sluice_rollout_weight_ratio{model=\"m\",rollout=\"m-2\"} 0.5",
            "sluice_rollout_shadow_ratio{model=\"m\",rollout=\"m-2\"} 1.0",
            "sluice_rollout_epoch{model=\"m\",rollout=\"m-2\"} 1.0",
            "sluice_fallbacks_total{model=\"m\",reason=\"late\",rollout=\"m-2\",segment=\"country=US,tier=vip\"} 0.0");
  }

  @Test
  void callersCannotMakeLabels() throws Exception {
    long seed = 20_261_121L;
    Random random = new Random(seed);
    gateway.create(NOTE);
    infer(Map.of());
    await().untilAsserted(() -> assertThat(sum("sluice_requests_total{code=\"OK\"")).isEqualTo(1));
    long before = lines().stream().filter(line -> line.startsWith("sluice_")).count();

    for (int i = 0; i < 1000; i++) {
      String value = HexFormat.of().toHexDigits(random.nextLong());
      infer(
          Map.of(
              "sluice-segment-country", value, "sluice-segment-" + value, value, "sluice-key", value, "sluice-tenant", value));
    }

    await().untilAsserted(() -> assertThat(sum("sluice_requests_total{code=\"OK\"")).isEqualTo(1001));
    assertThat(lines().stream().filter(line -> line.startsWith("sluice_"))).as("seed %d", seed).hasSize((int) before);
  }

  /// Nothing but the style of Triton's names, which are what they are: units in their short form, `_count` of a gauge.
  @Test
  void promtoolFindsNothingToComplainOfButTritonsNames(@TempDir Path folder) throws Exception {
    String path = System.getenv().getOrDefault("PATH", "");
    assumeTrue(
        Arrays.stream(path.split(File.pathSeparator)).anyMatch(p -> Files.isExecutable(Path.of(p, "promtool"))),
        "no promtool on the PATH");
    gateway.create(NOTE);
    for (int i = 0; i < 20; i++) {
      infer(Map.of("sluice-key", "user-" + i));
    }
    Path page = Files.writeString(folder.resolve("page"), String.join("\n", lines()) + "\n", UTF_8);
    Path said = folder.resolve("said");

    Process promtool =
        new ProcessBuilder("promtool", "check", "metrics")
            .redirectInput(page.toFile()).redirectErrorStream(true).redirectOutput(said.toFile()).start();

    assertThat(promtool.waitFor(30, TimeUnit.SECONDS)).isTrue();
    assertThat(Files.readString(said, UTF_8).lines())
        .allMatch(
            remark ->
                remark.matches(
                    "nv_\\S+ (metric names should not contain abbreviated units"
                        + "|metric name should not include type 'histogram'"
                        + "|non-histogram and non-summary metrics should not have \"_count\" suffix)"));
    assertThat(promtool.exitValue()).as("3: it was read, and there are remarks").isEqualTo(3);
  }

  @Test
  void thePageAnswersReadersOnly() throws Exception {
    assertThat(get("/metrics").headers().firstValue("Content-Type")).contains("text/plain; version=0.0.4; charset=utf-8");
    assertThat(get("/healthz").body()).isEqualTo("live\n");
    assertThat(get("/readyz").body()).isEqualTo("ready\n");
    assertThat(get("/").statusCode()).isEqualTo(404);
    assertThat(send("/metrics", "HEAD").body()).isEmpty();
    HttpResponse<String> post = send("/metrics", "POST");
    assertThat(post.statusCode()).isEqualTo(405);
    assertThat(post.headers().firstValue("Allow")).contains("GET, HEAD");
  }

  @Test
  void aGatewayThatEndsIsAliveAndNotReadyUntilItsCallsAreDone() throws Exception {
    ModelInferRequest endless =
        raw("loop", longs("trips", Shape.of(), Long.MAX_VALUE), floats("x", Shape.of(1), 0)).build();
    var call =
        GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel())
            .withDeadlineAfter(3, TimeUnit.SECONDS)
            .modelInfer(endless);
    await().untilAsserted(() -> assertThat(gateway.gateway().repository().models())
        .anySatisfy(model -> assertThat(model.versions()).anyMatch(version -> version.callsInFlight() == 1)));
    Thread closing = Thread.ofVirtual().start(() -> gateway.gateway().close());

    await().untilAsserted(() -> assertThat(get("/readyz").statusCode()).isEqualTo(503));
    assertThat(get("/readyz").body()).isEqualTo("not ready\n");
    assertThat(get("/healthz").statusCode()).isEqualTo(200);
    assertThat(call.isDone()).isFalse();
    call.cancel(true);
    closing.join();
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private ModelInferResponse infer(Map<String, String> headers) {
    Metadata metadata = new Metadata();
    headers.forEach((name, value) -> metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value));
    GRPCInferenceServiceBlockingStub stub =
        gateway.inference().withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
    return stub.modelInfer(raw("m", floats("x", Shape.of(1, 2), 3, 4)).build());
  }

  private HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return send(path, "GET");
  }

  private HttpResponse<String> send(String path, String method) throws IOException, InterruptedException {
    return http.send(
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:%d%s".formatted(gateway.gateway().metricsPort(), path)))
            .method(method, HttpRequest.BodyPublishers.noBody())
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }

  private List<String> lines() throws IOException, InterruptedException {
    HttpResponse<String> page = get("/metrics");
    assertThat(page.statusCode()).isEqualTo(200);
    return page.body().lines().collect(Collectors.toList());
  }

  private double sum(String beginning) throws IOException, InterruptedException {
    return lines().stream()
        .filter(line -> line.startsWith(beginning))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }
}
