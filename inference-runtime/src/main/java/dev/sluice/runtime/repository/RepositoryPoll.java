package dev.sluice.runtime.repository;

import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The thread that looks at a repository's directory again and again, until it is closed.
public final class RepositoryPoll implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(RepositoryPoll.class);

  /// Files that were found changing are looked at again after this long at most: whoever polls every 15 s does not want
  /// to wait another 15 s to learn that a copy was complete at once.
  private static final Duration SECOND_LOOK = Duration.ofSeconds(1);

  private static final long CLOSE_MILLIS_MAX = 5_000;

  private final ModelRepository repository;
  private final long intervalMillis;
  private final Thread thread;

  private RepositoryPoll(ModelRepository repository, Duration interval) {
    this.repository = repository;
    this.intervalMillis = Math.max(1, interval.toMillis());
    this.thread = Thread.ofPlatform().daemon().name("sluice-poll").unstarted(this::run);
  }

  public static RepositoryPoll start(ModelRepository repository, Duration interval) {
    RepositoryPoll poll = new RepositoryPoll(repository, interval);
    poll.thread.start();
    return poll;
  }

  private void run() {
    try {
      boolean settled = true;
      while (true) {
        Thread.sleep(settled ? intervalMillis : Math.min(intervalMillis, SECOND_LOOK.toMillis()));
        try {
          settled = repository.poll();
        } catch (RuntimeException | Error e) { // memory may be short now and not later
          log.error("the look at the model repository failed; the next one is due in {} ms", intervalMillis, e);
        }
      }
    } catch (InterruptedException e) {
      // closed
    }
  }

  /// A look that has begun ends first, unless it takes too long.
  @Override
  public void close() {
    thread.interrupt();
    try {
      thread.join(CLOSE_MILLIS_MAX);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
