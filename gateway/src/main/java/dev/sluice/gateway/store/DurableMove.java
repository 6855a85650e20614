package dev.sluice.gateway.store;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/// Gives a finished file its name, so that a crash leaves either the whole file or none under that name.
final class DurableMove {

  private DurableMove() {}

  static void move(Path finished, Path name) throws IOException {
    Files.move(finished, name, StandardCopyOption.ATOMIC_MOVE);
    Path directory = name.toAbsolutePath().getParent();
    if (directory != null && directory.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      // A name is durable only when its directory is; Windows cannot open one, and does not need it.
      try (FileChannel names = FileChannel.open(directory, StandardOpenOption.READ)) {
        names.force(true);
      }
    }
  }
}
