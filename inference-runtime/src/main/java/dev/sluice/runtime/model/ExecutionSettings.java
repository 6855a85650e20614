package dev.sluice.runtime.model;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// How a model's runs are computed, as far as its configuration says so; what it leaves open is the server's choice.
///
/// @param sessionEntries further settings of the library that runs the model, in its own words
public record ExecutionSettings(
    Threads threads, GraphLevel graphLevel, Memory memory, Placement placement, Map<String, String> sessionEntries) {

  /// More threads for one run than any machine that this is meant for has processors.
  public static final int THREADS_MAX = 1024;

  /// What the library may do to a graph before it runs it.
  public enum GraphLevel {
    /// Nothing: node by node, as written.
    NONE,
    /// What keeps every operator's meaning: constants are folded, what is never used goes.
    BASIC,
    /// Fusions too.
    EXTENDED,
    /// Layouts too; the default.
    ALL
  }

  /// What a model is to run on.
  public enum Device {
    CPU,
    /// A GPU or nothing: without one the model is not served.
    GPU,
    /// A GPU where one can be used, else the CPU.
    AUTO
  }

  /// The threads of one run.
  ///
  /// @param intraOp threads that share one operator's work, 0 to [#THREADS_MAX]; 0: one for every processor. 1 computes on
  ///     the caller's thread, which is best unless one big model has an idle machine to itself
  /// @param interOp threads that run branches of the graph side by side, by the same rule; idle unless `parallel`
  /// @param parallel whether branches run side by side at all
  public record Threads(OptionalInt intraOp, OptionalInt interOp, boolean parallel) {
    public Threads {
      requireThreads("intra-op", intraOp);
      requireThreads("inter-op", interOp);
    }

    public static Threads unspecified() {
      return new Threads(OptionalInt.empty(), OptionalInt.empty(), false);
    }
  }

  /// What becomes of the memory that runs need.
  ///
  /// @param arena whether it is kept between runs
  /// @param pattern whether a run's needs are remembered and met with one block
  /// @param shrunkAfterRun the devices, as `cpu:0`, whose arena gives back after each run what it has to spare
  public record Memory(boolean arena, boolean pattern, Set<String> shrunkAfterRun) {
    public Memory {
      shrunkAfterRun = Set.copyOf(shrunkAfterRun);
      for (String device : shrunkAfterRun) {
        if (!device.matches("cpu:0|gpu:[0-9]{1,2}")) {
          throw new IllegalArgumentException("'%s' is no device; expected 'cpu:0' or one like 'gpu:1'".formatted(device));
        }
      }
      if (!arena && shrunkAfterRun.stream().anyMatch(device -> device.startsWith("cpu:"))) {
        throw new IllegalArgumentException("an arena that is switched off cannot be shrunk");
      }
    }
  }

  /// Where the model runs.
  ///
  /// @param device null: where the server says
  /// @param gpus the numbers of the GPUs that take turns when it runs on GPUs; empty: the first one
  /// @param strict whether a model may not be loaded that has a node which its GPU cannot compute
  /// @param cudaOptions settings of the CUDA provider, in its own words
  public record Placement(
      @Nullable Device device, List<Integer> gpus, boolean strict, Map<String, String> cudaOptions) {
    /// Sluice opens a session on each; a machine has at most sixteen.
    public static final int GPU_MAX = 63;

    public Placement {
      gpus = List.copyOf(new LinkedHashSet<>(gpus));
      cudaOptions = Map.copyOf(cudaOptions);
      for (int gpu : gpus) {
        if (gpu < 0 || gpu > GPU_MAX) {
          throw new IllegalArgumentException("gpu is %d; expected 0 to %d".formatted(gpu, GPU_MAX));
        }
      }
    }
  }

  public ExecutionSettings {
    sessionEntries = Map.copyOf(sessionEntries);
  }

  /// Of a model about which nothing was said.
  public static ExecutionSettings defaults() {
    return new ExecutionSettings(
        Threads.unspecified(),
        GraphLevel.ALL,
        new Memory(true, true, Set.of()),
        new Placement(null, List.of(), false, Map.of()),
        Map.of());
  }

  private static void requireThreads(String kind, OptionalInt threads) {
    if (threads.isPresent() && (threads.getAsInt() < 0 || threads.getAsInt() > THREADS_MAX)) {
      throw new IllegalArgumentException(
          "%s threads are %d; expected 0 to %d".formatted(kind, threads.getAsInt(), THREADS_MAX));
    }
  }
}
