package dev.sluice.runtime.source;

import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/// A folder that holds a version's files and stays as it is until this is closed; closing twice changes nothing.
public final class HeldFolder implements AutoCloseable {
  private final Path folder;
  private final @Nullable Runnable release;
  private final AtomicBoolean closed = new AtomicBoolean();

  /// @param release null when the folder is there anyway
  HeldFolder(Path folder, @Nullable Runnable release) {
    this.folder = folder;
    this.release = release;
  }

  public Path folder() {
    return folder;
  }

  /// Whether it may go away once it is not held.
  public boolean isFetched() {
    return release != null;
  }

  @Override
  public void close() {
    if (release != null && closed.compareAndSet(false, true)) {
      release.run();
    }
  }
}
