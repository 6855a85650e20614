package dev.sluice.runtime.repository;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/// What the files of a folder looked like: their names, sizes and times of change. Two looks are equal if nothing
/// about the files has changed, as far as these tell.
///
/// A look can be too early: a file system's clock ticks only every few milliseconds, and a file that is written twice
/// within a tick looks the same. Such a look is not `certain`.
///
/// @param files by path, their size and time; immutable by agreement
/// @param certain whether the newest change lay clearly before the look
record Look(TreeMap<String, Stamp> files, boolean certain) {

  record Stamp(long bytes, long changedNanos) {}

  static final Look NOTHING = new Look(new TreeMap<>(), true);

  /// More files than a model has, and few enough to look at them every second.
  private static final int FILES_MAX = 10_000;

  private static final long TICK_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

  /// Looks at the files below a folder, except hidden ones and those in its subfolders that are left aside.
  static Look at(Path folder, Predicate<Path> leftAside) throws IOException {
    Walk walk = new Walk(folder, leftAside);
    Files.walkFileTree(folder, walk);
    long sinceChange = TimeUnit.MILLISECONDS.toNanos(System.currentTimeMillis()) - walk.newestNanos;
    // A change in the future is another machine's clock, and says nothing about ticks.
    return new Look(walk.files, sinceChange >= TICK_NANOS || sinceChange < -TICK_NANOS);
  }

  /// This and another folder's.
  Look and(Look other, String name) {
    TreeMap<String, Stamp> both = new TreeMap<>(files);
    other.files.forEach((path, stamp) -> both.put(name + "/" + path, stamp));
    return new Look(both, certain && other.certain);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Look look && files.equals(look.files);
  }

  @Override
  public int hashCode() {
    return files.hashCode();
  }

  private static final class Walk extends SimpleFileVisitor<Path> {
    private final Path folder;
    private final Predicate<Path> leftAside;
    private final TreeMap<String, Stamp> files = new TreeMap<>();
    private long newestNanos;

    private Walk(Path folder, Predicate<Path> leftAside) {
      this.folder = folder;
      this.leftAside = leftAside;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes attributes) {
      return !directory.equals(folder) && (leftAside.test(directory) || isHidden(directory))
          ? FileVisitResult.SKIP_SUBTREE
          : FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
      if (isHidden(file)) {
        return FileVisitResult.CONTINUE;
      }
      BasicFileAttributes seen = attributes.isSymbolicLink() ? target(file, attributes) : attributes;
      long changedNanos = seen.lastModifiedTime().to(TimeUnit.NANOSECONDS);
      newestNanos = Math.max(newestNanos, changedNanos);
      files.put(folder.relativize(file).toString(), new Stamp(seen.size(), changedNanos));
      return files.size() < FILES_MAX ? FileVisitResult.CONTINUE : FileVisitResult.TERMINATE;
    }

    @Override
    public FileVisitResult visitFileFailed(Path file, IOException failure) throws IOException {
      if (failure instanceof NoSuchFileException && !file.equals(folder)) {
        return FileVisitResult.CONTINUE; // gone since its folder was listed
      }
      throw failure;
    }

    private static BasicFileAttributes target(Path link, BasicFileAttributes ofLink) throws IOException {
      try {
        return Files.readAttributes(link, BasicFileAttributes.class);
      } catch (NoSuchFileException e) {
        return ofLink; // it points nowhere
      }
    }

    /// Editors, file systems and copying tools keep such beside the real ones.
    private static boolean isHidden(Path path) {
      return path.getFileName().toString().startsWith(".");
    }
  }
}
