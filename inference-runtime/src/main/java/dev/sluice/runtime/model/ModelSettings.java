package dev.sluice.runtime.model;

/// How a model is to be loaded; the defaults suit many small calls at the same time.
///
/// @param modelFilename of the model within its version's folder: the name of a file, never a path
public record ModelSettings(String modelFilename, ExecutionSettings execution) {
  public static final String MODEL_FILENAME = "model.onnx";

  public static ModelSettings defaults() {
    return new ModelSettings(MODEL_FILENAME, ExecutionSettings.defaults());
  }

  public ModelSettings withModelFilename(String name) {
    return new ModelSettings(name, execution);
  }

  public ModelSettings withExecution(ExecutionSettings settings) {
    return new ModelSettings(modelFilename, settings);
  }
}
