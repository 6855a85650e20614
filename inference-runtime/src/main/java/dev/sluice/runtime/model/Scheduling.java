package dev.sluice.runtime.model;

import org.jspecify.annotations.Nullable;

/// How the requests of one model version wait and run.
///
/// @param instances runs in progress at the same time, at least 1
/// @param batching null: each request runs alone
public record Scheduling(int instances, @Nullable Batching batching, Priorities priorities) {

  public Scheduling {
    if (instances < 1) {
      throw new IllegalArgumentException("instances are %d; expected at least 1".formatted(instances));
    }
  }

  /// A run for every processor, each request alone: ONNX Runtime computes a run on the thread that asks for it.
  public static Scheduling defaults() {
    return new Scheduling(Runtime.getRuntime().availableProcessors(), null, Priorities.none());
  }
}
