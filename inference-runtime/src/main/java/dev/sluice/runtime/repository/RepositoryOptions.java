package dev.sluice.runtime.repository;

/// How a repository is run.
///
/// @param loadThreads how many versions may be loaded at the same time, 1 to [#LOAD_THREADS_MAX]
public record RepositoryOptions(ControlMode mode, int loadThreads, ConfigOptions configuration) {

  /// One load leaves the rest of the machine to requests; Triton's four suit machines with more cores than models.
  public static final int LOAD_THREADS = 1;

  public static final int LOAD_THREADS_MAX = 64;

  public RepositoryOptions {
    if (loadThreads < 1 || loadThreads > LOAD_THREADS_MAX) {
      throw new IllegalArgumentException(
          "model-load-thread-count: %d is not between 1 and %d".formatted(loadThreads, LOAD_THREADS_MAX));
    }
  }

  public static RepositoryOptions defaults() {
    return new RepositoryOptions(ControlMode.NONE, LOAD_THREADS, ConfigOptions.defaults());
  }

  public RepositoryOptions withMode(ControlMode other) {
    return new RepositoryOptions(other, loadThreads, configuration);
  }

  public RepositoryOptions withLoadThreads(int threads) {
    return new RepositoryOptions(mode, threads, configuration);
  }

  public RepositoryOptions withConfiguration(ConfigOptions options) {
    return new RepositoryOptions(mode, loadThreads, options);
  }
}
