package dev.sluice.runtime.repository;

import org.jspecify.annotations.Nullable;

/// How models' configurations are read, for a whole repository.
///
/// @param autoComplete whether a configuration that leaves something out is completed from the model
/// @param defaultMaxBatchSize the largest batch that is formed for a model about which nothing was said and whose rows
///     proved independent; 0 or 1: none is formed
/// @param ignoreUnknownFields whether a field that Triton does not have is ignored with a warning instead of refused
/// @param configName of the file `configs/<name>.pbtxt` that takes the place of `config.pbtxt` in the models that have
///     it; null: always `config.pbtxt`
public record ConfigOptions(
    boolean autoComplete, int defaultMaxBatchSize, boolean ignoreUnknownFields, @Nullable String configName) {

  public static final int DEFAULT_MAX_BATCH_SIZE = 4;

  public ConfigOptions {
    if (defaultMaxBatchSize < 0) {
      throw new IllegalArgumentException(
          "default-max-batch-size: %d; expected at least 0".formatted(defaultMaxBatchSize));
    }
    if (configName != null && !PlainFile.isPlain(configName)) {
      throw new IllegalArgumentException(
          "model-config-name: '%s'; expected the name of a file in the models' folders 'configs', without '.pbtxt'"
              .formatted(configName));
    }
  }

  public static ConfigOptions defaults() {
    return new ConfigOptions(true, DEFAULT_MAX_BATCH_SIZE, false, null);
  }
}
