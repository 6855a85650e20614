package dev.sluice.gateway.store;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.sqlite.SQLiteConfig;
import org.sqlite.SQLiteConfig.JournalMode;
import org.sqlite.SQLiteConfig.SynchronousMode;

/// How a Sluice database is made, recognised and brought up to date.
///
/// A new database is made under another name and renamed when it is whole. So an empty or headless file under the real
/// name is always damage, and is never taken for a fresh start.
final class SqliteSchema {

  private static final List<String> MIGRATIONS = List.of("001-first.sql", "002-labels.sql", "003-evidence.sql");

  /// In the file's header: "SLUC". It tells Sluice's databases from all others before SQLite touches the file.
  private static final int APPLICATION_ID = 0x534c5543;

  private static final byte[] MAGIC = "SQLite format 3\0".getBytes(US_ASCII);
  private static final int APPLICATION_ID_OFFSET = 68;
  private static final int HEADER_BYTES = 100;

  private SqliteSchema() {}

  static Connection connect(Path file, boolean readOnly) throws SQLException {
    SQLiteConfig config = new SQLiteConfig();
    config.setReadOnly(readOnly);
    if (!readOnly) {
      config.setJournalMode(JournalMode.WAL);
      config.setSynchronous(SynchronousMode.FULL); // every commit is on the disk before it is acknowledged
    }
    config.setBusyTimeout(10_000); // verify() reads beside the writer
    return config.createConnection("jdbc:sqlite:" + file.toAbsolutePath());
  }

  static void create(Path file) throws IOException, SQLException {
    if (Files.exists(beside(file, "-wal"))) {
      throw new StoreUnreadableException(
          "%s is missing, but its log %s is there: put the database back, or move the log away to begin anew"
              .formatted(file, beside(file, "-wal")), null);
    }
    Path unfinished = beside(file, ".new");
    for (String suffix : List.of("", "-wal", "-shm", "-journal")) {
      Files.deleteIfExists(beside(unfinished, suffix)); // of a crash in this method
    }
    try (Connection connection = connect(unfinished, false);
        Statement statement = connection.createStatement()) {
      statement.execute("PRAGMA application_id = " + APPLICATION_ID);
      statement.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, sha256 TEXT NOT NULL) STRICT");
      migrate(connection);
    }
    DurableMove.move(unfinished, file);
  }

  /// Reads the header alone, without SQLite.
  static void expectOurs(Path file) throws IOException {
    ByteBuffer header;
    try (InputStream in = Files.newInputStream(file)) {
      header = ByteBuffer.wrap(in.readNBytes(HEADER_BYTES));
    }
    if (header.limit() < HEADER_BYTES || !header.slice(0, MAGIC.length).equals(ByteBuffer.wrap(MAGIC))) {
      throw new StoreUnreadableException(file + " is not a SQLite database, or its beginning is damaged", null);
    }
    if (header.getInt(APPLICATION_ID_OFFSET) != APPLICATION_ID) {
      throw new StoreUnreadableException(file + " is a SQLite database, but not one of Sluice's", null);
    }
  }

  /// Checks the structure, and that the migrations it has had are the ones that we know.
  static void expectSound(Connection connection, Path file) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      try (ResultSet found = statement.executeQuery("PRAGMA quick_check(1)")) {
        String first = found.next() ? found.getString(1) : "nothing";
        if (!first.equals("ok")) {
          throw new StoreUnreadableException("%s is damaged: %s".formatted(file, first), null);
        }
      }
      int number = 0;
      try (ResultSet had = statement.executeQuery("SELECT number, sha256 FROM migrations ORDER BY number")) {
        while (had.next()) {
          number++;
          if (number > MIGRATIONS.size()) {
            throw new StoreUnreadableException(
                "%s was written by a newer Sluice: it has had migration %d, and this one knows %d"
                    .formatted(file, had.getInt("number"), MIGRATIONS.size()), null);
          }
          if (had.getInt("number") != number || !had.getString("sha256").equals(checksum(script(number)))) {
            throw new StoreUnreadableException(
                "%s has had another migration %d than this Sluice's %s"
                    .formatted(file, had.getInt("number"), MIGRATIONS.get(number - 1)), null);
          }
        }
      }
    }
  }

  static boolean isCurrent(Connection connection) throws SQLException {
    return migrationsHad(connection) == MIGRATIONS.size();
  }

  /// Applies what is missing, each migration whole or not at all.
  static void migrate(Connection connection) throws SQLException {
    for (int number = migrationsHad(connection) + 1; number <= MIGRATIONS.size(); number++) {
      String script = script(number);
      try (Statement statement = connection.createStatement();
          PreparedStatement had = connection.prepareStatement("INSERT INTO migrations VALUES (?, ?)")) {
        statement.execute("BEGIN IMMEDIATE");
        try {
          statement.executeUpdate(script);
          had.setInt(1, number);
          had.setString(2, checksum(script));
          had.executeUpdate();
          statement.execute("COMMIT");
        } catch (SQLException failed) {
          statement.execute("ROLLBACK");
          throw failed;
        }
      }
    }
  }

  private static int migrationsHad(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet count = statement.executeQuery("SELECT COUNT(*) FROM migrations")) {
      count.next();
      return count.getInt(1);
    }
  }

  private static String checksum(String script) {
    return new Fingerprint().add(script).hex();
  }

  private static String script(int number) {
    String name = MIGRATIONS.get(number - 1);
    try (InputStream in = SqliteSchema.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("the migration " + name + " is not on the class path");
      }
      return new String(in.readAllBytes(), UTF_8);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  private static Path beside(Path file, String suffix) {
    return file.resolveSibling(file.getFileName() + suffix);
  }
}
