package dev.sluice.gateway.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.router.rollout.Stage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SqliteStoreTest extends StoreContract {

  @TempDir Path directory;

  @Override
  Store open() {
    return SqliteStore.open(file());
  }

  private Path file() {
    return directory.resolve("sluice.db");
  }

  // --- tampering -----------------------------------------------------------------------------------------------------

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "UPDATE events SET reason = 'innocent' WHERE revision = 3 | audit event 3 of rollout 'r' is not what was written",
        "UPDATE events SET actor = 'else', kind = 'x' WHERE revision = 5 | audit event 5 of rollout 'r' is not what was written",
        "DELETE FROM events WHERE revision = 2 | audit event 2 is missing; the next one is 3",
        "DELETE FROM events WHERE revision = 5 | audit event 5 is missing: the newest revision is 5, but the last event is 4",
        "UPDATE head SET hash = 'f' | audit event 5 is not what was written: its hash is not the newest one",
        "UPDATE rollouts SET revision = 4 | audit event 4: rollout 'r' stands at this revision, but its last event is 5",
      })
  void anEditedAuditTrailIsNamedByItsFirstWrongEvent(String edit, String message) throws Exception {
    fiveChanges();
    editBehindTheStoresBack(edit);
    assertThatThrownBy(store::verify).isInstanceOf(AuditBrokenException.class).hasMessageContaining(message);
  }

  @Test
  void theDatabaseItselfRefusesToChangeAnEvent() throws Exception {
    fiveChanges();
    try (Connection other = DriverManager.getConnection("jdbc:sqlite:" + file());
        Statement statement = other.createStatement()) {
      assertThatThrownBy(() -> statement.execute("UPDATE events SET actor = 'x'"))
          .hasMessageContaining("audit events are never changed");
      assertThatThrownBy(() -> statement.execute("DELETE FROM events"))
          .hasMessageContaining("audit events are never deleted");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "UPDATE rollouts SET state = replace(state, '500', '900') | the row of rollout 'r' is not what was written",
        "UPDATE rollouts SET state = replace(state, 'running', 'walking') | unknown stage 'walking'",
        "UPDATE rollouts SET salt = 1 | the row of rollout 'r' is not what was written",
        "UPDATE serving SET version = 1 | the serving version of model 'm' is not what was written",
        "UPDATE labels SET version = 1 | label 'stable' of model 'm' is not what was written",
        "UPDATE labels SET label = 'canary' | label 'canary' of model 'm' is not what was written",
        "DELETE FROM head | the row of table head is missing",
        "DROP TABLE serving | no such table: serving",
        "UPDATE migrations SET sha256 = 'f' | has had another migration 1 than this Sluice's 001-first.sql",
        "INSERT INTO migrations VALUES (4, 'f') | was written by a newer Sluice: it has had migration 4",
      })
  void aStateThatIsNotWhatWasWrittenDoesNotOpen(String edit, String message) throws Exception {
    fiveChanges();
    store.commit(label("stable", 2, 6_000));
    store.close();
    editBehindTheStoresBack(edit);
    expectUnreadableAndUntouched(message);
  }

  // --- damage --------------------------------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 99, 100, 4_000, 4_096, 8_192, 20_000})
  void aTruncatedFileDoesNotOpen(int length) throws Exception {
    fiveChanges();
    store.close();
    byte[] whole = Files.readAllBytes(file());
    assertThat(whole.length).isGreaterThan(20_000);
    Files.write(file(), Arrays.copyOf(whole, length));
    expectUnreadableAndUntouched(file().toString());
  }

  @Test
  void flippedBytesAreNoticedOrHarmless() throws Exception {
    fiveChanges();
    store.commit(label("stable", 2, 6_000));
    Map<String, Map<String, Long>> labels = store.labels();
    List<StoredRollout> rollouts = store.rollouts();
    List<AuditEvent> events = store.events(null, 0, 10);
    Map<String, Long> serving = store.servingVersions();
    store.close();
    byte[] whole = Files.readAllBytes(file());
    long seed = System.nanoTime();
    Random random = new Random(seed);
    int noticed = 0;
    for (int round = 0; round < 200; round++) {
      byte[] damaged = whole.clone();
      int at = random.nextInt(damaged.length);
      damaged[at] ^= (byte) (1 << random.nextInt(8));
      Files.write(file(), damaged);
      String where = "seed %d round %d: byte %d".formatted(seed, round, at);
      try (SqliteStore opened = SqliteStore.open(file())) {
        opened.verify();
        assertThat(opened.rollouts()).as(where).isEqualTo(rollouts);
        assertThat(opened.events(null, 0, 10)).as(where).isEqualTo(events);
        assertThat(opened.servingVersions()).as(where).isEqualTo(serving);
        assertThat(opened.labels()).as(where).isEqualTo(labels);
      } catch (StoreException expected) {
        noticed++;
      }
      Files.deleteIfExists(directory.resolve("sluice.db-wal"));
      Files.deleteIfExists(directory.resolve("sluice.db-shm"));
    }
    assertThat(noticed).as("seed %d", seed).isPositive();
  }

  @Test
  void aForeignDatabaseIsRefusedAndLeftAlone() throws Exception {
    store.close();
    Files.delete(file());
    try (Connection foreign = DriverManager.getConnection("jdbc:sqlite:" + file());
        Statement statement = foreign.createStatement()) {
      statement.execute("CREATE TABLE head (revision INTEGER)");
    }
    expectUnreadableAndUntouched("is a SQLite database, but not one of Sluice's");
    Files.writeString(file(), "These are only words, but enough of them to be as long as a header. ".repeat(3));
    expectUnreadableAndUntouched("is not a SQLite database, or its beginning is damaged");
  }

  @Test
  void aLogWithoutItsDatabaseIsNoFreshStart() throws Exception {
    store.close();
    Files.delete(file());
    Files.writeString(directory.resolve("sluice.db-wal"), "x");
    assertThatThrownBy(this::open)
        .isInstanceOf(StoreUnreadableException.class)
        .hasMessageContaining("is missing, but its log");
    assertThat(file()).doesNotExist();
  }

  @Test
  void anUnfinishedCreationIsBegunAnew() throws Exception {
    store.close();
    Files.move(file(), directory.resolve("sluice.db.new"));
    store = open();
    assertThat(store.revision()).isZero();
    assertThat(directory.resolve("sluice.db.new")).doesNotExist();
  }

  // --- one process, one machine --------------------------------------------------------------------------------------

  @Test
  void aSecondOpeningIsRefusedAndDoesNotLoosenTheFirst() throws Exception {
    for (int attempt = 0; attempt < 2; attempt++) {
      assertThatThrownBy(this::open)
          .isInstanceOf(StoreLockedException.class)
          .hasMessageContaining("in use by process " + ProcessHandle.current().pid())
          .hasMessageContaining("sluice.db.lock");
    }
    fiveChanges();
    store.close();
    store = open();
    assertThat(store.revision()).isEqualTo(5);
  }

  @Test
  void aRestartOfTheMachineIsNoticedUntilItHasBeenDealtWith() {
    store.close();
    try (SqliteStore cutShort = SqliteStore.open(directory.resolve("sluice.db"), "boot-1")) {
      assertThat(cutShort.machineRestarted()).isTrue();
    }
    assertThat(restartedWith("", "new-store.db")).isFalse();
    assertThat(restartedWith("boot-1", "sluice.db")).isTrue(); // the store was made under the real boot id
    assertThat(restartedWith("boot-1", "sluice.db")).isFalse();
    assertThat(restartedWith("boot-2", "sluice.db")).isTrue();
    assertThat(restartedWith("boot-2", "sluice.db")).isFalse();
    assertThat(restartedWith("", "sluice.db")).isTrue();
    assertThat(restartedWith("", "sluice.db")).isTrue(); // not knowing is not knowing that it stayed up
  }

  private boolean restartedWith(String bootId, String name) {
    try (SqliteStore opened = SqliteStore.open(directory.resolve(name), bootId)) {
      opened.rememberBoot();
      return opened.machineRestarted();
    }
  }

  @Test
  void commitsGoOnWhileTheTrailIsVerified() throws Exception {
    fiveChanges();
    try (Connection reader = SqliteSchema.connect(file(), true);
        Statement statement = reader.createStatement()) {
      statement.execute("BEGIN");
      try (ResultSet snapshot = statement.executeQuery("SELECT COUNT(*) FROM events")) {
        assertThat(snapshot.getInt(1)).isEqualTo(5);
        fiveChanges();
      }
    }
    assertThat(store.revision()).isEqualTo(10);
    store.verify();
  }

  private void fiveChanges() throws StaleRevisionException {
    for (int i = 1; i <= 5; i++) {
      store.commit(
          change(rollout("r", new Stage.Running(i, i), null), "changed", new ServingVersion("m", 100 + i), 0, i));
    }
  }

  private void editBehindTheStoresBack(String sql) throws SQLException {
    try (Connection other = DriverManager.getConnection("jdbc:sqlite:" + file());
        Statement statement = other.createStatement()) {
      statement.execute("DROP TRIGGER events_are_never_changed");
      statement.execute("DROP TRIGGER events_are_never_deleted");
      statement.execute(sql);
    }
  }

  /// Fails to open; afterwards the file is as it was, and the lock is free again.
  private void expectUnreadableAndUntouched(String message) throws Exception {
    byte[] before = Files.readAllBytes(file());
    assertThatThrownBy(this::open).isInstanceOf(StoreUnreadableException.class).hasMessageContaining(message);
    assertThat(Files.readAllBytes(file())).isEqualTo(before);
    try (StoreLock free = StoreLock.acquire(file())) {
      assertThat(free).isNotNull();
    }
  }
}
