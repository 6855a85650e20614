package dev.sluice.runtime.repository;

import static dev.sluice.runtime.testing.Tensors.floats;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelLoadException.Kind;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.Pins.Pin;
import dev.sluice.runtime.repository.Pins.Move;
import dev.sluice.runtime.repository.VersionStatus.State;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/// What is loaded when: by the poll, on request, and what neither may touch.
@Timeout(120)
class ControlModesTest {
  private static final RepositoryOptions POLL = RepositoryOptions.defaults().withMode(ControlMode.POLL);
  private static final RepositoryOptions EXPLICIT = RepositoryOptions.defaults().withMode(ControlMode.EXPLICIT);

  @TempDir Path root;

  /// Every file is given a time of its own, long ago: no look is too early.
  private long seconds = Instant.parse("2020-01-01T00:00:00Z").getEpochSecond();

  private final GatedRuntime runtime = new GatedRuntime();

  // --- poll -----------------------------------------------------------------------------------------------------------

  @Test
  void aPollFollowsNewVersionsAndModels() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = loaded(POLL)) {
      write("m", 2, OnnxModels.linear(2, 0, 2));
      write("other", 1, OnnxModels.linear(3, 0, 2));
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).containsExactly(2L);
      assertThat(run(repository, "m", 2)).isEqualTo(2);
      assertThat(run(repository, "other", 1)).isEqualTo(3);
      await().untilAsserted(() -> assertThat(status(repository, "m", 1)).isEqualTo("UNAVAILABLE unloaded"));
    }
  }

  @Test
  void onlyWhatHasChangedIsLoadedAgain() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("m", 2, OnnxModels.linear(2, 0, 2));
    config("m", "version_policy { all {} }");
    try (ModelRepository repository = loaded(POLL)) {
      ModelVersion first = version(repository, "m", 1);
      ModelVersion second = version(repository, "m", 2);
      assertThat(repository.poll()).isTrue();
      write("m", 2, OnnxModels.linear(5, 0, 2));
      pollUntilSettled(repository);
      assertThat(version(repository, "m", 1)).isSameAs(first);
      assertThat(version(repository, "m", 2)).isNotSameAs(second);
      assertThat(run(repository, "m", 2)).isEqualTo(5);
      config("m", "version_policy { all {} } max_batch_size: 8");
      pollUntilSettled(repository);
      assertThat(version(repository, "m", 1)).isNotSameAs(first);
      assertThat(requireNonNull(repository.find("m")).maxBatchSize()).isEqualTo(8);
    }
  }

  @Test
  void filesThatAreStillBeingWrittenAreNotLoaded() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = loaded(POLL)) {
      runtime.loads.set(0);
      Path folder = Files.createDirectories(root.resolve("m/2"));
      byte[] whole = Files.readAllBytes(root.resolve("m/1/model.onnx"));
      for (int length = 1; length < 6; length++) {
        Files.write(folder.resolve("model.onnx"), Arrays.copyOf(whole, length * whole.length / 5));
        age(folder);
        assertThat(repository.poll()).as("settled while it grows").isFalse();
      }
      assertThat(runtime.loads.get()).isZero();
      assertThat(repository.poll()).isTrue();
      assertThat(runtime.loads.get()).isEqualTo(1);
      assertThat(ready(repository, "m")).containsExactly(2L);
    }
  }

  @Test
  void aVersionThatFailedIsTriedAgainWhenItsFilesChange() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = loaded(POLL)) {
      write("m", 2, OnnxModels.unknownOperator());
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).as("nothing is dropped for what is not there").containsExactly(1L);
      assertThat(status(repository, "m", 2)).startsWith("UNAVAILABLE m/2/model.onnx uses the operator 'Frobnicate'");
      runtime.loads.set(0);
      for (int i = 0; i < 5; i++) {
        assertThat(repository.poll()).isTrue();
      }
      assertThat(runtime.loads.get()).isZero();
      write("m", 2, OnnxModels.linear(2, 0, 2));
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).containsExactly(2L);
    }
  }

  @Test
  void aReplacementThatFailsLeavesTheOldOneAndIsForgivenWhenTakenBack() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    FileTime before = Files.getLastModifiedTime(root.resolve("m/1/model.onnx"));
    byte[] good = Files.readAllBytes(root.resolve("m/1/model.onnx"));
    try (ModelRepository repository = loaded(POLL)) {
      write("m", 1, OnnxModels.unknownOperator());
      pollUntilSettled(repository);
      assertThat(run(repository, "m", 1)).isEqualTo(1);
      assertThat(status(repository, "m", 1)).startsWith("READY not replaced: m/1/model.onnx uses the operator");
      Files.write(root.resolve("m/1/model.onnx"), good);
      Files.setLastModifiedTime(root.resolve("m/1/model.onnx"), before);
      pollUntilSettled(repository);
      assertThat(status(repository, "m", 1)).isEqualTo("READY ");
    }
  }

  @Test
  void aConfigurationThatBreaksTakesNothingAway() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = loaded(POLL)) {
      config("m", "max_batch_size = 4");
      pollUntilSettled(repository);
      assertThat(run(repository, "m", 1)).isEqualTo(1);
      assertThat(status(repository, "m", 1)).startsWith("READY not replaced: m/config.pbtxt, line 1, column 16: ");
      config("m", "version_policy { specific { versions: 2 } }");
      pollUntilSettled(repository);
      assertThat(status(repository, "m", 1)).contains("its version_policy names none of the versions [1]");
      write("m", 2, OnnxModels.linear(2, 0, 2));
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).containsExactly(2L);
    }
  }

  @Test
  void whatLeavesTheDirectoryIsUnloadedAndForgotten() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("m", 2, OnnxModels.linear(2, 0, 2));
    write("other", 1, OnnxModels.linear(3, 0, 2));
    try (ModelRepository repository = loaded(POLL)) {
      delete(root.resolve("m/2"));
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).as("the latest that is left").containsExactly(1L);
      ModelVersion leased = version(repository, "other", 1);
      assertThat(leased.tryAcquire()).isTrue();
      delete(root.resolve("other"));
      pollUntilSettled(repository);
      assertThat(ready(repository, "other")).isEmpty();
      assertThat(repository.known("other")).as("while it drains").isTrue();
      leased.release();
      leased.closed().join();
      await()
          .untilAsserted(
              () -> {
                assertThat(repository.poll()).isTrue();
                assertThat(repository.known("other")).isFalse();
              });
      delete(root.resolve("m/1"));
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).isEmpty();
      assertThat(repository.index()).extracting(VersionStatus::model).containsOnly("m");
    }
  }

  @Test
  void garbageInTheDirectoryIsPassedBy() throws Exception {
    write("good", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = loaded(POLL)) {
      Files.createDirectories(root.resolve("hollow/1"));
      Files.createDirectories(root.resolve("versionless/src"));
      Files.createDirectories(root.resolve("not a model/1"));
      Files.writeString(root.resolve("notes.txt"), "hello");
      Files.writeString(root.resolve("good/README"), "hello");
      Files.createDirectories(root.resolve("good/v2"));
      OnnxGraph.write(root, "broken", 1, new byte[] {1, 2, 3});
      Files.createSymbolicLink(root.resolve("broken/1/nowhere"), Path.of("gone"));
      age(root);
      pollUntilSettled(repository);
      assertThat(run(repository, "good", 1)).isEqualTo(1);
      assertThat(status(repository, "hollow", 1)).isEqualTo("UNAVAILABLE hollow/1/model.onnx does not exist");
      assertThat(status(repository, "versionless", 0)).startsWith("UNAVAILABLE versionless has no version folder");
      assertThat(status(repository, "broken", 1)).startsWith("UNAVAILABLE broken/1/model.onnx is corrupt");
      assertThat(repository.known("not a model")).isFalse();
      write("hollow", 1, OnnxModels.linear(4, 0, 2));
      pollUntilSettled(repository);
      assertThat(run(repository, "hollow", 1)).isEqualTo(4);
    }
  }

  @Test
  void whatSomebodyLoadedByItsNumberStaysThoughThePolicyDoesNotNameIt() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("m", 2, OnnxModels.linear(2, 0, 2));
    try (ModelRepository repository = loaded(POLL)) {
      repository.load("m", 1);
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).containsExactly(1L, 2L);
      repository.unload("m", 1);
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).containsExactly(2L);
    }
  }

  // --- explicit -------------------------------------------------------------------------------------------------------

  @Test
  void inExplicitModeNothingIsLoadedUntilSomebodyAsks() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("other", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      assertThat(repository.controlMode()).isEqualTo(ControlMode.EXPLICIT);
      assertThat(repository.index())
          .containsExactly(
              new VersionStatus("m", 0, State.UNKNOWN, ""), new VersionStatus("other", 0, State.UNKNOWN, ""));
      repository.load("m");
      assertThat(run(repository, "m", 1)).isEqualTo(1);
      write("late", 1, OnnxModels.linear(1, 0, 2));
      assertThat(repository.index()).extracting(VersionStatus::model).containsExactly("late", "m", "other");
      repository.unload("m");
      await().untilAsserted(() -> assertThat(status(repository, "m", 1)).isEqualTo("UNAVAILABLE unloaded"));
      repository.unload("m");
      repository.load("m");
      assertThat(run(repository, "m", 1)).isEqualTo(1);
    }
  }

  @Test
  void aLoadBringsInWhatHasChangedAndDropsWhatThePolicyNoLongerNames() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("m", 2, OnnxModels.linear(2, 0, 2));
    config("m", "version_policy { all {} }");
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.load("m");
      ModelVersion first = version(repository, "m", 1);
      repository.load("m");
      assertThat(version(repository, "m", 1)).as("nothing has changed").isSameAs(first);
      write("m", 2, OnnxModels.linear(5, 0, 2));
      write("m", 3, OnnxModels.linear(3, 0, 2));
      repository.load("m");
      assertThat(version(repository, "m", 1)).isSameAs(first);
      assertThat(run(repository, "m", 2)).isEqualTo(5);
      assertThat(run(repository, "m", 3)).isEqualTo(3);
      config("m", "version_policy { latest { num_versions: 1 } }");
      repository.load("m");
      assertThat(ready(repository, "m")).containsExactly(3L);
    }
  }

  @Test
  void aFileThatIsWrittenTwiceWithinATickIsNotTakenForUnchanged() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      // As late as can be, and a little ahead: the look has to fall into the same tick on a slow machine, too.
      FileTime now = FileTime.from(Instant.now().plusMillis(15));
      Files.setLastModifiedTime(root.resolve("m/1/model.onnx"), now);
      repository.load("m");
      OnnxModels.linear(2, 0, 2).writeTo(root, "m", 1);
      Files.setLastModifiedTime(root.resolve("m/1/model.onnx"), now);
      repository.load("m");
      assertThat(run(repository, "m", 1)).isEqualTo(2);
    }
  }

  @Test
  void aConfigurationCanComeWithTheLoad() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("m", 2, OnnxModels.linear(2, 0, 2));
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.load("m", "{\"max_batch_size\": 16, \"version_policy\": {\"specific\": {\"versions\": [1]}}}");
      assertThat(ready(repository, "m")).containsExactly(1L);
      assertThat(requireNonNull(repository.find("m")).maxBatchSize()).isEqualTo(16);
      assertRefused(() -> repository.load("m", "{\"max_batch_size\": \"many\"}"), Kind.INVALID, "the config given for model 'm'");
      assertThat(ready(repository, "m")).containsExactly(1L);
      repository.load("m");
      assertThat(ready(repository, "m")).as("the file again").containsExactly(2L);
    }
  }

  @Test
  void aConfigurationReplacesWhatWasLoadedFromTheSameFilesWithoutIt() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    config("m", "max_batch_size: 8");
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.load("m");
      repository.load("m", "{\"max_batch_size\": 16}");
      assertThat(requireNonNull(repository.find("m")).maxBatchSize()).isEqualTo(16);
      repository.load("m");
      assertThat(requireNonNull(repository.find("m")).maxBatchSize()).as("the file again").isEqualTo(8);
    }
  }

  @Test
  void aLoadThatFailsSaysWhyAndTakesNothingAway() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("m", 2, OnnxModels.linear(2, 0, 2));
    config("m", "version_policy { all {} }");
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.load("m");
      write("m", 1, OnnxModels.unknownOperator());
      write("m", 2, OnnxModels.linear(5, 0, 2));
      assertRefused(() -> repository.load("m"), Kind.INVALID, "m/1/model.onnx uses the operator 'Frobnicate'");
      assertThat(run(repository, "m", 1)).isEqualTo(1);
      assertThat(run(repository, "m", 2)).as("all or nothing is for each version").isEqualTo(5);
      assertRefused(() -> repository.load("m"), Kind.INVALID, "m/1/model.onnx uses the operator 'Frobnicate'");
      assertRefused(() -> repository.load("nobody"), Kind.NOT_FOUND, "model 'nobody' is not in the repository");
      assertRefused(() -> repository.load("../m"), Kind.NOT_FOUND, "model '../m' is not in the repository");
      assertRefused(() -> repository.unload("nobody"), Kind.NOT_FOUND, "model 'nobody' is not in the repository");
      assertThat(repository.known("nobody")).isFalse();
    }
  }

  @Test
  void outsideExplicitModeModelsAreNeitherLoadedNorUnloadedOnRequest() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    for (RepositoryOptions options : List.of(POLL, RepositoryOptions.defaults())) {
      try (ModelRepository repository = loaded(options)) {
        String words = "explicit model load / unload is not allowed if polling is enabled";
        assertRefused(() -> repository.load("m"), Kind.UNAVAILABLE, words);
        assertRefused(() -> repository.unload("m"), Kind.UNAVAILABLE, words);
        assertThat(run(repository, "m", 1)).isEqualTo(1);
      }
    }
  }

  @Test
  void modelsToLoadAtTheStartThatAreNotThereAreTold() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("other", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.loadAll(List.of("m", "absent"));
      assertThat(ready(repository, "m")).containsExactly(1L);
      assertThat(ready(repository, "other")).isEmpty();
      assertThat(status(repository, "absent", 0)).isEqualTo("UNAVAILABLE model 'absent' is not in the repository");
      write("absent", 1, OnnxModels.linear(7, 0, 2));
      repository.load("absent");
      assertThat(run(repository, "absent", 1)).isEqualTo(7);
    }
  }

  // --- pins -----------------------------------------------------------------------------------------------------------

  @Test
  void aPinnedVersionIsNeitherDroppedNorUnloaded() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    Map<Long, Pin> pins = new HashMap<>();
    try (ModelRepository repository = loaded(POLL)) {
      repository.heed(model -> Map.copyOf(pins));
      pins.put(1L, new Pin(Set.of(Move.POLICY), "relied on"));
      write("m", 2, OnnxModels.linear(2, 0, 2));
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).containsExactly(1L, 2L);
      pins.put(1L, new Pin(Set.of(Move.POLICY, Move.UNLOAD), "relied on"));
      assertRefused(() -> repository.unload("m", 1), Kind.REFUSED, "model 'm' version 1 stays: it is relied on");
      delete(root.resolve("m"));
      pollUntilSettled(repository);
      assertThat(ready(repository, "m")).as("even without its folder").containsExactly(1L);
      ModelVersion pinned = version(repository, "m", 1);
      pins.clear();
      pollUntilSettled(repository);
      assertThat(pinned.tryAcquire()).isFalse();
    }
  }

  @Test
  void aVersionThatIsPinnedIsLoadedWithItsModel() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("m", 2, OnnxModels.linear(2, 0, 2));
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.heed(model -> Map.of(1L, new Pin(Set.of(Move.POLICY, Move.UNLOAD), "decided on")));
      repository.load("m");
      assertThat(ready(repository, "m")).containsExactly(1L, 2L);
      repository.unload("m");
      assertThat(ready(repository, "m")).isEmpty();
    }
  }

  @Test
  void whatIsOnTrialIsNeverReplaced() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    Map<Long, Pin> pins = new HashMap<>(Map.of(1L, new Pin(EnumSet.allOf(Move.class), "in rollout 'r'")));
    String words = "model 'm' version 1 is in rollout 'r': replacing it would make the evidence another version's";
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.load("m");
      repository.heed(model -> Map.copyOf(pins));
      repository.load("m");
      write("m", 1, OnnxModels.linear(9, 0, 2));
      assertRefused(() -> repository.load("m"), Kind.REFUSED, words);
      assertRefused(() -> repository.load("m", 1), Kind.REFUSED, words);
      assertRefused(() -> repository.unload("m"), Kind.REFUSED, "failed to unload 'm': version 1 is in rollout 'r'");
      assertThat(repository.poll()).isTrue();
      assertThat(repository.poll()).isTrue();
      assertThat(run(repository, "m", 1)).isEqualTo(1);
      pins.clear();
      pollUntilSettled(repository);
      assertThat(run(repository, "m", 1)).as("as soon as the rollout has ended").isEqualTo(9);
    }
  }

  // --- side by side ---------------------------------------------------------------------------------------------------

  @Test
  void aLongLoadHoldsUpNeitherReadersNorAnotherModelsChanges() throws Exception {
    write("slow", 1, OnnxModels.linear(1, 0, 2));
    write("m", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT.withLoadThreads(2));
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      runtime.holdBack("slow");
      Future<?> slow = threads.submit(() -> load(repository, "slow"));
      runtime.awaitHeld();
      assertThat(status(repository, "slow", 1)).isEqualTo("LOADING ");
      repository.load("m");
      assertThat(run(repository, "m", 1)).isEqualTo(1);
      repository.unload("m");
      assertThat(slow).isNotDone();
      runtime.letGo();
      slow.get();
      assertThat(run(repository, "slow", 1)).isEqualTo(1);
    }
  }

  @Test
  void noMoreModelsAreLoadedAtOnceThanThereAreThreadsForIt() throws Exception {
    for (int i = 0; i < 8; i++) {
      write("m" + i, 1, OnnxModels.linear(1, 0, 2));
    }
    for (int threads : new int[] {1, 3}) {
      try (ModelRepository repository = ModelRepository.open(root, runtime, POLL.withLoadThreads(threads))) {
        runtime.most.set(0);
        repository.loadAll();
        assertThat(runtime.most.get()).isBetween(1, threads);
        assertThat(repository.statuses()).hasSize(8).allMatch(status -> status.state() == State.READY);
      }
    }
  }

  @Test
  void loadsAndUnloadsOfOneModelFollowOneAnother() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT.withLoadThreads(3))) {
      try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 60; i++) {
          int turn = i;
          all.add(
              threads.submit(
                  () -> {
                    switch (turn % 3) {
                      case 0 -> load(repository, "m");
                      case 1 -> repository.unload("m");
                      default -> repository.load("m", 1);
                    }
                    return null;
                  }));
        }
        for (Future<?> one : all) {
          one.get();
        }
      }
      repository.load("m");
      assertThat(run(repository, "m", 1)).isEqualTo(1);
      assertThat(runtime.most.get()).as("never two loads of one model").isEqualTo(1);
    }
    await().untilAsserted(() -> assertThat(runtime.open.get()).as("sessions left open").isZero());
  }

  @Test
  void closingDuringALoadLeavesNothingOpenAndRefusesWhoeverWaits() throws Exception {
    write("slow", 1, OnnxModels.linear(1, 0, 2));
    write("next", 1, OnnxModels.linear(1, 0, 2));
    ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      runtime.holdBack("slow");
      CompletableFuture<Kind> slow = failure(threads, () -> repository.load("slow"));
      runtime.awaitHeld();
      CompletableFuture<Kind> next = failure(threads, () -> repository.load("next"));
      Future<?> closing = threads.submit(repository::close);
      await().untilAsserted(() -> assertThat(repository.models()).isEmpty());
      runtime.letGo();
      closing.get();
      assertThat(slow.get(10, TimeUnit.SECONDS)).isEqualTo(Kind.UNAVAILABLE);
      assertThat(next.get(10, TimeUnit.SECONDS)).isEqualTo(Kind.UNAVAILABLE);
      await().untilAsserted(() -> assertThat(runtime.open.get()).isZero());
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void modelsAreLoadedAtTheLowestPriorityAndNobodyElseIs() throws Exception {
    write("m", 1, OnnxModels.linear(1, 0, 2));
    write("wide", 1, OnnxModels.linear(1, 0, 2));
    config("wide", "parameters { key: \"intra_op_thread_count\" value: { string_value: \"2\" } }");
    try (ModelRepository repository = ModelRepository.open(root, runtime, EXPLICIT)) {
      repository.load("m");
      assertThat(runtime.niceOfLastLoad).isEqualTo(19);
      assertThat(nice()).isZero();
      repository.load("wide");
      assertThat(runtime.niceOfLastLoad).as("its threads inherit the priority").isZero();
      repository.load("m");
    }
  }

  // --- saying it briefly ----------------------------------------------------------------------------------------------

  private ModelRepository loaded(RepositoryOptions options) throws IOException {
    ModelRepository repository = ModelRepository.open(root, runtime, options);
    repository.loadAll();
    return repository;
  }

  private static Void load(ModelRepository repository, String model) throws ModelLoadException {
    repository.load(model);
    return null;
  }

  private static void pollUntilSettled(ModelRepository repository) {
    boolean first = repository.poll();
    boolean second = repository.poll();
    assertThat(second).as("settled at the second look; at the first: %s", first).isTrue();
  }

  private interface Request {
    void run() throws ModelLoadException;
  }

  private static void assertRefused(Request request, Kind kind, String words) {
    ModelLoadException refusal = catchThrowableOfType(ModelLoadException.class, request::run);
    assertThat(refusal).isNotNull();
    assertThat(refusal.getMessage()).startsWith(words);
    assertThat(refusal.kind()).isEqualTo(kind);
  }

  private static CompletableFuture<Kind> failure(ExecutorService threads, Request request) {
    CompletableFuture<Kind> failure = new CompletableFuture<>();
    threads.execute(
        () -> {
          try {
            request.run();
            failure.completeExceptionally(new AssertionError("it was loaded"));
          } catch (ModelLoadException e) {
            failure.complete(e.kind());
          }
        });
    return failure;
  }

  private void write(String model, long version, OnnxGraph graph) throws IOException {
    graph.writeTo(root, model, version);
    age(root.resolve(model).resolve(Long.toString(version)));
  }

  private void config(String model, String text) throws IOException {
    Path file = Files.createDirectories(root.resolve(model)).resolve("config.pbtxt");
    Files.writeString(file, text);
    age(file);
  }

  private void age(Path below) throws IOException {
    try (var files = Files.walk(below)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.setLastModifiedTime(file, FileTime.from(Instant.ofEpochSecond(seconds++)));
      }
    }
  }

  private static void delete(Path folder) throws IOException {
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path directory, IOException failure) throws IOException {
            Files.delete(directory);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /// A model whose folder is gone is forgotten once its last version is closed, which happens on a thread of its own.
  private static List<Long> ready(ModelRepository repository, String name) {
    Model model = repository.find(name);
    return model == null ? List.of() : model.versions().stream().map(ModelVersion::version).toList();
  }

  private static ModelVersion version(ModelRepository repository, String model, long version) {
    return requireNonNull(requireNonNull(repository.find(model)).version(version));
  }

  private static String status(ModelRepository repository, String model, long version) {
    VersionStatus status = requireNonNull(repository.status(model, version));
    return status.state() + " " + status.reason();
  }

  /// `y` for `x = 1`: the factor of a linear model.
  private static float run(ModelRepository repository, String model, long version) throws Exception {
    return version(repository, model, version)
        .run(List.of(floats("x", Shape.of(1, 2), 1, 1)), List.of("y"), RunControl.create())
        .getFirst()
        .bytes()
        .getFloat(0);
  }

  /// How the kernel ranks the calling thread: the 17th field after the command, which ends with a bracket.
  private static int nice() throws IOException {
    String stat = Files.readString(Path.of("/proc/thread-self/stat"));
    return Integer.parseInt(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[16]);
  }

  /// ONNX Runtime, with a gate in front and account kept.
  private static final class GatedRuntime implements ModelRuntime {
    private final ModelRuntime real = new OnnxRuntime();
    private final AtomicInteger loads = new AtomicInteger();
    private final AtomicInteger now = new AtomicInteger();
    private final AtomicInteger most = new AtomicInteger();
    private final AtomicInteger open = new AtomicInteger();
    private final CountDownLatch held = new CountDownLatch(1);
    private final Semaphore gate = new Semaphore(0);
    private volatile String heldBack = "";
    private volatile int niceOfLastLoad;

    void holdBack(String model) {
      heldBack = model;
    }

    void awaitHeld() throws InterruptedException {
      assertThat(held.await(10, TimeUnit.SECONDS)).isTrue();
    }

    void letGo() {
      gate.release();
    }

    @Override
    public Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException {
      loads.incrementAndGet();
      most.accumulateAndGet(now.incrementAndGet(), Math::max);
      try {
        niceOfLastLoad = System.getProperty("os.name", "").equals("Linux") ? nice() : 0;
        if (versionFolder.getName(versionFolder.getNameCount() - 2).toString().equals(heldBack)) {
          held.countDown();
          gate.acquire();
        }
        Session session = real.load(versionFolder, settings);
        open.incrementAndGet();
        return counted(session);
      } catch (InterruptedException | IOException e) {
        throw new ModelLoadException("the gate broke", e);
      } finally {
        now.decrementAndGet();
      }
    }

    private Session counted(Session session) {
      return new Session() {
        @Override
        public Signature signature() {
          return session.signature();
        }

        @Override
        public List<Tensor> run(
            List<Tensor> inputs, List<String> outputs, RunControl control)
            throws ModelExecutionException {
          return session.run(inputs, outputs, control);
        }

        @Override
        public DeviceUse devices() {
          return session.devices();
        }

        @Override
        public void close() {
          session.close();
          open.decrementAndGet();
        }
      };
    }
  }
}
