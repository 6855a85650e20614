package dev.sluice.gateway.store;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/// The right to use an embedded store, held through a locked file beside it that names its holder.
///
/// The system gives the lock back when the process dies, however it dies; the file stays and means nothing by itself.
/// Within one process a set stands before the file: on POSIX systems, closing a second channel on a locked file gives
/// the lock away.
final class StoreLock implements AutoCloseable {

  private static final Set<Path> HELD_HERE = ConcurrentHashMap.newKeySet();

  private final Path file;
  private final FileChannel channel;

  private StoreLock(Path file, FileChannel channel) {
    this.file = file;
    this.channel = channel;
  }

  /// @throws StoreLockedException if someone else holds it
  static StoreLock acquire(Path store) throws IOException {
    Path directory = store.toAbsolutePath().getParent();
    if (directory == null) {
      throw new IOException(store + " has no directory");
    }
    Path file = directory.toRealPath().resolve(store.getFileName() + ".lock");
    if (!HELD_HERE.add(file)) {
      throw inUse(store, file, String.valueOf(ProcessHandle.current().pid()));
    }
    FileChannel channel = null;
    boolean acquired = false;
    try {
      channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      @Nullable FileLock lock = channel.tryLock();
      if (lock == null) {
        throw inUse(store, file, Files.readString(file).strip());
      }
      channel.truncate(0);
      channel.write(ByteBuffer.wrap((ProcessHandle.current().pid() + "\n").getBytes(UTF_8)));
      acquired = true;
      return new StoreLock(file, channel);
    } finally {
      if (!acquired) {
        HELD_HERE.remove(file);
        if (channel != null) {
          channel.close();
        }
      }
    }
  }

  private static StoreLockedException inUse(Path store, Path file, String pid) {
    return new StoreLockedException(
        "%s is in use by %s, which holds the lock %s: one process at a time can use an embedded store"
            .formatted(store, pid.isEmpty() ? "another process" : "process " + pid, file));
  }

  /// Closing twice changes nothing: the lock may be someone else's by then.
  @Override
  public synchronized void close() throws IOException {
    if (channel.isOpen()) {
      try {
        channel.close();
      } finally {
        HELD_HERE.remove(file);
      }
    }
  }
}
