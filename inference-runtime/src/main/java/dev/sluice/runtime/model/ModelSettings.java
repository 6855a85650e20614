package dev.sluice.runtime.model;

/// How a model is to be run; the defaults suit many small calls at the same time.
///
/// `maxBatchSize` above 0 declares dimension 0 of every tensor a batch. `intraOpThreads` are the threads that compute
/// one run: 1 runs on the caller's thread, which is best unless one big model has an idle machine to itself.
public record ModelSettings(int maxBatchSize, int intraOpThreads) {
  public ModelSettings {
    if (maxBatchSize < 0) {
      throw new IllegalArgumentException("max_batch_size is " + maxBatchSize + "; expected at least 0");
    }
    if (intraOpThreads < 1) {
      throw new IllegalArgumentException("intra-op threads are " + intraOpThreads + "; expected at least 1");
    }
  }

  public static ModelSettings defaults() {
    return new ModelSettings(0, 1);
  }

  public ModelSettings withMaxBatchSize(int size) {
    return new ModelSettings(size, intraOpThreads);
  }
}
