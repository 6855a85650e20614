package dev.sluice.runtime.repository;

import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.VersionStatus.State;
import dev.sluice.runtime.source.ModelSources;
import dev.sluice.runtime.source.S3Settings;
import dev.sluice.runtime.source.SourceSettings;
import dev.sluice.runtime.source.SourceSettings.Patience;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A repository that holds `model.source` files in the place of models.
@Timeout(120)
class FetchedModelsTest {
  @TempDir private Path folder;

  @SuppressWarnings("NullAway.Init") // before each test
  private Path store;

  @BeforeEach
  void makeStore() throws Exception {
    store = Files.createDirectories(folder.resolve("store"));
  }

  @Test
  void aModelWithExternalDataIsFetchedAndServed() throws Exception {
    ByteBuffer weights = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(10).putFloat(20);
    Files.write(store.resolve("7.bin"), weights.array());
    Files.write(store.resolve("7.onnx"), OnnxModels.externalWeights("weights.bin", 2).model());
    source("m", 7, line("7.onnx", ""), "# beside it", line("7.bin", "weights.bin"));
    try (ModelSources sources = sources(1 << 20);
        ModelRepository repository = opened(sources)) {
      repository.loadAll();
      assertThat(repository.status("m", 7)).isEqualTo(new VersionStatus("m", 7, State.READY, ""));
      assertThat(run(repository, 7, 1, 2)).isEqualTo(11);
    }
  }

  @Test
  void aVersionThatCannotBeFetchedIsUnavailableAndTheOthersAreNot() throws Exception {
    Files.write(store.resolve("1.onnx"), OnnxModels.linear(3, 0, 2).model());
    source("m", 1, line("1.onnx", ""));
    source("m", 2, line("1.onnx", "").replaceFirst("^.{4}", "0000"));
    Files.writeString(folder.resolve("repository/m/config.pbtxt"), "version_policy: { all { } }");
    try (ModelSources sources = sources(1 << 20);
        ModelRepository repository = opened(sources)) {
      repository.loadAll();
      assertThat(run(repository, 1, 5, 0)).isEqualTo(15);
      VersionStatus second = Objects.requireNonNull(repository.status("m", 2));
      assertThat(second.state()).isEqualTo(State.UNAVAILABLE);
      assertThat(second.reason())
          .matches("m/2/model.source, line 1: 'file:.*/1.onnx' has the SHA-256 [0-9a-f]{64}; expected 0000[0-9a-f]{60}");
    }
  }

  @Test
  void aLoadedVersionKeepsItsPlaceInTheCacheUntilItIsUnloaded() throws Exception {
    byte[] first = OnnxModels.linear(3, 0, 2).model();
    byte[] second = OnnxModels.linear(4, 0, 2).model();
    Files.write(store.resolve("1.onnx"), first);
    Files.write(store.resolve("2.onnx"), second);
    source("m", 1, line("1.onnx", ""));
    source("m", 2, line("2.onnx", ""));
    Files.writeString(folder.resolve("repository/m/config.pbtxt"), "version_policy: { all { } }");
    try (ModelSources sources = sources(first.length + second.length / 2);
        ModelRepository repository = opened(sources)) {
      repository.loadAll();
      assertThat(Objects.requireNonNull(repository.status("m", 2)).reason()).contains("do not fit into the model cache");
      repository.unload("m", 1);
      await()
          .untilAsserted(
              () -> assertThat(Objects.requireNonNull(repository.status("m", 1)).reason()).isEqualTo("unloaded"));
      repository.load("m", 2);
      assertThat(run(repository, 2, 5, 0)).isEqualTo(20);
    }
  }

  @Test
  void withoutACacheASourceIsRefused() throws Exception {
    Files.write(store.resolve("1.onnx"), OnnxModels.linear(3, 0, 2).model());
    source("m", 1, line("1.onnx", ""));
    try (ModelRepository repository = ModelRepository.open(folder.resolve("repository"), new OnnxRuntime())) {
      repository.loadAll();
      assertThat(Objects.requireNonNull(repository.status("m", 1)).reason())
          .isEqualTo("m/1/model.source: there is no model cache to fetch it into");
    }
  }

  private ModelRepository opened(ModelSources sources) throws Exception {
    return ModelRepository.open(folder.resolve("repository"), new OnnxRuntime(), RepositoryOptions.defaults(), sources);
  }

  private ModelSources sources(long bytesMax) {
    return ModelSources.of(
        new SourceSettings(
            folder.resolve("cache"), bytesMax, false, null, S3Settings.fromEnvironment(Map.of()), Patience.defaults()));
  }

  private void source(String model, long version, String... lines) throws Exception {
    Path versionFolder = Files.createDirectories(folder.resolve("repository/%s/%d".formatted(model, version)));
    Files.writeString(versionFolder.resolve("model.source"), String.join("\n", lines));
  }

  private String line(String file, String name) throws Exception {
    Path path = store.resolve(file);
    byte[] sha256 = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(path));
    return "%s  %s  %s".formatted(HexFormat.of().formatHex(sha256), path.toUri(), name);
  }

  private static float run(ModelRepository repository, long number, float... x) throws Exception {
    ModelVersion version = Objects.requireNonNull(Objects.requireNonNull(repository.find("m")).version(number));
    assertThat(version.tryAcquire()).isTrue();
    try {
      Shape shape = version.signature().inputs().getFirst().shape().rank() == 1 ? Shape.of(2) : Shape.of(1, 2);
      List<Tensor> answer = version.run(List.of(floats("x", shape, x)), List.of("y"), RunControl.none());
      return answer.getFirst().bytes().getFloat(0);
    } finally {
      version.release();
    }
  }
}
