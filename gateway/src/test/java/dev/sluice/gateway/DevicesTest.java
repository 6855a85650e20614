package dev.sluice.gateway;

import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ServerLiveRequest;
import dev.sluice.proto.inference.ServerReadyRequest;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.FakeNvml;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status.Code;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What a caller, an orchestrator and Prometheus see of the devices under a gateway.
@Timeout(120)
class DevicesTest {
  private static final Pattern READY =
      Pattern.compile("sluice: ready: inference on \\S+:(?<grpc>\\d+) .*, metrics on \\S+:(?<metrics>\\d+), .*");
  private static final int START_SECONDS_MAX = 60;

  @TempDir private Path folder;

  private final HttpClient http = HttpClient.newHttpClient();

  /// The real thing, with a fault on demand.
  private static final class FaultyRuntime implements ModelRuntime {
    private final ModelRuntime real = new OnnxRuntime();
    private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
    private volatile @Nullable String fault;

    @Override
    public Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException {
      return real.load(versionFolder, settings);
    }

    @Override
    public Optional<String> fault() {
      return Optional.ofNullable(fault);
    }

    @Override
    public void onFaultChange(Runnable listener) {
      listeners.add(listener);
    }

    void fail(@Nullable String reason) {
      fault = reason;
      listeners.forEach(Runnable::run);
    }
  }

  @Test
  void aModelThatWantsAGpuIsRefusedWithItsCauseAndOneThatMayRunsOnTheCpu() throws Exception {
    Path models = models();
    write(models, "wants", "instance_group { kind: KIND_GPU }");
    write(models, "may", "parameters { key: 'device' value { string_value: 'auto' } }");
    write(models, "plain", "instance_group { kind: KIND_CPU count: 2 }");
    try (RunningGateway gateway = RunningGateway.start(models, data())) {
      assertThat(gateway.gateway().repository().statuses())
          .filteredOn(status -> status.model().equals("wants"))
          .singleElement()
          .satisfies(
              status ->
                  assertThat(status.reason())
                      .startsWith("wants/1/model.onnx cannot be loaded on GPU 0: this build of ONNX Runtime is for the CPU"));
      assertThat(answer(gateway, "may")).containsExactly(3f, 5f);
      String page = gateway.gateway().metrics().scrape();
      assertThat(page)
          .contains("sluice_model_device{asked=\"auto\",device=\"cpu\",model=\"may\",version=\"1\"} 1")
          .contains("sluice_model_device{asked=\"cpu\",device=\"cpu\",model=\"plain\",version=\"1\"} 1")
          .doesNotContain("model=\"wants\"");
    }
  }

  @Test
  void aLostGpuThatSomeModelNeedsMakesTheServerNeitherLiveNorReady() throws Exception {
    Path models = models();
    write(models, "m", "");
    FaultyRuntime runtime = new FaultyRuntime();
    try (RunningGateway gateway = RunningGateway.start(models, data(), runtime)) {
      assertHealth(gateway, true);
      runtime.fail("m/1/model.onnx: CUDA failure 700");
      assertHealth(gateway, false);
      assertThat(answer(gateway, "m")).as("what can be answered still is").containsExactly(3f, 5f);
      runtime.fail(null);
      assertHealth(gateway, true);
    }
  }

  @Test
  void errorsOfONNXRuntimeReachTheCallerAsTritonWritesThem() throws Exception {
    Path models = models();
    OnnxModels.gather().writeTo(models, "gather", 1);
    new OnnxGraph()
        .constant(floats("one", Shape.of(1), 1))
        .input("n", Datatype.INT64, 1)
        .node("Expand", List.of("one", "n"), List.of("y"))
        .output("y", Datatype.FP32, -1)
        .writeTo(models, "expand", 1);
    try (RunningGateway gateway = RunningGateway.start(models, data())) {
      Refusal outOfRange =
          Refusal.of(() -> gateway.inference().modelInfer(raw("gather", longs("index", Shape.of(1), 7)).build()));
      assertThat(outOfRange.code()).isEqualTo(Code.INTERNAL);
      assertThat(outOfRange.message()).startsWith("onnx runtime error 2: Non-zero status code returned while running Gather");
      Refusal tooLarge =
          Refusal.of(() -> gateway.inference().modelInfer(raw("expand", longs("n", Shape.of(1), 1L << 40)).build()));
      assertThat(tooLarge.code()).isEqualTo(Code.UNAVAILABLE);
      assertThat(tooLarge.message()).startsWith("onnx runtime error 1: ").contains("Failed to allocate memory");
    }
  }

  @Test
  void aServerStartedWithTritonsFlagsSharesItsThreadsAndShowsItsGpus() throws Exception {
    FakeNvml.compile(folder);
    Path models = models();
    write(models, "m", "parameters { key: 'intra_op_thread_count' value { string_value: '3' } }");
    Process server = serve(models, folder);
    try {
      Matcher ports = awaitReady(server);
      ManagedChannel channel =
          Grpc.newChannelBuilder("127.0.0.1:" + ports.group("grpc"), InsecureChannelCredentials.create()).build();
      try {
        assertThat(
                outputs(
                        GRPCInferenceServiceGrpc.newBlockingStub(channel)
                            .modelInfer(raw("m", floats("x", Shape.of(2, 1), 1, 2)).build()))
                    .getFirst())
            .isEqualTo(floats("y", Shape.of(2, 1), 3, 5));
      } finally {
        channel.shutdownNow();
      }
      String page = get(Integer.parseInt(ports.group("metrics")), "/metrics").body();
      assertThat(page)
          .contains("nv_gpu_utilization{gpu_uuid=\"GPU-first\"} 0.37")
          .contains("nv_gpu_utilization{gpu_uuid=\"GPU-second\"} 1.0")
          .contains("nv_gpu_memory_total_bytes{gpu_uuid=\"GPU-first\"} 1.5E11")
          .contains("nv_gpu_memory_used_bytes{gpu_uuid=\"GPU-second\"} 1.0E9")
          .contains("nv_gpu_power_usage{gpu_uuid=\"GPU-first\"} 120.5")
          .contains("nv_energy_consumption{gpu_uuid=\"GPU-first\"} ")
          .doesNotContain("nv_gpu_power_limit", "nv_gpu_power_usage{gpu_uuid=\"GPU-second\"}", "NaN")
          .contains("sluice_model_device{asked=\"auto\",device=\"cpu\",model=\"m\",version=\"1\"} 1");
    } finally {
      server.destroyForcibly().waitFor();
    }
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private Process serve(Path models, Path libraries) throws Exception {
    // In a file, because ONNX Runtime ends a JVM whose command line is longer than 3.9 kB.
    Path arguments = folder.resolve("jvm.args");
    Files.writeString(
        arguments,
        """
        -cp "%s"
        --enable-native-access=ALL-UNNAMED
        --sun-misc-unsafe-memory-access=allow
        -XX:TieredStopAtLevel=1
        """
            .formatted(System.getProperty("java.class.path")));
    ProcessBuilder builder =
        new ProcessBuilder(
            ProcessHandle.current().info().command().orElseThrow(), "@" + arguments, Main.class.getName(),
            "serve", "--model-repository", models.toString(), "--data-dir", data().toString(), "--host", "127.0.0.1",
            "--grpc-port", "0", "--http-port", "0", "--metrics-port", "0", "--control-port", "0", "--device", "auto",
            "--backend-config=onnxruntime,enable-global-threadpool=1",
            "--backend-config=onnxruntime,intra_op_thread_count=2");
    builder.environment().put("LD_LIBRARY_PATH", libraries.toString());
    return builder.redirectErrorStream(true).start();
  }

  private static Matcher awaitReady(Process server) throws Exception {
    // Reading a line of a process that says none cannot be interrupted; the process's end ends it.
    CompletableFuture<Void> guard =
        CompletableFuture.runAsync(
            server::destroyForcibly, CompletableFuture.delayedExecutor(START_SECONDS_MAX, TimeUnit.SECONDS));
    StringBuilder said = new StringBuilder();
    for (String line = server.inputReader().readLine(); line != null; line = server.inputReader().readLine()) {
      said.append(line).append('\n');
      if (line.startsWith("sluice: ready: ")) {
        guard.cancel(false);
        Matcher ready = READY.matcher(line);
        assertThat(ready.matches()).as(line).isTrue();
        return ready;
      }
    }
    throw new AssertionError("the server ended, or was not ready in %d s:%n%s".formatted(START_SECONDS_MAX, said));
  }

  private void assertHealth(RunningGateway gateway, boolean well) throws Exception {
    assertThat(gateway.inference().serverLive(ServerLiveRequest.getDefaultInstance()).getLive()).isEqualTo(well);
    assertThat(gateway.inference().serverReady(ServerReadyRequest.getDefaultInstance()).getReady()).isEqualTo(well);
    assertThat(
            HealthGrpc.newBlockingStub(gateway.inferenceChannel())
                .check(HealthCheckRequest.getDefaultInstance())
                .getStatus())
        .isEqualTo(well ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
    int port = gateway.gateway().metricsPort();
    HttpResponse<String> live = get(port, "/healthz");
    assertThat(live.statusCode()).isEqualTo(well ? 200 : 503);
    assertThat(live.body()).isEqualTo(well ? "live\n" : "not live\n");
    assertThat(get(port, "/readyz").statusCode()).isEqualTo(well ? 200 : 503);
  }

  private HttpResponse<String> get(int port, String path) throws Exception {
    return http.send(
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path)).build(),
        HttpResponse.BodyHandlers.ofString());
  }

  private static List<Float> answer(RunningGateway gateway, String model) {
    float[] values =
        Tensors.floats(
            outputs(gateway.inference().modelInfer(raw(model, floats("x", Shape.of(2, 1), 1, 2)).build())).getFirst());
    return List.of(values[0], values[1]);
  }

  private Path models() throws Exception {
    return Files.createDirectories(folder.resolve("models"));
  }

  private Path data() throws Exception {
    return Files.createDirectories(folder.resolve("data"));
  }

  private static void write(Path models, String name, String config) throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, name, 1);
    Files.writeString(models.resolve(name).resolve("config.pbtxt"), config);
  }
}
