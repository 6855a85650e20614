package dev.sluice.runtime.repository;

import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.awaitility.Awaitility.await;

import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.VersionStatus.State;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class ModelRepositoryTest {
  private static final List<String> Y = List.of("y");

  @TempDir private Path root;

  @Test
  void aRepositoryThatIsNotThereIsNamed() throws IOException {
    Path file = Files.createFile(root.resolve("file"));
    assertThatIOException()
        .isThrownBy(() -> ModelRepository.open(root.resolve("nowhere"), new OnnxRuntime()))
        .withMessageContaining("nowhere' does not exist");
    assertThatIOException()
        .isThrownBy(() -> ModelRepository.open(file, new OnnxRuntime()))
        .withMessageContaining("file' is not a directory");
  }

  @Test
  void theLatestVersionIsServedUnlessThePolicySaysOtherwise() throws Exception {
    for (String model : List.of("plain", "two", "all", "some", "none")) {
      for (int version : new int[] {1, 2, 10}) {
        OnnxModels.linear(version, 0, 2).writeTo(root, model, version);
      }
    }
    config("two", "version_policy { latest { num_versions: 2 } }");
    config("all", "version_policy: { all { } }");
    config("some", "version_policy { specific { versions: [ 1, 10, 7 ] } }");
    config("none", "version_policy { specific { versions: 7 } }");
    try (ModelRepository repository = loaded()) {
      assertThat(ready(repository, "plain")).containsExactly(10L);
      assertThat(ready(repository, "two")).containsExactly(2L, 10L);
      assertThat(ready(repository, "all")).containsExactly(1L, 2L, 10L);
      assertThat(ready(repository, "some")).containsExactly(1L, 10L);
      assertThat(ready(repository, "none")).isEmpty();
      assertThat(repository.status("none", 0))
          .isEqualTo(
              new VersionStatus(
                  "none", 0, State.UNAVAILABLE, "none: its version_policy names none of the versions [1, 2, 10]"));
      assertThat(repository.versionsOnDisk("plain")).containsExactly(1, 2, 10);
      assertThat(run(repository, "all", 2, 5)).isEqualTo(10);
    }
  }

  @Test
  void foldersThatAreNoModelsOrVersionsAreIgnored() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "good", 1);
    for (String name : List.of("02", "-3", "1.5", "v4", "0", "99999999999999999999")) {
      Files.createDirectories(root.resolve("good").resolve(name));
    }
    Files.createDirectories(root.resolve(".git/1"));
    Files.createDirectories(root.resolve("not a model/1"));
    Files.createDirectories(root.resolve("empty"));
    Files.writeString(root.resolve("README.md"), "hello");
    try (ModelRepository repository = loaded()) {
      assertThat(repository.versionsOnDisk("good")).containsExactly(1);
      assertThat(repository.index())
          .containsExactly(
              new VersionStatus(
                  "empty",
                  0,
                  State.UNAVAILABLE,
                  "empty has no version folder (a positive integer without leading zeros)"),
              new VersionStatus("good", 1, State.READY, ""));
      assertThat(repository.known("empty")).isTrue();
      assertThat(Objects.requireNonNull(repository.find("empty")).latest()).isNull();
      assertThat(repository.find("not a model")).isNull();
      assertThat(repository.versionsOnDisk("../" + root.getFileName())).isEmpty();
    }
  }

  @Test
  void aModelIsKnownBeforeItIsLoadedAndReadyAfterwards() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "m", 1);
    try (ModelRepository repository = ModelRepository.open(root, new OnnxRuntime())) {
      List<String> seen = new ArrayList<>();
      repository.onChange(() -> seen.add(repository.index().toString()));
      assertThat(repository.known("m")).isTrue();
      assertThat(repository.index()).containsExactly(new VersionStatus("m", 0, State.UNKNOWN, ""));
      ModelVersion version = repository.load("m", 1);
      assertThat(version.typicalRunNanos()).isPositive();
      assertThat(seen).hasSize(2);
      assertThat(seen.getFirst()).contains("LOADING");
      assertThat(seen.getLast()).contains("READY");
    }
  }

  @Test
  void oneModelsFailureNeverAffectsAnother() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "good", 1);
    OnnxModels.linear(1, 0, 2).writeTo(root, "half", 1);
    OnnxModels.unknownOperator().writeTo(root, "half", 2);
    config("half", "version_policy { all { } }");
    OnnxGraph.write(root, "broken", 1, new byte[] {1, 2, 3});
    OnnxModels.linear(1, 0, 2).writeTo(root, "misconfigured", 1);
    config("misconfigured", "name: \"misconfigured\"\nmax_batch_size = 4");
    Files.createDirectories(root.resolve("hollow/1"));
    try (ModelRepository repository = loaded()) {
      assertThat(ready(repository, "good")).containsExactly(1L);
      assertThat(ready(repository, "half")).containsExactly(1L);
      assertThat(reason(repository, "half", 2)).contains("Frobnicate");
      assertThat(reason(repository, "broken", 1)).startsWith("broken/1/model.onnx is corrupt or not an ONNX model");
      assertThat(reason(repository, "hollow", 1)).isEqualTo("hollow/1/model.onnx does not exist");
      assertThat(reason(repository, "misconfigured", 0)).startsWith("misconfigured/config.pbtxt, line 2, column 16: ");
    }
  }

  @Test
  void aModelThatRefusesZerosIsStillReady() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .constant(Tensors.floats("table", Shape.of(1), 10))
            .constant(Tensors.longs("one", Shape.of(), 1))
            .input("x", Datatype.INT64, -1)
            .node("Add", List.of("x", "one"), List.of("index"))
            .node("Gather", List.of("table", "index"), List.of("y"))
            .output("y", Datatype.FP32, -1);
    graph.writeTo(root, "picky", 1);
    try (ModelRepository repository = loaded()) {
      ModelVersion version = Objects.requireNonNull(repository.find("picky")).latest();
      assertThat(Objects.requireNonNull(version).typicalRunNanos()).isZero();
    }
  }

  @Test
  void aReplacementTakesOverAndItsPredecessorDrains() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "m", 1);
    try (ModelRepository repository = loaded()) {
      ModelVersion old = Objects.requireNonNull(Objects.requireNonNull(repository.find("m")).version(1));
      assertThat(old.tryAcquire()).isTrue();
      OnnxModels.linear(2, 0, 2).writeTo(root, "m", 1);
      repository.load("m", 1);
      assertThat(run(repository, "m", 1, 5)).isEqualTo(10);
      assertThat(old.tryAcquire()).isFalse();
      assertThat(old.closed()).isNotDone();
      assertThat(run(old, 5)).isEqualTo(5);
      old.release();
      old.closed().join();
    }
  }

  @Test
  void aReplacementThatFailsTakesNothingAway() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "m", 1);
    try (ModelRepository repository = loaded()) {
      OnnxModels.unknownOperator().writeTo(root, "m", 1);
      assertThatExceptionOfType(ModelLoadException.class).isThrownBy(() -> repository.load("m", 1));
      assertThat(run(repository, "m", 1, 5)).isEqualTo(5);
      VersionStatus status = Objects.requireNonNull(repository.status("m", 1));
      assertThat(status.state()).isEqualTo(State.READY);
      assertThat(status.reason()).startsWith("not replaced: m/1/model.onnx uses the operator 'Frobnicate'");
    }
  }

  @Test
  void anUnloadedVersionDrainsAndIsGone() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "m", 1);
    try (ModelRepository repository = loaded()) {
      ModelVersion version = Objects.requireNonNull(Objects.requireNonNull(repository.find("m")).latest());
      assertThat(version.tryAcquire()).isTrue();
      repository.unload("m", 1);
      assertThat(repository.known("m")).isTrue();
      assertThat(Objects.requireNonNull(repository.find("m")).latest()).isNull();
      assertThat(Objects.requireNonNull(repository.status("m", 1)).state()).isEqualTo(State.UNLOADING);
      version.release();
      await()
          .untilAsserted(
              () ->
                  assertThat(repository.status("m", 1))
                      .isEqualTo(new VersionStatus("m", 1, State.UNAVAILABLE, "unloaded")));
      assertThatExceptionOfType(ModelLoadException.class)
          .isThrownBy(() -> repository.unload("m", 1))
          .withMessage("model 'm' version 1 is not loaded");
      assertThat(repository.load("m", 1).tryAcquire()).isTrue();
    }
  }

  @Test
  void whatIsNotInTheRepositoryCannotBeLoaded() throws Exception {
    Path outside = Files.createDirectories(root.resolve("outside"));
    OnnxModels.linear(1, 0, 2).writeTo(outside, "m", 1);
    Path inside = Files.createDirectories(root.resolve("inside"));
    OnnxModels.linear(1, 0, 2).writeTo(inside, "m", 1);
    Files.createSymbolicLink(inside.resolve("linked"), outside.resolve("m"));
    Files.createSymbolicLink(inside.resolve("m/2"), outside.resolve("m/1"));
    Path third = Files.createDirectories(inside.resolve("m/3"));
    Files.createSymbolicLink(third.resolve("model.onnx"), outside.resolve("m/1/model.onnx"));
    try (ModelRepository repository = ModelRepository.open(inside, new OnnxRuntime())) {
      assertRefused(repository, "nobody", 1, "model 'nobody' is not in the repository");
      assertRefused(repository, "../outside/m", 1, "model '../outside/m' is not in the repository");
      assertRefused(repository, "m", 9, "model 'm' has no version 9 in the repository");
      assertRefused(repository, "m", -1, "model 'm' has no version -1 in the repository");
      assertRefused(repository, "linked", 1, "linked is a link that leaves the repository");
      assertRefused(repository, "m", 2, "m/2 is a link that leaves the repository");
      assertRefused(repository, "m", 3, "m/3/model.onnx is a link that leaves its version's folder");
      assertThat(repository.load("m", 1).version()).isEqualTo(1);
    }
  }

  @Test
  void closingRetiresEveryVersion() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "m", 1);
    ModelRepository repository = loaded();
    ModelVersion version = Objects.requireNonNull(Objects.requireNonNull(repository.find("m")).latest());
    repository.close();
    version.closed().join();
    assertThat(version.tryAcquire()).isFalse();
    assertThat(repository.find("m")).isNull();
    assertRefused(repository, "m", 1, "the model repository is closed");
  }

  /// Callers look the model up, lease, run and return; meanwhile one version is replaced and another comes and goes.
  @Test
  void replacingAndUnloadingUnderLoadFailsNoCall() throws Exception {
    OnnxModels.linear(1, 0, 2).writeTo(root, "m", 1);
    OnnxModels.linear(1, 0, 2).writeTo(root, "m", 2);
    config("m", "version_policy { all { } }");
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong answers = new AtomicLong();
    AtomicLong retries = new AtomicLong();
    AtomicInteger changes = new AtomicInteger();
    try (ModelRepository repository = loaded();
        ExecutorService threads = Executors.newFixedThreadPool(3)) {
      repository.onChange(changes::incrementAndGet);
      List<Future<?>> callers = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        callers.add(
            threads.submit(
                () -> {
                  for (float x = 1; !stop.get(); x = x % 1000 + 1) {
                    ModelVersion version = lease(repository, retries);
                    try {
                      assertThat(run(version, x)).isIn(x, 2 * x);
                      answers.incrementAndGet();
                    } finally {
                      version.release();
                    }
                  }
                  return null;
                }));
      }
      List<ModelVersion> replaced = new ArrayList<>();
      for (int round = 0; round < 30; round++) {
        replaced.add(Objects.requireNonNull(Objects.requireNonNull(repository.find("m")).version(1)));
        OnnxModels.linear(1 + round % 2, 0, 2).writeTo(root, "m", 1);
        repository.load("m", 1);
        repository.unload("m", 2);
        repository.load("m", 2);
      }
      stop.set(true);
      for (Future<?> caller : callers) {
        caller.get();
      }
      for (ModelVersion version : replaced) {
        version.closed().join();
        assertThat(version.callsInFlight()).isZero();
      }
    }
    System.out.println(answers + " answers, " + retries + " leases looked for twice, " + changes + " changes");
    assertThat(answers.get()).isPositive();
  }

  private static ModelVersion lease(ModelRepository repository, AtomicLong retries) {
    while (true) {
      ModelVersion version = Objects.requireNonNull(repository.find("m")).latest();
      if (version != null && version.tryAcquire()) {
        return version;
      }
      retries.incrementAndGet();
    }
  }

  private ModelRepository loaded() throws IOException {
    ModelRepository repository = ModelRepository.open(root, new OnnxRuntime());
    repository.loadAll();
    return repository;
  }

  private void config(String model, String text) throws IOException {
    Files.writeString(Files.createDirectories(root.resolve(model)).resolve("config.pbtxt"), text);
  }

  private static List<Long> ready(ModelRepository repository, String model) {
    return Objects.requireNonNull(repository.find(model)).versions().stream().map(ModelVersion::version).toList();
  }

  private static String reason(ModelRepository repository, String model, long version) {
    VersionStatus status = Objects.requireNonNull(repository.status(model, version));
    assertThat(status.state()).isEqualTo(State.UNAVAILABLE);
    return status.reason();
  }

  private static float run(ModelRepository repository, String model, long version, float x)
      throws ModelExecutionException {
    return run(Objects.requireNonNull(Objects.requireNonNull(repository.find(model)).version(version)), x);
  }

  private static float run(ModelVersion version, float x) throws ModelExecutionException {
    Tensor input = floats("x", Shape.of(1, 2), x, x);
    return Tensors.floats(version.run(List.of(input), Y, RunControl.none()).getFirst())[0];
  }

  private static void assertRefused(ModelRepository repository, String model, long version, String message) {
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> repository.load(model, version))
        .withMessage(message);
  }
}
