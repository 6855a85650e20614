package dev.sluice.gateway.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.gateway.store.LedgerFiles.Opened;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.rollout.Stage;
import java.io.BufferedReader;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A process that writes is killed at random moments; whatever it had acknowledged must be there afterwards.
class CrashTest {

  private static final int KILLS = 20;
  private static final int WORDS = 64;
  private static final String LEDGER = "ledger";

  @TempDir Path directory;

  @Test
  void nothingAcknowledgedIsLostWhenTheProcessIsKilled() throws Exception {
    long seed = System.nanoTime();
    System.out.println("CrashTest seed " + seed);
    Random random = new Random(seed);
    try (LedgerFiles files = new LedgerFiles(directory)) {
      files.create(LEDGER, WORDS);
    }
    SqliteStore.open(directory.resolve("sluice.db")).close();

    Map<Long, String> committed = new TreeMap<>();
    Map<Integer, Long> flipped = new TreeMap<>();
    for (int kill = 1; kill <= KILLS; kill++) {
      killAWriter(random, committed, flipped);

      String when = "seed %d, kill %d".formatted(seed, kill);
      try (SqliteStore store = SqliteStore.open(directory.resolve("sluice.db"))) {
        store.verify();
        assertThat(store.machineRestarted()).as(when).isFalse();
        List<AuditEvent> events = store.events(null, 0, Store.EVENTS_MAX);
        assertThat(store.revision()).as(when).isEqualTo(events.size());
        for (int i = 0; i < events.size(); i++) {
          assertThat(events.get(i).revision()).as(when).isEqualTo(i + 1L);
        }
        committed.forEach(
            (revision, hash) ->
                assertThat(events.get((int) (revision - 1)).hash())
                    .as("%s, revision %d", when, revision)
                    .isEqualTo(hash));
        if (!events.isEmpty()) {
          assertThat(store.rollouts().getFirst().revision()).as(when).isEqualTo(store.revision());
          assertThat(store.servingVersions()).as(when).containsExactly(Map.entry("m", store.revision()));
        }
      }
      try (LedgerFiles files = new LedgerFiles(directory)) {
        LedgerWords words = ((Opened.Found) files.open(LEDGER, WORDS)).words();
        flipped.forEach(
            (word, value) ->
                assertThat(words.get(word)).as("%s, word %d", when, word).isGreaterThanOrEqualTo(value));
      }
    }
    assertThat(committed).as("seed %d", seed).hasSizeGreaterThan(KILLS);
    assertThat(flipped).as("seed %d", seed).isNotEmpty();
  }

  @Test
  void anotherProcessIsNamedAndKeptOutForAsLongAsItLives() throws Exception {
    Path file = directory.resolve("sluice.db");
    try (LedgerFiles files = new LedgerFiles(directory)) {
      files.create(LEDGER, WORDS);
    }
    Process writer = start();
    try (BufferedReader acknowledged = writer.inputReader()) {
      assertThat(acknowledged.readLine()).isNotNull();
      assertThatThrownBy(() -> SqliteStore.open(file))
          .isInstanceOf(StoreLockedException.class)
          .hasMessageContaining("in use by process " + writer.pid());
    } finally {
      writer.destroyForcibly().waitFor();
    }
    SqliteStore.open(file).close();
  }

  /// Reads a random number of acknowledgements, kills the writer in the middle of whatever it does then, and takes in
  /// those that it had sent until then.
  private void killAWriter(Random random, Map<Long, String> committed, Map<Integer, Long> flipped) throws Exception {
    Process writer = start();
    int enough = random.nextInt(60);
    List<String> lines = new ArrayList<>();
    try (BufferedReader acknowledged = writer.inputReader()) {
      while (lines.size() < enough) {
        String line = acknowledged.readLine();
        assertThat(line).as("the writer ended by itself; it said %s", lines).isNotNull();
        lines.add(line);
      }
      long killAt = System.nanoTime() + random.nextLong(3_000_000);
      while (System.nanoTime() < killAt) {
        Thread.onSpinWait(); // a moment within a commit, not just after one
      }
      writer.toHandle().destroyForcibly(); // Process.destroyForcibly would lose the last acknowledgements in the pipe
      writer.waitFor();
      String line;
      while ((line = acknowledged.readLine()) != null) {
        lines.add(line);
      }
    }
    for (String line : lines) {
      String[] words = line.split(" ", -1);
      if (words.length == 4 && words[3].equals(".")) { // the last line may be cut off
        switch (words[0]) {
          case "committed" -> committed.put(Long.parseLong(words[1]), words[2]);
          case "flipped" -> flipped.merge(Integer.parseInt(words[1]), Long.parseLong(words[2]), Math::max);
          default -> throw new AssertionError(line);
        }
      }
    }
  }

  private Process start() throws Exception {
    Path arguments = directory.resolve("arguments");
    Files.writeString(
        arguments,
        """
        -cp "%s"
        -Djava.io.tmpdir=%s
        --enable-native-access=ALL-UNNAMED
        -XX:TieredStopAtLevel=1
        """
            .formatted(System.getProperty("java.class.path"), directory));
    return new ProcessBuilder(
            ProcessHandle.current().info().command().orElseThrow(), "@" + arguments, Writer.class.getName(),
            directory.toString())
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }

  /// The process that is killed: commits and flips for ever, and says so after each.
  static final class Writer {

    private Writer() {}

    public static void main(String[] args) throws Exception {
      Path directory = Path.of(args[0]);
      PrintStream out = System.out;
      try (SqliteStore store = SqliteStore.open(directory.resolve("sluice.db"));
          LedgerFiles files = new LedgerFiles(directory)) {
        LedgerWords words = ((Opened.Found) files.open(LEDGER, WORDS)).words();
        @Nullable AuditEvent last = null;
        for (int i = 0; ; i = (i + 1) % 1_000_000) {
          long next = store.revision() + 1;
          last =
              store.commit(
                  StoreContract.change(
                      StoreContract.rollout("r", new Stage.Running(i, i), null), "changed",
                      new ServingVersion("m", next), last == null ? 0 : last.revision(), i));
          out.println("committed " + last.revision() + " " + last.hash() + " .");
          out.flush();
          int word = i % WORDS;
          long before = words.get(word);
          if (!words.compareAndSet(word, before, before + next)) {
            throw new AssertionError("someone else writes word " + word);
          }
          out.println("flipped " + word + " " + (before + next) + " .");
          out.flush();
        }
      }
    }
  }
}
