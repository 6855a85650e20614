package dev.sluice.gateway.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.gateway.store.StoredRollout.Firing;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.stop.Stop;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// What every store promises. Each implementation runs it.
abstract class StoreContract {

  /// The storage of the running test: empty at first, the same one at every later call within the test.
  abstract Store open();

  @SuppressWarnings("NullAway.Init") // opened before each test
  Store store;

  @BeforeEach
  void openEmpty() {
    store = open();
  }

  @AfterEach
  void close() {
    store.close();
  }

  private void reopen() {
    store.close();
    store = open();
  }

  @Test
  void anEmptyStoreIsAtRevisionZero() {
    assertThat(store.revision()).isZero();
    assertThat(store.rollouts()).isEmpty();
    assertThat(store.servingVersions()).isEmpty();
    assertThat(store.labels()).isEmpty();
    assertThat(store.events(null, 0, 10)).isEmpty();
    store.verify();
  }

  @Test
  void whatWasCommittedIsThereAfterReopening() throws Exception {
    StoredRollout armed = rollout("fraud-v2", new Stage.Running(0, 5), null);
    AuditEvent created = store.commit(change(armed, "created", null, 0, 1_000));
    Firing firing = new Firing(new Stop("error-rate", "country=JP", 3, 17, 21, 1234.5, 1000, 42), 1_999, 420);
    AuditEvent stopped =
        store.commit(
            change(
                rollout("fraud-v2", new Stage.Stopped("too many"), firing), "stopped",
                new ServingVersion("fraud", 1), created.revision(), 2_000));

    reopen();

    assertThat(store.revision()).isEqualTo(2);
    assertThat(store.rollouts())
        .containsExactly(
            new StoredRollout(
                "fraud-v2", armed.noteYaml(), armed.noteSha256(), armed.salt(), 1,
                new RolloutState(new Stage.Stopped("too many"), 7, 500, 100, List.of(1L, 2L)), "because", firing, 2,
                1_000, 2_000));
    assertThat(store.servingVersions()).containsExactly(Map.entry("fraud", 1L));
    assertThat(store.events(null, 0, 10)).containsExactly(created, stopped);
    assertThat(created)
        .extracting(
            AuditEvent::revision, AuditEvent::timeMillis, AuditEvent::rollout, AuditEvent::actor, AuditEvent::kind,
            AuditEvent::reason, AuditEvent::detailJson)
        .containsExactly(1L, 1_000L, "fraud-v2", "someone", "created", "created for a reason", "{}");
    store.verify();
  }

  @Test
  void labelsAreThereAfterReopeningUntilTheyAreRemoved() throws Exception {
    store.commit(change(rollout("r", new Stage.Running(0, 5), null), "created", null, 0, 1_000));
    AuditEvent first = store.commit(label("stable", 1, 2_000));
    store.commit(label("canary", 2, 3_000));
    store.commit(label("stable", 2, 4_000));
    store.commit(label("old", 1, 5_000));
    store.commit(label("old", 0, 6_000));

    reopen();

    assertThat(store.labels()).isEqualTo(Map.of("m", Map.of("canary", 2L, "stable", 2L)));
    assertThat(store.revision()).isEqualTo(6);
    assertThat(first)
        .isEqualTo(
            new AuditEvent(
                2, 2_000, "", "someone", "labelled", "for a reason", "{\"label\":\"stable\"}", first.hash()));
    assertThat(store.events(null, 1, 1)).containsExactly(first);
    assertThat(store.events("r", 0, 10)).as("a label is no rollout's").hasSize(1);
    store.verify();
  }

  @Test
  void rolloutsComeInTheOrderOfTheirCreation() throws Exception {
    for (String name : List.of("b", "a", "c", "a", "b")) {
      store.commit(change(rollout(name, new Stage.Running(0, 0), null), "changed", null, 0, 7));
    }
    assertThat(store.rollouts()).extracting(StoredRollout::name).containsExactly("b", "a", "c");
    assertThat(store.rollouts()).extracting(StoredRollout::revision).containsExactly(5L, 4L, 3L);
  }

  @Test
  void eventsArePagedByRevisionAndRollout() throws Exception {
    for (int i = 0; i < 10; i++) {
      store.commit(change(rollout(i % 2 == 0 ? "even" : "odd", new Stage.Running(i, 0), null), "changed", null, 0, i));
    }
    assertThat(store.events(null, 3, 4)).extracting(AuditEvent::revision).containsExactly(4L, 5L, 6L, 7L);
    assertThat(store.events("odd", 4, 100)).extracting(AuditEvent::revision).containsExactly(6L, 8L, 10L);
    assertThat(store.events("odd", 0, 1)).extracting(AuditEvent::revision).containsExactly(2L);
    assertThat(store.events("nobody", 0, 100)).isEmpty();
  }

  @Test
  void aChangeDecidedOnStaleSightIsRefusedAndLeavesNoTrace() throws Exception {
    StoredRollout rollout = rollout("r", new Stage.Running(0, 0), null);
    assertThatThrownBy(() -> store.commit(change(rollout, "changed", null, 4, 0)))
        .isInstanceOf(StaleRevisionException.class)
        .hasMessage("rollout 'r' is at revision 0, not at 4");
    store.commit(change(rollout, "created", null, 0, 0));
    store.commit(change(rollout("other", new Stage.Running(0, 0), null), "created", null, 0, 0));
    store.commit(change(rollout, "changed", null, 1, 0)); // other rollouts' revisions do not make this one stale

    assertThatThrownBy(
            () -> store.commit(change(rollout, "changed", new ServingVersion("m", 9), 1, 0)))
        .isInstanceOfSatisfying(StaleRevisionException.class, stale -> assertThat(stale.actualRevision()).isEqualTo(3));

    assertThat(store.revision()).isEqualTo(3);
    assertThat(store.servingVersions()).isEmpty();
    store.verify();
  }

  @Test
  void aNameIsNeverReusedForAnotherAttempt() throws Exception {
    StoredRollout first = rollout("r", new Stage.Aborted(""), null);
    store.commit(change(first, "created", null, 0, 0));
    StoredRollout second =
        StoredRollout.create("r", first.noteYaml(), first.noteSha256(), first.salt() + 1, 1, first.state(), "");
    assertThatThrownBy(() -> store.commit(change(second, "created", null, 0, 0)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("rollout 'r' exists with another note or salt");
    assertThat(store.revision()).isEqualTo(1);
    assertThat(store.rollouts()).extracting(StoredRollout::salt).containsExactly(first.salt());
  }

  @Test
  void concurrentCommitsGetEveryRevisionOnce() throws Exception {
    List<AuditEvent> events = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<List<AuditEvent>>> all =
          threads.invokeAll(
              IntStream.range(0, 4)
                  .<Callable<List<AuditEvent>>>mapToObj(
                      thread ->
                          () -> {
                            List<AuditEvent> mine = new ArrayList<>();
                            StoredRollout rollout = rollout("r" + thread, new Stage.Running(0, 0), null);
                            for (int i = 0; i < 25; i++) {
                              mine.add(store.commit(change(rollout, "changed", null, 0, i)));
                            }
                            return mine;
                          })
                  .toList());
      for (Future<List<AuditEvent>> one : all) {
        events.addAll(one.get());
      }
    }
    assertThat(events)
        .extracting(AuditEvent::revision)
        .containsExactlyInAnyOrderElementsOf(LongStream.rangeClosed(1, 100).boxed().toList());
    assertThat(store.events(null, 0, 1_000)).containsExactlyInAnyOrderElementsOf(events);
    store.verify();
  }

  @Test
  void ofManyChangesOfTheSameSightExactlyOneIsTaken() throws Exception {
    StoredRollout rollout = rollout("r", new Stage.Running(0, 0), null);
    store.commit(change(rollout, "created", null, 0, 0));
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<Boolean>> all =
          threads.invokeAll(
              IntStream.range(0, 20)
                  .<Callable<Boolean>>mapToObj(
                      i ->
                          () -> {
                            try {
                              store.commit(change(rollout, "changed", null, 1, i));
                              return true;
                            } catch (StaleRevisionException stale) {
                              return false;
                            }
                          })
                  .toList());
      int taken = 0;
      for (Future<Boolean> one : all) {
        taken += one.get() ? 1 : 0;
      }
      assertThat(taken).isEqualTo(1);
    }
    assertThat(store.revision()).isEqualTo(2);
  }

  static StoredRollout rollout(String name, Stage stage, @Nullable Firing firing) {
    return new StoredRollout(
        name, "rollout: " + name + "\n# é \ud83d\ude00\n", "ab12", -42, 1,
        new RolloutState(stage, 7, 500, 100, List.of(1L, 2L)), "because", firing, 0, 0, 0);
  }

  static LabelChange label(String label, long version, long nowMillis) {
    return new LabelChange(
        "m", label, version, "someone", "labelled", "for a reason", "{\"label\":\"%s\"}".formatted(label), nowMillis);
  }

  static Change change(
      StoredRollout rollout, String kind, @Nullable ServingVersion serving, long expectedRevision, long nowMillis) {
    return new Change(
        rollout, "someone", kind, kind + " for a reason", "{}", serving, expectedRevision, nowMillis);
  }
}
