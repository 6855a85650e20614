package dev.sluice.gateway;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.rpc.EventLoops;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import dev.sluice.proto.inference.RepositoryIndexRequest;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.testing.OnnxModels;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Requests of the gateway's own before it is ready: they are answered, and nobody can tell afterwards.
class PathWarmUpTest {
  private static final Duration TIME = Duration.ofMillis(300);

  @Test
  void requestsAreAnsweredOverTheGatewaysOwnKindOfServer() throws Exception {
    long foldersBefore = folders();
    try (EventLoops loops = EventLoops.start()) {
      long answered =
          PathWarmUp.run(
              new OnnxRuntime(), Runnable::run, TIME, new CountDownLatch(0),
              (listener, service) -> loops.server(listener).addService(service.definition()).build());
      assertThat(answered).isPositive();
    }
    assertThat(folders()).isEqualTo(foldersBefore);
  }

  @Test
  void theyAreSeenInNoListAndNoFigure(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(1, 0, 2).writeTo(models, "m", 1);
    GatewayConfig config = GatewayConfig.onFreePorts(models, folder.resolve("data")).withWarmUp(TIME);
    try (RunningGateway gateway = RunningGateway.start(config)) {
      assertThat(gateway.inference().repositoryIndex(RepositoryIndexRequest.getDefaultInstance()).getModelsList())
          .singleElement().satisfies(model -> assertThat(model.getName()).isEqualTo("m"));
      assertThat(gateway.inference().modelStatistics(ModelStatisticsRequest.getDefaultInstance()).getModelStatsList())
          .singleElement().satisfies(m -> {
            assertThat(m.getName()).isEqualTo("m");
            assertThat(m.getInferenceCount()).isZero();
          });
      try (HttpClient client = HttpClient.newHttpClient()) {
        URI page = URI.create("http://127.0.0.1:" + gateway.gateway().metricsPort() + "/metrics");
        String metrics = client.send(HttpRequest.newBuilder(page).build(), BodyHandlers.ofString()).body();
        assertThat(metrics).doesNotContain("sluice-warm-up").contains("model=\"m\"");
      }
    }
  }

  @Test
  void itsModelIsTheIdentityThatItSaysItIs() throws Exception {
    try (InputStream model = Objects.requireNonNull(PathWarmUp.class.getResourceAsStream("warm-up.onnx"))) {
      assertThat(model.readAllBytes()).isEqualTo(OnnxModels.identity(Datatype.FP32, -1, 16).model());
    }
  }

  private static long folders() throws Exception {
    try (Stream<Path> all = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
      return all.filter(path -> String.valueOf(path.getFileName()).startsWith("sluice-warm-up-")).count();
    }
  }
}
