package dev.sluice.gateway.store;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// Remembers that the last process here ended in good order, with every ledger on the disk.
///
/// Without it, and after a restart of the machine itself, what a ledger says of its last moment cannot be trusted.
public final class ShutdownMarker implements AutoCloseable {

  private final Path file;
  private final boolean wasClean;
  private boolean vouched;

  /// Reads the marker and takes it away: from now on this process has to leave one.
  public ShutdownMarker(Path file) throws IOException {
    this.file = file;
    this.wasClean = Files.deleteIfExists(file);
  }

  public boolean wasClean() {
    return wasClean;
  }

  /// Ledgers that could not be trusted have been dealt with: from now on, this process may leave a marker of its own.
  public void vouch() {
    vouched = true;
  }

  /// To be called after everything else has been closed. A process that got no further than finding doubtful ledgers leaves
  /// the doubt to the next one.
  @Override
  public void close() throws IOException {
    if (!wasClean && !vouched) {
      return;
    }
    Files.writeString(file, "ended in good order\n", UTF_8);
  }
}
