package dev.sluice.runtime.source;

import java.io.FileInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/// A file of this machine.
///
/// It is opened as a [FileInputStream]: a channel would be closed by the interrupt that ends a fetch.
record FileOrigin(Path file) implements Origin {

  @Override
  public Body open(long offset) throws SourceException {
    try {
      // A pipe or a device could keep its reader for ever.
      Path real = file.toRealPath();
      if (!Files.isRegularFile(real)) {
        throw SourceException.lasting("'%s' is not a regular file".formatted(this));
      }
      return new Body(new FileInputStream(real.toFile()), 0, Files.size(real));
    } catch (NoSuchFileException e) {
      throw SourceException.lasting("'%s' does not exist".formatted(this));
    } catch (IOException e) {
      throw SourceException.lasting("'%s' cannot be read: %s".formatted(this, e.getClass().getSimpleName()));
    }
  }

  @Override
  public String toString() {
    return "file:" + file;
  }
}
