package dev.sluice.gateway.store;

import dev.sluice.gateway.store.StoredRollout.Firing;
import dev.sluice.router.stop.Stop;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The embedded store: one SQLite file, used by one process.
///
/// There is one connection and every call has it to itself, one after the other; only [#verify], which may be long,
/// reads beside it. A commit is one transaction, forced to the disk before it returns. SQLite keeps its own structure
/// whole; what a flipped bit could change unnoticed (a weight, a version) is under a checksum per row, and the audit
/// trail under its chain. Checksums and chain show damage and careless hands; who can rewrite the whole file can
/// rewrite them too.
public final class SqliteStore implements Store {

  private final Path file;
  private final StoreLock lock;
  private final Connection connection;
  private final String bootId;
  private final boolean machineRestarted;

  private SqliteStore(Path file, StoreLock lock, Connection connection, String bootId, boolean machineRestarted) {
    this.file = file;
    this.lock = lock;
    this.connection = connection;
    this.bootId = bootId;
    this.machineRestarted = machineRestarted;
  }

  /// Opens a store, or makes it if the file is not there.
  ///
  /// @throws StoreLockedException if it is open elsewhere
  /// @throws StoreUnreadableException if the file is damaged or foreign; it stays as it is
  public static SqliteStore open(Path file) {
    return open(file, BootId.current());
  }

  static SqliteStore open(Path file, String bootId) {
    StoreLock lock = null;
    Connection connection = null;
    boolean opened = false;
    try {
      lock = StoreLock.acquire(file);
      if (!Files.exists(file)) {
        SqliteSchema.create(file);
      }
      expectReadable(file);
      connection = SqliteSchema.connect(file, false);
      SqliteSchema.migrate(connection);
      SqliteStore store = new SqliteStore(file, lock, connection, bootId, bootedSince(connection, bootId));
      opened = true;
      return store;
    } catch (SQLException | IOException failed) {
      throw new StoreException("%s cannot be opened: %s".formatted(file, failed.getMessage()), failed);
    } finally {
      if (!opened) {
        closeQuietly(connection);
        closeQuietly(lock);
      }
    }
  }

  /// Reads everything that a start depends on, through a connection that cannot write.
  private static void expectReadable(Path file) throws IOException {
    SqliteSchema.expectOurs(file);
    try (Connection connection = SqliteSchema.connect(file, true)) {
      SqliteSchema.expectSound(connection, file);
      if (SqliteSchema.isCurrent(connection)) {
        readRollouts(connection);
        readServing(connection);
        readLabels(connection);
        expectHeadIsLastEvent(connection);
      }
    } catch (SQLException | IllegalArgumentException | AuditBrokenException damaged) {
      throw new StoreUnreadableException("%s is damaged: %s".formatted(file, damaged.getMessage()), damaged);
    }
  }

  /// One rollout and its audit trail, out of a store that no process has open; nothing is changed.
  ///
  /// @param rollout null if there is none of that name
  public record Found(@Nullable StoredRollout rollout, List<AuditEvent> events) {}

  /// Looks one rollout up.
  ///
  /// @throws StoreLockedException if the store is open elsewhere
  /// @throws StoreUnreadableException if the file is damaged or foreign, or is of an older Sluice and not brought up to date yet
  public static Found find(Path file, String name) {
    try {
      if (!Files.exists(file)) {
        throw new StoreUnreadableException(file + ": there is no such file", null);
      }
      try (StoreLock _ = StoreLock.acquire(file)) {
        expectReadable(file);
        try (Connection connection = SqliteSchema.connect(file, true)) {
          if (!SqliteSchema.isCurrent(connection)) {
            throw new StoreUnreadableException(file + " is of an older Sluice: serve with this one once, first", null);
          }
          return new Found(
              readRollouts(connection).stream().filter(rollout -> rollout.name().equals(name)).findFirst().orElse(null),
              readEvents(connection, name, 0, EVENTS_MAX));
        }
      }
    } catch (SQLException | IOException failed) {
      throw new StoreException("%s cannot be read: %s".formatted(file, failed.getMessage()), failed);
    }
  }

  private static boolean bootedSince(Connection connection, String bootId) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet before = statement.executeQuery("SELECT value FROM meta WHERE name = 'boot-id'")) {
      if (before.next()) {
        return BootId.mayDiffer(before.getString(1), bootId);
      }
    }
    writeBoot(connection, bootId);
    return false;
  }

  private static void writeBoot(Connection connection, String bootId) throws SQLException {
    try (PreparedStatement remember =
        connection.prepareStatement("INSERT OR REPLACE INTO meta (name, value) VALUES ('boot-id', ?)")) {
      remember.setString(1, bootId);
      remember.executeUpdate();
    }
  }

  /// Whether the machine may have restarted since [#rememberBoot]: what was only in memory, mapped files included, may
  /// then be older than it was. Where the system does not tell, the answer is yes; for a new store it is no.
  public boolean machineRestarted() {
    return machineRestarted;
  }

  /// To be called once a restart of the machine has been dealt with; until then every start hears of it again.
  public synchronized void rememberBoot() {
    try {
      writeBoot(connection, bootId);
    } catch (SQLException failed) {
      throw failure("did not take the machine's boot id", failed);
    }
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  @Override
  public synchronized long revision() {
    try {
      return head(connection).revision;
    } catch (SQLException failed) {
      throw failure("cannot be read", failed);
    }
  }

  @Override
  public synchronized List<StoredRollout> rollouts() {
    try {
      return readRollouts(connection);
    } catch (SQLException | IllegalArgumentException failed) {
      throw failure("cannot be read", failed);
    }
  }

  @Override
  public synchronized Map<String, Long> servingVersions() {
    try {
      return readServing(connection);
    } catch (SQLException | IllegalArgumentException failed) {
      throw failure("cannot be read", failed);
    }
  }

  @Override
  public synchronized Map<String, Map<String, Long>> labels() {
    try {
      return readLabels(connection);
    } catch (SQLException | IllegalArgumentException failed) {
      throw failure("cannot be read", failed);
    }
  }

  @Override
  public synchronized List<AuditEvent> events(@Nullable String rollout, long afterRevision, int max) {
    try {
      return readEvents(connection, rollout, afterRevision, max);
    } catch (SQLException failed) {
      throw failure("cannot be read", failed);
    }
  }

  private static List<AuditEvent> readEvents(
      Connection connection, @Nullable String rollout, long afterRevision, int max) throws SQLException {
    String sql =
        "SELECT * FROM events WHERE revision > ? %s ORDER BY revision LIMIT ?"
            .formatted(rollout == null ? "" : "AND rollout = ?");
    try (PreparedStatement select = connection.prepareStatement(sql)) {
      int parameter = 1;
      select.setLong(parameter++, afterRevision);
      if (rollout != null) {
        select.setString(parameter++, rollout);
      }
      select.setInt(parameter, Math.clamp(max, 0, EVENTS_MAX));
      try (ResultSet rows = select.executeQuery()) {
        List<AuditEvent> events = new ArrayList<>();
        while (rows.next()) {
          events.add(event(rows));
        }
        return events;
      }
    }
  }

  // --- writing -------------------------------------------------------------------------------------------------------

  @Override
  public synchronized AuditEvent commit(Change change) throws StaleRevisionException {
    return commit(() -> write(change), "'%s' of rollout '%s'".formatted(change.kind(), change.rollout().name()));
  }

  @Override
  public synchronized AuditEvent commit(LabelChange change) {
    try {
      return commit(() -> write(change), "label '%s' of model '%s'".formatted(change.label(), change.model()));
    } catch (StaleRevisionException impossible) {
      throw new IllegalStateException("a label has no revision to be stale", impossible);
    }
  }

  private interface Writing {
    AuditEvent write() throws SQLException, StaleRevisionException;
  }

  private AuditEvent commit(Writing change, String what) throws StaleRevisionException {
    try (Statement transaction = connection.createStatement()) {
      transaction.execute("BEGIN IMMEDIATE");
      boolean committed = false;
      try {
        AuditEvent event = change.write();
        transaction.execute("COMMIT");
        committed = true;
        return event;
      } finally {
        if (!committed) {
          rollBack(transaction);
        }
      }
    } catch (SQLException failed) {
      throw failure("did not take " + what, failed);
    }
  }

  private AuditEvent write(Change change) throws SQLException, StaleRevisionException {
    Head head = head(connection);
    AuditEvent event = AuditEvent.chained(head.hash, head.revision + 1, change);
    writeRollout(change, event.revision());
    ServingVersion serving = change.serving();
    if (serving != null) {
      writeServing(serving, event.revision());
    }
    writeHead(event);
    return event;
  }

  private AuditEvent write(LabelChange change) throws SQLException {
    Head head = head(connection);
    AuditEvent event = AuditEvent.chained(head.hash, head.revision + 1, change);
    try (PreparedStatement delete = connection.prepareStatement("DELETE FROM labels WHERE model = ? AND label = ?")) {
      delete.setString(1, change.model());
      delete.setString(2, change.label());
      delete.executeUpdate();
    }
    if (change.version() != 0) {
      writeLabel(change, event.revision());
    }
    writeHead(event);
    return event;
  }

  private void writeLabel(LabelChange change, long revision) throws SQLException {
    try (PreparedStatement insert =
        connection.prepareStatement(
            "INSERT INTO labels (model, label, version, revision, checksum) VALUES (?, ?, ?, ?, ?)")) {
      insert.setString(1, change.model());
      insert.setString(2, change.label());
      insert.setLong(3, change.version());
      insert.setLong(4, revision);
      insert.setString(5, checksum(change.model(), change.label(), change.version(), revision));
      insert.executeUpdate();
    }
  }

  private void writeHead(AuditEvent event) throws SQLException {
    writeEvent(event);
    try (PreparedStatement update = connection.prepareStatement("UPDATE head SET revision = ?, hash = ?")) {
      update.setLong(1, event.revision());
      update.setString(2, event.hash());
      update.executeUpdate();
    }
  }

  private void writeRollout(Change change, long revision) throws SQLException, StaleRevisionException {
    StoredRollout next = change.rollout();
    long createdMillis = change.nowMillis();
    long present = 0;
    try (PreparedStatement select =
        connection.prepareStatement("SELECT revision, created_millis, note_yaml, salt FROM rollouts WHERE name = ?")) {
      select.setString(1, next.name());
      try (ResultSet before = select.executeQuery()) {
        if (before.next()) {
          present = before.getLong("revision");
          createdMillis = before.getLong("created_millis");
          if (!next.noteYaml().equals(before.getString("note_yaml")) || next.salt() != before.getLong("salt")) {
            throw new IllegalArgumentException(
                "rollout '%s' exists with another note or salt: both are frozen, and a new attempt needs a new name"
                    .formatted(next.name()));
          }
        }
      }
    }
    if (change.expectedRevision() != 0 && change.expectedRevision() != present) {
      throw new StaleRevisionException(next.name(), change.expectedRevision(), present);
    }
    StoredRollout row =
        new StoredRollout(
            next.name(), next.noteYaml(), next.noteSha256(), next.salt(), next.attempt(), next.state(), next.reason(), next.firing(),
            revision, createdMillis, change.nowMillis());
    try (PreparedStatement insert =
        connection.prepareStatement(
            """
            INSERT OR REPLACE INTO rollouts (
              name, note_yaml, note_sha256, salt, state, reason,
              stop_rule, stop_segment, stop_bad, stop_dispatched, stop_boundary, stop_millis, stop_flip_nanos,
              revision, created_millis, updated_millis, checksum, stop_evidence, stop_threshold, stop_line, attempt)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)) {
      String state = RolloutStateJson.write(row.state());
      insert.setString(1, row.name());
      insert.setString(2, row.noteYaml());
      insert.setString(3, row.noteSha256());
      insert.setLong(4, row.salt());
      insert.setString(5, state);
      insert.setString(6, row.reason());
      Firing firing = row.firing();
      if (firing == null) {
        for (int column = 7; column <= 13; column++) {
          insert.setNull(column, Types.NULL);
        }
        for (int column = 18; column <= 20; column++) {
          insert.setNull(column, Types.NULL);
        }
      } else {
        insert.setString(7, firing.stop().rule());
        insert.setString(8, firing.stop().segment());
        insert.setLong(9, firing.stop().bad());
        insert.setLong(10, firing.stop().events());
        insert.setLong(11, firing.stop().boundary());
        insert.setLong(12, firing.millis());
        insert.setLong(13, firing.flipNanos());
        insert.setDouble(18, firing.stop().evidence());
        insert.setDouble(19, firing.stop().threshold());
        insert.setLong(20, firing.stop().line());
      }
      insert.setLong(14, row.revision());
      insert.setLong(15, row.createdMillis());
      insert.setLong(16, row.updatedMillis());
      insert.setString(17, checksum(row, state));
      insert.setInt(21, row.attempt());
      insert.executeUpdate();
    }
  }

  private void writeServing(ServingVersion serving, long revision) throws SQLException {
    try (PreparedStatement insert =
        connection.prepareStatement(
            "INSERT OR REPLACE INTO serving (model, version, revision, checksum) VALUES (?, ?, ?, ?)")) {
      insert.setString(1, serving.model());
      insert.setLong(2, serving.version());
      insert.setLong(3, revision);
      insert.setString(4, checksum(serving, revision));
      insert.executeUpdate();
    }
  }

  private void writeEvent(AuditEvent event) throws SQLException {
    try (PreparedStatement insert =
        connection.prepareStatement(
            "INSERT INTO events (revision, time_millis, rollout, actor, kind, reason, detail, hash)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?, ?)")) {
      insert.setLong(1, event.revision());
      insert.setLong(2, event.timeMillis());
      insert.setString(3, event.rollout());
      insert.setString(4, event.actor());
      insert.setString(5, event.kind());
      insert.setString(6, event.reason());
      insert.setString(7, event.detailJson());
      insert.setString(8, event.hash());
      insert.executeUpdate();
    }
  }

  /// SQLite has rolled back by itself after some failures; then there is nothing left to do.
  private static void rollBack(Statement transaction) {
    try {
      transaction.execute("ROLLBACK");
    } catch (SQLException alreadyRolledBack) {
      // The failure that led here is the one to report.
    }
  }

  // --- proving -------------------------------------------------------------------------------------------------------

  /// Reads through a connection of its own, so that commits go on meanwhile.
  @Override
  public void verify() {
    try (Connection snapshot = SqliteSchema.connect(file, true);
        Statement statement = snapshot.createStatement()) {
      statement.execute("BEGIN");
      long revision = 0;
      String hash = AuditEvent.NO_HASH;
      try (ResultSet rows = statement.executeQuery("SELECT * FROM events ORDER BY revision")) {
        while (rows.next()) {
          AuditEvent event = event(rows);
          revision++;
          if (event.revision() != revision) {
            throw new AuditBrokenException(
                "%s: audit event %d is missing; the next one is %d".formatted(file, revision, event.revision()));
          }
          if (!event.hashAfter(hash).equals(event.hash())) {
            throw new AuditBrokenException(
                "%s: audit event %d of rollout '%s' is not what was written: its hash does not fit"
                    .formatted(file, revision, event.rollout()));
          }
          hash = event.hash();
        }
      }
      expectHeadIsLastEvent(snapshot);
      expectRolloutsStandWhereTheirEventsEnd(snapshot);
    } catch (SQLException failed) {
      throw failure("cannot be read", failed);
    }
  }

  private static void expectHeadIsLastEvent(Connection connection) throws SQLException {
    Head head = head(connection);
    Head last = new Head(0, AuditEvent.NO_HASH);
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT revision, hash FROM events ORDER BY revision DESC LIMIT 1")) {
      if (row.next()) {
        last = new Head(row.getLong(1), row.getString(2));
      }
    }
    if (!head.equals(last)) {
      throw new AuditBrokenException(
          head.revision == last.revision
              ? "audit event %d is not what was written: its hash is not the newest one".formatted(last.revision)
              : "audit event %d is missing: the newest revision is %d, but the last event is %d"
                  .formatted(last.revision + 1, head.revision, last.revision));
    }
  }

  private static void expectRolloutsStandWhereTheirEventsEnd(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT name, revision, (SELECT MAX(e.revision) FROM events e WHERE e.rollout = name) AS last"
                    + " FROM rollouts WHERE revision IS NOT last ORDER BY revision")) {
      if (rows.next()) {
        throw new AuditBrokenException(
            "audit event %d: rollout '%s' stands at this revision, but its last event is %d"
                .formatted(rows.getLong("revision"), rows.getString("name"), rows.getLong("last")));
      }
    }
  }

  // --- rows ----------------------------------------------------------------------------------------------------------

  private record Head(long revision, String hash) {}

  private static Head head(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT revision, hash FROM head")) {
      if (!row.next()) {
        throw new SQLException("the row of table head is missing");
      }
      return new Head(row.getLong(1), row.getString(2));
    }
  }

  private static List<StoredRollout> readRollouts(Connection connection) throws SQLException {
    List<StoredRollout> rollouts = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT * FROM rollouts r ORDER BY (SELECT MIN(e.revision) FROM events e WHERE e.rollout = r.name)")) {
      while (row.next()) {
        rollouts.add(rollout(row));
      }
    }
    return rollouts;
  }

  private static StoredRollout rollout(ResultSet row) throws SQLException {
    String state = row.getString("state");
    String stopRule = row.getString("stop_rule");
    Firing firing =
        stopRule == null
            ? null
            : new Firing(
                new Stop(
                    stopRule, row.getString("stop_segment"), row.getLong("stop_bad"), row.getLong("stop_dispatched"),
                    row.getLong("stop_boundary"), row.getDouble("stop_evidence"), row.getDouble("stop_threshold"),
                    row.getLong("stop_line")),
                row.getLong("stop_millis"), row.getLong("stop_flip_nanos"));
    StoredRollout rollout =
        new StoredRollout(
            row.getString("name"), row.getString("note_yaml"), row.getString("note_sha256"), row.getLong("salt"),
            row.getInt("attempt"), RolloutStateJson.read(state), row.getString("reason"), firing, row.getLong("revision"),
            row.getLong("created_millis"), row.getLong("updated_millis"));
    if (!checksum(rollout, state).equals(row.getString("checksum"))) {
      throw new IllegalArgumentException(
          "the row of rollout '%s' is not what was written: its checksum does not fit".formatted(rollout.name()));
    }
    return rollout;
  }

  private static String checksum(StoredRollout row, String state) {
    Fingerprint fingerprint =
        new Fingerprint().add(row.name()).add(row.noteYaml()).add(row.noteSha256()).add(row.salt()).add(state)
            .add(row.reason()).add(row.revision()).add(row.createdMillis()).add(row.updatedMillis());
    Firing firing = row.firing();
    if (firing != null) {
      Stop stop = firing.stop();
      fingerprint.add(stop.rule()).add(stop.segment()).add(stop.bad()).add(stop.events()).add(stop.boundary())
          .add(firing.millis()).add(firing.flipNanos());
      if (stop.threshold() != 0) { // before migration 3 there was none
        fingerprint.add(Double.doubleToRawLongBits(stop.evidence())).add(Double.doubleToRawLongBits(stop.threshold()))
            .add(stop.line());
      }
    }
    if (row.attempt() != 1) {
      fingerprint.add(row.attempt());
    }
    return fingerprint.hex();
  }

  private static Map<String, Long> readServing(Connection connection) throws SQLException {
    Map<String, Long> versions = new LinkedHashMap<>();
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery("SELECT model, version, revision, checksum FROM serving ORDER BY model")) {
      while (row.next()) {
        ServingVersion serving = new ServingVersion(row.getString(1), row.getLong(2));
        if (!checksum(serving, row.getLong(3)).equals(row.getString(4))) {
          throw new IllegalArgumentException(
              "the serving version of model '%s' is not what was written: its checksum does not fit"
                  .formatted(serving.model()));
        }
        versions.put(serving.model(), serving.version());
      }
    }
    return versions;
  }

  private static String checksum(ServingVersion serving, long revision) {
    return new Fingerprint().add(serving.model()).add(serving.version()).add(revision).hex();
  }

  private static Map<String, Map<String, Long>> readLabels(Connection connection) throws SQLException {
    Map<String, Map<String, Long>> labels = new LinkedHashMap<>();
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery("SELECT model, label, version, revision, checksum FROM labels ORDER BY model, label")) {
      while (row.next()) {
        String model = row.getString(1);
        String label = row.getString(2);
        long version = row.getLong(3);
        if (!checksum(model, label, version, row.getLong(4)).equals(row.getString(5))) {
          throw new IllegalArgumentException(
              "label '%s' of model '%s' is not what was written: its checksum does not fit".formatted(label, model));
        }
        labels.computeIfAbsent(model, _ -> new LinkedHashMap<>()).put(label, version);
      }
    }
    return labels;
  }

  private static String checksum(String model, String label, long version, long revision) {
    return new Fingerprint().add(model).add(label).add(version).add(revision).hex();
  }

  private static AuditEvent event(ResultSet row) throws SQLException {
    return new AuditEvent(
        row.getLong("revision"), row.getLong("time_millis"), row.getString("rollout"), row.getString("actor"),
        row.getString("kind"), row.getString("reason"), row.getString("detail"), row.getString("hash"));
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  private StoreException failure(String what, Exception cause) {
    return new StoreException("%s %s: %s".formatted(file, what, cause.getMessage()), cause);
  }

  @Override
  public synchronized void close() {
    try (lock) {
      connection.close();
    } catch (SQLException | IOException failed) {
      throw failure("cannot be closed", failed);
    }
  }

  private static void closeQuietly(@Nullable AutoCloseable resource) {
    try {
      if (resource != null) {
        resource.close();
      }
    } catch (Exception secondary) {
      // The failure that led here is the one to report.
    }
  }
}
