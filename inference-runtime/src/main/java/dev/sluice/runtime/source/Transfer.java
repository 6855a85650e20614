package dev.sluice.runtime.source;

import dev.sluice.runtime.source.SourceSettings.Patience;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// One file on its way from its origin to a partial file: counted, hashed while it streams, tried again where that can
/// help, and entered in the middle where the origin allows it.
///
/// Each attempt runs on a thread of its own, and the caller's watches it: a server that falls silent says so in no
/// other way.
final class Transfer {
  /// Space for bytes that are about to be written.
  interface Space {
    /// Fails when there is none left.
    void take(long bytes) throws SourceException;

    void giveBack(long bytes);

    /// Fails when there would never be room for a file of this size.
    void requireRoomFor(long bytes) throws SourceException;
  }

  private static final Logger log = LoggerFactory.getLogger(Transfer.class);
  private static final int BUFFER_BYTES = 128 << 10;
  private static final int PAUSE_GROWTH = 4;

  private final Origin origin;
  private final String sha256;
  private final Path target;
  private final Space space;
  private final Patience patience;
  // Written by the attempt's thread; the caller's reads the first to see it move, and both after the thread has ended.
  private final AtomicLong received = new AtomicLong();
  private MessageDigest digest = Sha256.digest();

  Transfer(Origin origin, String sha256, Path target, Space space, Patience patience) {
    this.origin = origin;
    this.sha256 = sha256;
    this.target = target;
    this.space = space;
    this.patience = patience;
  }

  /// When this returns the file is whole and has the SHA-256; when it throws, the space is taken still.
  void run() throws SourceException, InterruptedException {
    try (RandomAccessFile out = new RandomAccessFile(target.toFile(), "rw")) {
      Duration pause = patience.pause();
      for (int attempt = 1; ; attempt++) {
        try {
          watched(out);
          return;
        } catch (SourceException e) {
          if (!e.isPassing()) {
            throw e;
          }
          if (attempt == patience.attempts()) {
            throw SourceException.lasting(
                attempt == 1 ? e.getMessage() : "%s (%d attempts)".formatted(e.getMessage(), attempt));
          }
          log.info("attempt {} of {}: {}", attempt, patience.attempts(), e.getMessage());
        }
        Thread.sleep(pause);
        pause = pause.multipliedBy(PAUSE_GROWTH);
      }
    } catch (IOException e) {
      throw SourceException.lasting("the cache cannot be written: " + HttpOrigin.words(e));
    }
  }

  private void watched(RandomAccessFile out) throws SourceException, InterruptedException, IOException {
    FutureTask<Boolean> attempt =
        new FutureTask<>(
            () -> {
              attempt(out);
              return true;
            });
    Thread thread = Thread.ofVirtual().name("fetch-" + target.getFileName()).start(attempt);
    try {
      long started = System.nanoTime();
      long seen = received.get();
      while (true) {
        try {
          attempt.get(patience.silence().toNanos(), TimeUnit.NANOSECONDS);
          return;
        } catch (TimeoutException e) {
          if (received.get() == seen) {
            throw SourceException.passing(
                "'%s' sent nothing for %d ms".formatted(origin, patience.silence().toMillis()));
          }
          if (System.nanoTime() - started > patience.attempt().toNanos()) {
            throw SourceException.passing(
                "'%s' was not whole after %d s".formatted(origin, patience.attempt().toSeconds()));
          }
          seen = received.get();
        }
      }
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case SourceException failure -> throw failure;
        case IOException failure -> throw failure;
        case InterruptedException _ -> throw new InterruptedException();
        case null, default -> throw new IllegalStateException("a fetch of '%s' failed".formatted(origin), e.getCause());
      }
    } finally {
      // The next attempt writes to the same file.
      thread.interrupt();
      joined(thread);
    }
  }

  private static void joined(Thread thread) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void attempt(RandomAccessFile out) throws SourceException, InterruptedException, IOException {
    try (Origin.Body body = origin.open(received.get())) {
      if (body.begins() != received.get()) {
        startOver();
      }
      boolean resumed = received.get() > 0;
      if (body.total() >= 0) {
        space.requireRoomFor(body.total());
      }
      out.seek(received.get());
      copy(body, out);
      if (body.total() >= 0 && received.get() != body.total()) {
        throw SourceException.passing(
            "'%s' ended after %d of %d bytes".formatted(origin, received.get(), body.total()));
      }
      out.setLength(received.get());
      String seen = Sha256.hex(digest);
      if (!seen.equals(sha256)) {
        startOver();
        String message = "'%s' has the SHA-256 %s; expected %s".formatted(origin, seen, sha256);
        // Two halves may be of two files.
        throw resumed ? SourceException.passing(message) : SourceException.lasting(message);
      }
    }
  }

  private void copy(Origin.Body body, RandomAccessFile out) throws SourceException, IOException {
    byte[] buffer = new byte[BUFFER_BYTES];
    while (true) {
      int read;
      try {
        read = body.bytes().read(buffer);
      } catch (IOException e) {
        throw SourceException.passing(
            "'%s' broke off after %d bytes: %s".formatted(origin, received.get(), HttpOrigin.words(e)));
      }
      if (read < 0) {
        return;
      }
      space.take(read);
      out.write(buffer, 0, read);
      digest.update(buffer, 0, read);
      received.addAndGet(read);
    }
  }

  private void startOver() {
    space.giveBack(received.getAndSet(0));
    digest = Sha256.digest();
  }
}
