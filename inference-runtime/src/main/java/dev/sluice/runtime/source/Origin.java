package dev.sluice.runtime.source;

import java.io.IOException;
import java.io.InputStream;

/// Where the bytes of one file come from.
interface Origin {
  /// Opens the file at this offset, or at its beginning if it cannot be entered in the middle.
  Body open(long offset) throws SourceException, InterruptedException;

  /// What messages call it; without anything secret.
  @Override
  String toString();

  /// @param begins the offset of the first byte
  /// @param total bytes of the whole file, -1 when the origin does not say
  record Body(InputStream bytes, long begins, long total) implements AutoCloseable {
    @Override
    public void close() throws IOException {
      bytes.close();
    }
  }
}
