package dev.sluice.runtime.model;

/// How a model is to be run; the defaults suit many small calls at the same time.
///
/// `maxBatchSize` above 0 declares dimension 0 of every tensor a batch.
public record ModelSettings(int maxBatchSize, ExecutionSettings execution) {
  public ModelSettings {
    if (maxBatchSize < 0) {
      throw new IllegalArgumentException("max_batch_size is " + maxBatchSize + "; expected at least 0");
    }
  }

  public static ModelSettings defaults() {
    return new ModelSettings(0, ExecutionSettings.defaults());
  }

  public ModelSettings withMaxBatchSize(int size) {
    return new ModelSettings(size, execution);
  }

  public ModelSettings withExecution(ExecutionSettings settings) {
    return new ModelSettings(maxBatchSize, settings);
  }
}
