package dev.sluice.runtime.source;

import dev.sluice.runtime.source.SourceManifest.SourceFile;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The files that were fetched, in a folder of a bounded size that one process owns.
///
/// `entries/<key>/<model>/<version>/` holds the files of one version: whole, as a folder of its own, and not as links
/// into a common store, because a model may only be loaded from files that nothing else can reach. It comes into being
/// by one rename of a folder in `partial/`, so it is there as a whole or not at all. A file named `.sums` in it says what
/// was fetched; that it is still so, the reader checks.
///
/// The bytes of entries and of what is being fetched are counted together. When they would pass the bound, the entry
/// that was used least recently and that nobody holds goes; the order survives a restart in the folders' times.
final class ModelCache implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(ModelCache.class);
  private static final String SUMS = ".sums";
  private static final int SUMS_BYTES_MAX = 64 << 10;
  private static final int ENTRY_DEPTH = 3;

  private final Path entriesFolder;
  private final Path partialFolder;
  private final long bytesMax;
  private final FileChannel owner;
  private final ReentrantLock lock = new ReentrantLock();
  // All only under the lock.
  private final Map<Path, Entry> entries = new LinkedHashMap<>(); // least recently used first
  private long bytes;
  private long partials;

  private static final class Entry {
    final Path folder;
    final Map<String, String> sumsByName;
    final long bytes;
    int holders;

    Entry(Path folder, Map<String, String> sumsByName, long bytes) {
      this.folder = folder;
      this.sumsByName = sumsByName;
      this.bytes = bytes;
    }
  }

  private ModelCache(Path folder, long bytesMax, FileChannel owner) {
    this.entriesFolder = folder.resolve("entries");
    this.partialFolder = folder.resolve("partial");
    this.bytesMax = bytesMax;
    this.owner = owner;
  }

  /// Makes the folder if need be and takes up what an earlier process left whole.
  static ModelCache open(Path folder, long bytesMax) throws IOException, SourceException {
    Files.createDirectories(folder);
    Path real = folder.toRealPath();
    FileChannel owner =
        FileChannel.open(real.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    try {
      if (!locked(owner)) {
        throw SourceException.lasting("model-cache-dir: '%s' is used by another process".formatted(folder));
      }
      ModelCache cache = new ModelCache(real, bytesMax, owner);
      deleteAll(cache.partialFolder);
      Files.createDirectories(cache.partialFolder);
      Files.createDirectories(cache.entriesFolder);
      cache.takeUp();
      return cache;
    } catch (IOException | SourceException | RuntimeException e) {
      owner.close();
      throw e;
    }
  }

  private static boolean locked(FileChannel owner) throws IOException {
    try {
      return owner.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false; // by another cache of this very process
    }
  }

  private void takeUp() throws IOException, SourceException {
    List<Path> folders;
    try (Stream<Path> found = Files.walk(entriesFolder, ENTRY_DEPTH)) {
      folders =
          found
              .filter(path -> path.getNameCount() == entriesFolder.getNameCount() + ENTRY_DEPTH)
              .sorted(Comparator.comparing(ModelCache::lastUsed))
              .toList();
    }
    for (Path folder : folders) {
      Map<String, String> sums = readSums(folder);
      if (sums.isEmpty()) {
        deleteEntry(folder);
      } else {
        Entry entry = new Entry(folder, sums, size(folder));
        entries.put(folder, entry);
        bytes += entry.bytes;
      }
    }
    makeRoom(0);
  }

  // --- what is there ------------------------------------------------------------------------------------------------

  /// Where the files of a version belong.
  Path place(SourceManifest manifest, String model, long version) {
    return entriesFolder.resolve(manifest.key()).resolve(model).resolve(Long.toString(version));
  }

  /// The folder of an entry, not to go away while it is held; null when there is none. What is in it is to be checked.
  @Nullable HeldFolder hold(Path place) {
    lock.lock();
    try {
      Entry entry = entries.remove(place);
      if (entry == null) {
        return null;
      }
      entries.put(place, entry);
      return held(entry);
    } finally {
      lock.unlock();
    }
  }

  /// A file of any entry that was fetched under this SHA-256, with the hold on its folder; null when there is none.
  @Nullable HeldFile holdFile(String sha256) {
    lock.lock();
    try {
      for (Entry entry : entries.values()) {
        for (Map.Entry<String, String> sum : entry.sumsByName.entrySet()) {
          if (sum.getValue().equals(sha256)) {
            return new HeldFile(entry.folder.resolve(sum.getKey()), held(entry));
          }
        }
      }
      return null;
    } finally {
      lock.unlock();
    }
  }

  record HeldFile(Path file, HeldFolder folder) {}

  /// Whether the folder holds the manifest's files and nothing else, byte for byte.
  static boolean isWhole(Path folder, SourceManifest manifest) {
    TreeSet<String> expected = new TreeSet<>(List.of(SUMS));
    manifest.files().forEach(file -> expected.add(file.name()));
    try (Stream<Path> files = Files.list(folder)) {
      TreeSet<String> seen = new TreeSet<>(files.map(file -> file.getFileName().toString()).toList());
      if (!seen.equals(expected)) {
        return false;
      }
      for (SourceFile file : manifest.files()) {
        Path path = folder.resolve(file.name());
        if (!Files.isRegularFile(path) || !Sha256.of(path).equals(file.sha256())) {
          return false;
        }
      }
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  /// Takes an entry out. Whoever has its files open keeps them.
  void drop(Path place) {
    lock.lock();
    try {
      Entry entry = entries.remove(place);
      if (entry != null) {
        delete(entry);
      }
    } finally {
      lock.unlock();
    }
  }

  private HeldFolder held(Entry entry) {
    entry.holders++;
    try {
      Files.setLastModifiedTime(entry.folder, FileTime.from(Instant.now()));
    } catch (IOException e) {
      log.debug("the time of {} was not set", entry.folder, e); // It may go sooner than others after a restart.
    }
    return new HeldFolder(
        entry.folder,
        () -> {
          lock.lock();
          try {
            entry.holders--;
          } finally {
            lock.unlock();
          }
        });
  }

  // --- what comes ---------------------------------------------------------------------------------------------------

  /// A folder for the files of one version while they are fetched.
  Partial begin() throws SourceException {
    lock.lock();
    try {
      Path folder = partialFolder.resolve(Long.toString(partials++));
      Files.createDirectory(folder);
      return new Partial(folder);
    } catch (IOException e) {
      throw SourceException.lasting("the model cache cannot be written: " + HttpOrigin.words(e));
    } finally {
      lock.unlock();
    }
  }

  /// Closed before it is published, it leaves nothing behind.
  final class Partial implements Transfer.Space, AutoCloseable {
    private final Path folder;
    private final Map<String, String> sumsByName = new HashMap<>();
    private long taken;
    private boolean published;

    private Partial(Path folder) {
      this.folder = folder;
    }

    Path path(SourceFile file) {
      return folder.resolve(file.name());
    }

    /// The file is whole.
    void add(SourceFile file) {
      sumsByName.put(file.name(), file.sha256());
    }

    /// A file that is whole and has this SHA-256; null when there is none.
    @Nullable Path find(String sha256) {
      return sumsByName.entrySet().stream()
          .filter(sum -> sum.getValue().equals(sha256))
          .map(sum -> folder.resolve(sum.getKey()))
          .findAny()
          .orElse(null);
    }

    @Override
    public void take(long more) throws SourceException {
      lock.lock();
      try {
        makeRoom(more);
        bytes += more;
        taken += more;
      } finally {
        lock.unlock();
      }
    }

    @Override
    public void giveBack(long unused) {
      lock.lock();
      try {
        bytes -= unused;
        taken -= unused;
      } finally {
        lock.unlock();
      }
    }

    /// Before anything is evicted for a file that would not fit in the end.
    @Override
    public void requireRoomFor(long size) throws SourceException {
      lock.lock();
      try {
        long held = entries.values().stream().filter(entry -> entry.holders > 0).mapToLong(entry -> entry.bytes).sum();
        if (size > bytesMax - held) {
          throw tooLarge(size, held);
        }
      } finally {
        lock.unlock();
      }
    }

    /// Makes the folder an entry, in the place of the one that may be there, and holds it.
    HeldFolder publish(Path place) throws SourceException {
      StringBuilder sums = new StringBuilder();
      sumsByName.forEach((name, sha256) -> sums.append(sha256).append("  ").append(name).append('\n'));
      lock.lock();
      try {
        Files.writeString(folder.resolve(SUMS), sums);
        drop(place);
        Files.createDirectories(place.resolve("..").normalize());
        Files.move(folder, place, StandardCopyOption.ATOMIC_MOVE);
        Entry entry = new Entry(place, Map.copyOf(sumsByName), taken);
        entries.put(place, entry);
        published = true;
        return held(entry);
      } catch (IOException e) {
        throw SourceException.lasting("the model cache cannot be written: " + HttpOrigin.words(e));
      } finally {
        lock.unlock();
      }
    }

    @Override
    public void close() {
      if (!published) {
        giveBack(taken);
        try {
          deleteAll(folder);
        } catch (IOException e) {
          log.warn("{} could not be deleted; the next start will try again", folder, e);
        }
      }
    }
  }

  // Under the lock, or before anybody else knows the cache.
  private void makeRoom(long more) throws SourceException {
    Iterator<Entry> oldest = entries.values().iterator();
    while (bytes + more > bytesMax && oldest.hasNext()) {
      Entry entry = oldest.next();
      if (entry.holders == 0) {
        oldest.remove();
        delete(entry);
        log.info("{} left the model cache to make room", entry.folder);
      }
    }
    if (bytes + more > bytesMax && more > 0) {
      throw tooLarge(more, bytes);
    }
  }

  private SourceException tooLarge(long size, long held) {
    return SourceException.lasting(
        "%d more bytes do not fit into the model cache: it may hold %d (model-cache-bytes), and %d are in use"
            .formatted(size, bytesMax, held));
  }

  private void delete(Entry entry) {
    bytes -= entry.bytes;
    try {
      deleteEntry(entry.folder);
    } catch (IOException e) {
      log.warn("{} could not be deleted; the next start will count it again", entry.folder, e);
    }
  }

  private void deleteEntry(Path folder) throws IOException {
    deleteAll(folder);
    // The model's and the key's folders, when this was the last in them.
    for (Path above = folder.getParent(); above != null && !above.equals(entriesFolder); above = above.getParent()) {
      if (!isEmpty(above)) {
        return;
      }
      Files.delete(above);
    }
  }

  // --- files --------------------------------------------------------------------------------------------------------

  private static Map<String, String> readSums(Path folder) {
    Path file = folder.resolve(SUMS);
    Map<String, String> sums = new HashMap<>();
    try {
      if (Files.size(file) > SUMS_BYTES_MAX) {
        return Map.of();
      }
      for (String line : Files.readAllLines(file)) {
        String[] words = line.split("  ", 2);
        if (words.length != 2 || !Files.isRegularFile(folder.resolve(words[1]))) {
          return Map.of();
        }
        sums.put(words[1], words[0]);
      }
      return sums;
    } catch (IOException e) {
      return Map.of();
    }
  }

  private static long size(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      long size = 0;
      for (Path file : files.filter(path -> !path.endsWith(SUMS)).toList()) {
        size += Files.size(file);
      }
      return size;
    }
  }

  private static FileTime lastUsed(Path folder) {
    try {
      return Files.getLastModifiedTime(folder);
    } catch (IOException e) {
      return FileTime.fromMillis(0);
    }
  }

  private static boolean isEmpty(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.findAny().isEmpty();
    }
  }

  private static void deleteAll(Path folder) throws IOException {
    if (Files.notExists(folder)) {
      return;
    }
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, @Nullable IOException failure) throws IOException {
            if (failure != null) {
              throw failure;
            }
            Files.delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /// For tests and people: what counts towards the bound.
  long bytes() {
    lock.lock();
    try {
      return bytes;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() throws IOException {
    owner.close();
  }
}
