package dev.sluice.runtime.model;

import dev.sluice.proto.inference.ModelConfig;
import java.util.List;
import java.util.Map;

/// What a version was configured with, completed from the model itself where the configuration says nothing.
///
/// @param config as a client is told it
/// @param responseCache whether equal requests may be answered from memory
/// @param labels of the outputs that have some: the label of class i stands at index i
/// @param metricTags that the model's metrics carry beside `model` and `version`
public record ModelProfile(
    ModelConfig config,
    Scheduling scheduling,
    boolean responseCache,
    Map<String, List<String>> labels,
    Map<String, String> metricTags) {

  public ModelProfile {
    labels = Map.copyOf(labels);
    metricTags = Map.copyOf(metricTags);
  }

  /// Of a version about which nothing was said.
  public static ModelProfile defaults() {
    return new ModelProfile(ModelConfig.getDefaultInstance(), Scheduling.defaults(), false, Map.of(), Map.of());
  }
}
