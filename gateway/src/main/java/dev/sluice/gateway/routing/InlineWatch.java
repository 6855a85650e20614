package dev.sluice.gateway.routing;

import dev.sluice.runtime.model.RunControl;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Stops runs that take too long: those that hold the thread which brought their request, and those of shadows.
///
/// How long a model usually takes says nothing of this request: a batch of thousands, or a loop whose end is in the data, would
/// keep every other connection of an event loop waiting, for ever in the worst case. Each thread notes its run in a place of its
/// own, two writes a request, and the timer looks at all places now and then: a task of its own for each run would cost more
/// than a small model does.
final class InlineWatch {

  private static final Logger log = LoggerFactory.getLogger(InlineWatch.class);

  /// After this time a run is stopped at the next look.
  static final long RUN_NANOS_MAX = Duration.ofMillis(20).toNanos();

  private static final long LOOK_MILLIS = 20;

  /// How long a run may hold its thread at most, from its begin until it is told to stop.
  static final long HELD_NANOS_MAX = RUN_NANOS_MAX + Duration.ofMillis(LOOK_MILLIS).toNanos();

  /// Where one thread notes its run.
  static final class Place {
    private final Thread thread = Thread.currentThread();

    /// Written without a fence: the timer may see a run some moments late, and looks for those of milliseconds.
    private final AtomicReference<@Nullable Run> run = new AtomicReference<>();

    void end() {
      run.setRelease(null);
    }
  }

  /// @param late null: the control is all there is to tell
  private record Run(
      RunControl control, @Nullable InlineTrust trust, @Nullable Runnable late, long startedNanos, long nanosMax) {}

  private final Set<Place> places = ConcurrentHashMap.newKeySet();
  private final ThreadLocal<Place> mine =
      ThreadLocal.withInitial(
          () -> {
            Place place = new Place();
            places.add(place);
            return place;
          });

  InlineWatch(ScheduledExecutorService timer) {
    var _ = timer.scheduleWithFixedDelay(this::look, LOOK_MILLIS, LOOK_MILLIS, TimeUnit.MILLISECONDS);
  }

  /// A run begins on this thread; the place's `end` follows.
  ///
  /// @param trust lost if the run has to be stopped, before it ends; null if there is none to lose
  /// @param nowNanos by [System#nanoTime]
  Place begin(RunControl control, @Nullable InlineTrust trust, long nowNanos) {
    Place place = mine.get();
    place.run.setRelease(new Run(control, trust, null, nowNanos, RUN_NANOS_MAX));
    return place;
  }

  /// The same for a run that has a time of its own.
  ///
  /// @param late done before the run is stopped, on the timer's thread and perhaps more than once
  Place begin(RunControl control, Runnable late, long nanosMax) {
    Place place = mine.get();
    place.run.setRelease(new Run(control, null, late, System.nanoTime(), nanosMax));
    return place;
  }

  private void look() {
    long now = System.nanoTime();
    for (Place place : places) {
      Run run = place.run.getAcquire();
      if (run != null && now - run.startedNanos() > run.nanosMax()) {
        stop(run);
      }
    }
    places.removeIf(place -> !place.thread.isAlive());
  }

  /// Whatever goes wrong with one run, the others are still watched: a timer does not repeat a task that has thrown.
  private static void stop(Run run) {
    try {
      InlineTrust trust = run.trust();
      if (trust != null) {
        trust.lose(); // first: what is on its way to other threads must not follow
      }
      Runnable late = run.late();
      if (late != null) {
        late.run();
      }
    } catch (RuntimeException | Error e) {
      log.error("a run that takes too long could not be reported", e);
    }
    try {
      run.control().terminate();
    } catch (RuntimeException | Error e) {
      log.error("a run that takes too long could not be stopped", e);
    }
  }
}
