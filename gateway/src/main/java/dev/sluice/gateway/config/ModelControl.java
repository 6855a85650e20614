package dev.sluice.gateway.config;

import dev.sluice.runtime.repository.ControlMode;
import dev.sluice.runtime.repository.RepositoryOptions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/// Which models are loaded and when, and what it means for the server if one is not.
///
/// @param pollInterval between two looks at the directory in poll mode
/// @param loadAtStart in explicit mode: these models, or [#ALL]
/// @param strictReadiness whether the server is ready only while every model that was asked for can answer
/// @param exitOnError whether a start fails when a version that was asked for does not load
/// @param loadThreads how many versions may be loaded at the same time
public record ModelControl(
    ControlMode mode,
    Duration pollInterval,
    List<String> loadAtStart,
    boolean strictReadiness,
    boolean exitOnError,
    int loadThreads) {

  public static final String ALL = "*";
  public static final int POLL_SECONDS = 15;

  public ModelControl {
    loadAtStart = List.copyOf(loadAtStart);
    List<String> problems = new ArrayList<>();
    if (pollInterval.isZero() || pollInterval.isNegative()) {
      problems.add("repository-poll-secs: %s is not above 0".formatted(pollInterval.toSeconds()));
    }
    if (!loadAtStart.isEmpty() && mode != ControlMode.EXPLICIT) {
      problems.add("load-model: needs --model-control-mode=explicit; in the other modes every model is loaded");
    }
    if (loadAtStart.size() > 1 && loadAtStart.contains(ALL)) {
      problems.add("load-model: '*' stands for all models and is given alone");
    }
    if (loadThreads < 1 || loadThreads > RepositoryOptions.LOAD_THREADS_MAX) {
      problems.add(
          "model-load-thread-count: %d is not between 1 and %d"
              .formatted(loadThreads, RepositoryOptions.LOAD_THREADS_MAX));
    }
    if (!problems.isEmpty()) {
      throw new IllegalArgumentException(String.join("\n", problems));
    }
  }

  public static ModelControl defaults() {
    return new ModelControl(
        ControlMode.NONE, Duration.ofSeconds(POLL_SECONDS), List.of(), true, false, RepositoryOptions.LOAD_THREADS);
  }

  /// The server is ready as soon as it answers, whatever did not load.
  public ModelControl withoutStrictReadiness() {
    return new ModelControl(mode, pollInterval, loadAtStart, false, exitOnError, loadThreads);
  }

  /// Looks at the directory again and again.
  public static ModelControl polling(Duration interval) {
    return new ModelControl(ControlMode.POLL, interval, List.of(), true, false, RepositoryOptions.LOAD_THREADS);
  }

  /// Loads what callers ask for, and these at the start.
  public static ModelControl explicit(String... loadAtStart) {
    return new ModelControl(
        ControlMode.EXPLICIT, Duration.ofSeconds(POLL_SECONDS), List.of(loadAtStart), true, false,
        RepositoryOptions.LOAD_THREADS);
  }
}
