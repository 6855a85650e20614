package dev.sluice.gateway.store;

import static java.util.Objects.requireNonNull;

import dev.sluice.gateway.note.NoteReader;
import dev.sluice.router.ledger.LedgerWords;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The memory of the rollouts' evidence ledgers: one mapped file each, `<directory>/<rollout>.ledger`, and beside it what is
/// kept for the rollout's report, `<directory>/<rollout>.json`.
///
/// **Why a mapped file.** A flip is one compare-and-set on the path of a request, and it must be remembered. In a
/// mapped file the word belongs to the operating system the instant it is written: a process that is killed right after
/// it has lost nothing, and no disk was waited for. What a crash of the machine itself may lose is what was not forced
/// yet; that case is recognised by [SqliteStore#machineRestarted], and whoever opens a ledger then must not trust its
/// exposure alone.
///
/// Words are in the machine's byte order: the files stay on their machine. The words of a rollout may be used until it
/// is retired here; after that every access throws an [IllegalStateException]. Safe for use by several threads.
public final class LedgerFiles implements AutoCloseable {

  /// The most ledgers mapped at a time.
  public static final int MAPPED_MAX = 1_024;

  /// The most words of one ledger: 64 MiB, of which a rollout with a thousand segments and many rules needs the half.
  public static final int WORDS_MAX = 1 << 23;

  private static final long KEPT_BYTES_MAX = 16 << 20;

  private static final int PAGE_BYTES = 4_096;

  private final Path directory;
  private final int mappedMax;
  private final Map<String, Mapping> mappings = new HashMap<>();

  private record Mapping(Arena arena, MemorySegment memory) {}

  /// What was found under a rollout's name.
  public sealed interface Opened {

    /// The ledger as it was left.
    record Found(LedgerWords words) implements Opened {}

    /// There is none.
    record Missing() implements Opened {}

    /// There is a file, but it cannot be this rollout's ledger.
    record Unusable(String reason) implements Opened {}
  }

  /// @param directory made if it is not there
  public LedgerFiles(Path directory) {
    this(directory, MAPPED_MAX);
  }

  LedgerFiles(Path directory, int mappedMax) {
    this.directory = directory;
    this.mappedMax = mappedMax;
    try {
      Files.createDirectories(directory);
    } catch (IOException failed) {
      throw new StoreException("%s cannot be made: %s".formatted(directory, failed.getMessage()), failed);
    }
  }

  /// Makes and maps the ledger of a new rollout, all words 0. A file that is left of an attempt to create the same
  /// rollout, one that never got as far as the store, is replaced: only whoever knows that the rollout is new may call
  /// this.
  public synchronized LedgerWords create(String rollout, int words) {
    Path file = expectNotMapped(rollout);
    if (words < 1 || words > WORDS_MAX) {
      throw new IllegalArgumentException("%d words are not between 1 and %d".formatted(words, WORDS_MAX));
    }
    Path unfinished = directory.resolve(rollout + ".ledger.new");
    try {
      try (FileChannel channel =
          FileChannel.open(
              unfinished, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
        // Written, not just sized: a hole in a mapped file on a full disk kills the process that touches it. A page at a time:
        // what is written at once Linux keeps as one piece, and whoever then touches a word of it has all of it in memory.
        ByteBuffer zeros = ByteBuffer.allocateDirect(PAGE_BYTES);
        for (long left = (long) words * Long.BYTES; left > 0; left -= zeros.position()) {
          zeros.clear().limit((int) Math.min(left, PAGE_BYTES));
          while (zeros.hasRemaining()) {
            channel.write(zeros);
          }
        }
        channel.force(true);
      }
      DurableMove.move(unfinished, file);
      return map(rollout, file);
    } catch (IOException failed) {
      throw new StoreException("%s cannot be made: %s".formatted(file, failed.getMessage()), failed);
    }
  }

  /// Maps the ledger of a rollout that was there before.
  public synchronized Opened open(String rollout, int words) {
    Path file = expectNotMapped(rollout);
    try {
      if (!Files.exists(file)) {
        return new Opened.Missing();
      }
      String unfit = unfit(rollout, file, Files.size(file), words);
      if (unfit != null) {
        return new Opened.Unusable(unfit);
      }
      return new Opened.Found(map(rollout, file));
    } catch (IOException failed) {
      return new Opened.Unusable("%s cannot be mapped: %s".formatted(file, failed.getMessage()));
    }
  }

  /// Shows someone the ledger of a rollout as it is, whether it is mapped here or not. Nothing can be changed through these words,
  /// and they may be used until `reader` returns.
  public <T> T read(String rollout, int words, Function<Opened, T> reader) {
    Path file = file(rollout, ".ledger");
    if (!Files.exists(file)) {
      return reader.apply(new Opened.Missing());
    }
    try (Arena arena = Arena.ofConfined();
        FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      String unfit = unfit(rollout, file, channel.size(), words);
      return reader.apply(
          unfit != null
              ? new Opened.Unusable(unfit)
              : new Opened.Found(new LedgerWords(channel.map(MapMode.READ_ONLY, 0, channel.size(), arena))));
    } catch (IOException failed) {
      return reader.apply(new Opened.Unusable("%s cannot be mapped: %s".formatted(file, failed.getMessage())));
    }
  }

  private static @Nullable String unfit(String rollout, Path file, long bytes, int words) {
    long expected = (long) words * Long.BYTES;
    return bytes == expected
        ? null
        : "%s has %d bytes; the ledger of rollout '%s' has %d".formatted(file, bytes, rollout, expected);
  }

  // --- what is kept for a report ---------------------------------------------------------------------------------------

  /// Keeps a text for the report of a rollout, in place of what was kept before.
  public void keep(String rollout, String text) {
    Path file = file(rollout, ".json");
    Path unfinished = file(rollout, ".json.new");
    try {
      Files.writeString(unfinished, text);
      DurableMove.move(unfinished, file);
    } catch (IOException failed) {
      throw new StoreException("%s cannot be written: %s".formatted(file, failed.getMessage()), failed);
    }
  }

  /// What was kept; null for nothing.
  public @Nullable String kept(String rollout) {
    Path file = file(rollout, ".json");
    try {
      if (!Files.exists(file)) {
        return null;
      }
      if (Files.size(file) > KEPT_BYTES_MAX) {
        throw new StoreException(
            "%s has %d bytes, at most %d expected".formatted(file, Files.size(file), KEPT_BYTES_MAX), null);
      }
      return Files.readString(file);
    } catch (IOException failed) {
      throw new StoreException("%s cannot be read: %s".formatted(file, failed.getMessage()), failed);
    }
  }

  private Path file(String rollout, String ending) {
    if (!NoteReader.ROLLOUT_NAME.matcher(rollout).matches()) {
      throw new IllegalArgumentException("'" + rollout + "' is not the name of a rollout");
    }
    return directory.resolve(rollout + ending);
  }

  private Path expectNotMapped(String rollout) {
    Path file = file(rollout, ".ledger");
    if (mappings.containsKey(rollout)) {
      throw new IllegalStateException("the ledger of rollout '" + rollout + "' is mapped already");
    }
    if (mappings.size() >= mappedMax) {
      throw new IllegalStateException(
          "%d ledgers are mapped, at most %d allowed".formatted(mappings.size(), mappedMax));
    }
    return file;
  }

  private LedgerWords map(String rollout, Path file) throws IOException {
    Arena arena = Arena.ofShared();
    boolean mapped = false;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MemorySegment memory = channel.map(MapMode.READ_WRITE, 0, channel.size(), arena);
      mappings.put(rollout, new Mapping(arena, memory));
      mapped = true;
      return new LedgerWords(memory);
    } finally {
      if (!mapped) {
        arena.close();
      }
    }
  }

  /// Returns when the words are on the disk, and so survive a crash of the machine as well.
  public synchronized void force(String rollout) {
    requireNonNull(mappings.get(rollout), () -> "no ledger is mapped for rollout '" + rollout + "'").memory.force();
  }

  /// Unmaps the ledger of a rollout that has ended, once no request uses it any more. The file stays, as evidence.
  /// Retiring twice changes nothing.
  public synchronized void retire(String rollout) {
    Mapping mapping = mappings.remove(rollout);
    if (mapping != null) {
      mapping.memory.force();
      mapping.arena.close();
    }
  }

  @Override
  public synchronized void close() {
    List<String> all = new ArrayList<>(mappings.keySet());
    all.forEach(this::retire);
  }
}
