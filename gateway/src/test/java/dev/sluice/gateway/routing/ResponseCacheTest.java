package dev.sluice.gateway.routing;

import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferRequestedOutputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelStatistics;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A model that answers every run with other numbers shows which answers were computed and which were remembered.
@Timeout(120)
class ResponseCacheTest {

  private static final long BYTES = 1 << 20;
  private static final String CACHED = "response_cache { enable: true }\n";

  @TempDir private Path folder;

  @SuppressWarnings("NullAway.Init") // before each test
  private Path models;

  @BeforeEach
  void makeModels() throws Exception {
    models = Files.createDirectories(folder.resolve("models"));
  }

  // --- through the gateway -------------------------------------------------------------------------------------------

  @Test
  void equalRequestsAreAnsweredFromMemoryAndOthersAreNot() throws Exception {
    dice("m", 1, CACHED);
    try (RunningGateway gateway = gateway(BYTES)) {
      ByteString first = y(gateway, 1, 2);
      awaitMisses(gateway, 1);
      assertThat(y(gateway, 1, 2)).isEqualTo(first);
      assertThat(y(gateway, 1, 2)).isEqualTo(first);
      assertThat(y(gateway, 1, 3)).isNotEqualTo(first);
      assertThat(y(gateway, 1, 2, 1, 2)).isNotEqualTo(first.concat(first));
      // The outputs in another order are another question; by name or not does not matter.
      assertThat(gateway.inference().modelInfer(asking("z", "y")).getRawOutputContents(1)).isNotEqualTo(first);
      assertThat(gateway.inference().modelInfer(asking("y", "z")).getRawOutputContents(0)).isEqualTo(first);
      assertThat(y(gateway, 1, 2)).isEqualTo(first);

      ModelStatistics statistics = statistics(gateway, 4, 4);
      assertThat(statistics.getInferenceStats().getCacheHit().getNs()).isPositive();
      assertThat(statistics.getInferenceStats().getComputeInfer().getCount()).isEqualTo(4);
      assertThat(statistics.getExecutionCount()).isEqualTo(4);
      assertThat(page(gateway))
          .contains(
              "nv_cache_num_hits_per_model{model=\"m\",version=\"1\"} 4.0\n",
              "nv_cache_num_misses_per_model{model=\"m\",version=\"1\"} 4.0\n",
              "nv_inference_request_success{model=\"m\",version=\"1\"} 8.0\n");
    }
  }

  @Test
  void nothingIsRememberedUnlessServerAndModelBothSaySo() throws Exception {
    dice("m", 1, CACHED);
    try (RunningGateway gateway = gateway(0)) {
      assertThat(y(gateway, 1, 2)).isNotEqualTo(y(gateway, 1, 2));
      assertThat(page(gateway)).contains("nv_cache_num_misses_per_model{model=\"m\",version=\"1\"} 0.0\n");
    }
    Files.writeString(models.resolve("m/config.pbtxt"), "");
    try (RunningGateway gateway = gateway(BYTES)) {
      assertThat(y(gateway, 1, 2)).isNotEqualTo(y(gateway, 1, 2));
      assertThat(page(gateway)).doesNotContain("nv_cache_num_hits_per_model{");
    }
  }

  @Test
  void aVersionThatIsLoadedAgainRemembersNothing() throws Exception {
    dice("m", 1, CACHED);
    try (RunningGateway gateway = gateway(BYTES)) {
      ByteString before = y(gateway, 1, 2);
      awaitMisses(gateway, 1);
      assertThat(y(gateway, 1, 2)).isEqualTo(before);
      // Other dice: what a new session draws is what the old one drew, after as many runs.
      OnnxModels.linear(3, 1, 2).writeTo(models, "m", 1);
      gateway.gateway().repository().load("m", 1);
      ByteString after = y(gateway, 1, 2);
      assertThat(after).isNotEqualTo(before);
      awaitMisses(gateway, 1);
      assertThat(y(gateway, 1, 2)).isEqualTo(after);
    }
  }

  @Test
  void aCandidateAlwaysRuns() throws Exception {
    dice("m", 1, CACHED + "version_policy { specific { versions: 1 } }\n");
    dice("m", 2, null);
    try (RunningGateway gateway = gateway(BYTES)) {
      gateway.create(
          """
          rollout: m-2
          model: m
          owner: test
          baseline: 1
          candidate: 2
          compare: { y: { absolute: 10 }, z: { absolute: 10 } }
          steps:
            - canary: 100%
              until: { observations: 1000000 }
          stopRules:
            - error-rate: { limit: 50% }
          """);
      Set<ByteString> answers = new HashSet<>();
      for (int i = 0; i < 20; i++) {
        ModelInferResponse response = gateway.inference().modelInfer(request(1, 2).build());
        if (response.getModelVersion().equals("2")) {
          answers.add(response.getRawOutputContents(0));
        }
      }
      ModelVersion candidate =
          Objects.requireNonNull(Objects.requireNonNull(gateway.gateway().repository().find("m")).version(2));
      assertThat(candidate.profile().responseCache()).isTrue();
      // On a busy machine the baseline may stand in for a late candidate, from memory even.
      assertThat(answers).hasSizeGreaterThan(10);
      assertThat(candidate.statistics().snapshot().cacheHit().count()).isZero();
      assertThat(candidate.statistics().snapshot().cacheMiss().count()).isZero();
    }
  }

  @Test
  void aBaselinesRememberedAnswerIsNoObservationAndIsStillCompared() throws Exception {
    dice("m", 1, CACHED + "version_policy { specific { versions: 1 } }\n");
    dice("m", 2, null);
    try (RunningGateway gateway = gateway(BYTES)) {
      gateway.create(
          """
          rollout: m-2
          model: m
          owner: test
          baseline: 1
          candidate: 2
          compare: { y: { absolute: 10 }, z: { absolute: 10 } }
          steps:
            - shadow: 100%
              until: { observations: 1000000 }
          stopRules:
            - disagreement-rate: { limit: 50% }
          """);
      ByteString first = y(gateway, 1, 2);
      awaitMisses(gateway, 1);
      for (int i = 0; i < 9; i++) {
        assertThat(y(gateway, 1, 2)).isEqualTo(first);
      }
      await()
          .untilAsserted(
              () ->
                  assertThat(sum(gateway, "sluice_disagreement_count{") + sum(gateway, "sluice_shadow_dropped_total{"))
                      .isEqualTo(10));
      assertThat(sum(gateway, "sluice_disagreement_count{")).isPositive();
      assertThat(gateway.rollout("m-2").getSegments(0).getBaseline().getAnswered()).isEqualTo(1);
      assertThat(sum(gateway, "nv_inference_request_success{model=\"m\",version=\"1\"")).isEqualTo(10);
    }
  }

  // --- the cache itself ----------------------------------------------------------------------------------------------

  @Test
  void whatWouldFillTooMuchPassesByAndTheRestStaysWithinTheBound() throws Exception {
    dice("m", 1, CACHED);
    long seed = 20_261_121L;
    Random random = new Random(seed);
    try (ModelRepository repository = ModelRepository.open(models, new OnnxRuntime())) {
      ModelVersion version = repository.load("m", 1);
      ResponseCache cache = new ResponseCache(100_000);
      assertThat(cache.lookUp(version, request(new float[2_000]))).isNull();
      for (int i = 0; i < 2_000; i++) {
        float[] x = new float[2 * (1 + random.nextInt(100))];
        x[0] = i;
        ResponseCache.Place place = Objects.requireNonNull(cache.lookUp(version, request(x)));
        assertThat(place.found()).isNull();
        place.keep(List.of(floats("y", Shape.of(x.length), x)));
        assertThat(cache.bytes()).as("seed %d", seed).isBetween(1L, 100_000L);
      }
      // An answer may be too large where its question is not.
      ResponseCache.Place place = Objects.requireNonNull(cache.lookUp(version, request(new float[] {-1, -1})));
      long before = cache.bytes();
      place.keep(List.of(floats("y", Shape.of(2_000), new float[2_000])));
      assertThat(cache.bytes()).isEqualTo(before);

      repository.unload("m", 1);
      await().untilAsserted(() -> assertThat(cache.bytes()).isZero());
      // A run that ended after its version was closed leaves nothing behind either.
      place.keep(List.of(floats("y", Shape.of(1), 1)));
      assertThat(cache.bytes()).isZero();
    }
  }

  @Test
  void whatIsKeptIsACopy() throws Exception {
    dice("m", 1, CACHED);
    try (ModelRepository repository = ModelRepository.open(models, new OnnxRuntime())) {
      ModelVersion version = repository.load("m", 1);
      ResponseCache cache = new ResponseCache(BYTES);
      Tensor x = floats("x", Shape.of(1, 2), 1, 2);
      Tensor y = floats("y", Shape.of(1), 7);
      Objects.requireNonNull(cache.lookUp(version, request(x))).keep(List.of(y));
      x.bytes().putFloat(0, 99);
      y.bytes().putFloat(0, 99);
      assertThat(Objects.requireNonNull(cache.lookUp(version, request(x))).found()).isNull();
      List<Tensor> found =
          Objects.requireNonNull(cache.lookUp(version, request(floats("x", Shape.of(1, 2), 1, 2)))).found();
      assertThat(found).containsExactly(floats("y", Shape.of(1), 7));
      // The same bytes in another shape, under another name, of another type are another question.
      for (Tensor other :
          List.of(
              new Tensor("x", Datatype.FP32, Shape.of(2, 1), floats("x", Shape.of(2), 1, 2).bytes()),
              new Tensor("X", Datatype.FP32, Shape.of(1, 2), floats("x", Shape.of(2), 1, 2).bytes()),
              new Tensor("x", Datatype.INT32, Shape.of(1, 2), floats("x", Shape.of(2), 1, 2).bytes()))) {
        assertThat(Objects.requireNonNull(cache.lookUp(version, request(other))).found()).isNull();
      }
    }
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private void dice(String model, long version, @Nullable String config) throws Exception {
    new OnnxGraph()
        .input("x", Datatype.FP32, -1, 2)
        .node("RandomUniformLike", List.of("x"), List.of("y"))
        .node("RandomUniformLike", List.of("x"), List.of("z"))
        .output("y", Datatype.FP32, -1, 2)
        .output("z", Datatype.FP32, -1, 2)
        .writeTo(models, model, version);
    if (config != null) {
      Files.writeString(models.resolve(model).resolve("config.pbtxt"), config);
    }
  }

  private RunningGateway gateway(long cacheBytes) throws Exception {
    return RunningGateway.start(
        GatewayConfig.onFreePorts(models, folder.resolve("data-" + cacheBytes)).withResponseCacheBytes(cacheBytes));
  }

  private static ModelInferRequest.Builder request(int first, int... rest) {
    float[] x = new float[1 + rest.length];
    x[0] = first;
    for (int i = 0; i < rest.length; i++) {
      x[i + 1] = rest[i];
    }
    return raw("m", floats("x", Shape.of(x.length / 2, 2), x));
  }

  private static ByteString y(RunningGateway gateway, int first, int... rest) {
    return gateway.inference().modelInfer(request(first, rest).build()).getRawOutputContents(0);
  }

  private static ModelInferRequest asking(String... outputs) {
    ModelInferRequest.Builder request = request(1, 2);
    for (String output : outputs) {
      request.addOutputs(InferRequestedOutputTensor.newBuilder().setName(output));
    }
    return request.build();
  }

  private static InferenceRequest request(float[] x) {
    return request(floats("x", Shape.of(x.length / 2, 2), x));
  }

  private static InferenceRequest request(Tensor x) {
    return new InferenceRequest("", List.of(x), RequestMemory.none(), List.of("y"), 0, 0, _ -> null, new Unhurried(), System.nanoTime());
  }

  /// Once they are all counted, which happens after their answers.
  private static ModelStatistics statistics(RunningGateway gateway, long hits, long misses) {
    return await()
        .until(
            () ->
                gateway
                    .inference()
                    .modelStatistics(ModelStatisticsRequest.newBuilder().setName("m").build())
                    .getModelStats(0),
            stats ->
                stats.getInferenceStats().getCacheHit().getCount() == hits
                    && stats.getInferenceStats().getCacheMiss().getCount() == misses
                    && stats.getInferenceStats().getSuccess().getCount() == hits + misses);
  }

  /// An answer is kept after the caller has it, and the miss counted after that.
  private static void awaitMisses(RunningGateway gateway, long count) {
    ModelVersion version =
        Objects.requireNonNull(Objects.requireNonNull(gateway.gateway().repository().find("m")).version(1));
    await().until(() -> version.statistics().snapshot().cacheMiss().count() == count);
  }

  private static String page(RunningGateway gateway) throws Exception {
    try (HttpClient http = HttpClient.newHttpClient()) {
      URI uri = URI.create("http://127.0.0.1:%d/metrics".formatted(gateway.gateway().metricsPort()));
      return http.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString()).body();
    }
  }

  private static double sum(RunningGateway gateway, String beginning) throws Exception {
    return page(gateway)
        .lines()
        .filter(line -> line.startsWith(beginning))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  private record Unhurried() implements CallLifetime {
    @Override
    public long remainingNanos() {
      return Long.MAX_VALUE;
    }

    @Override
    public boolean isOver() {
      return false;
    }

    @Override
    public Registration onOver(Runnable action) {
      return () -> {};
    }
  }
}
