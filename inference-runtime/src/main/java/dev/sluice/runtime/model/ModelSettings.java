package dev.sluice.runtime.model;

/// How a model is to be loaded; the defaults suit many small calls at the same time.
///
/// @param modelFilename of the model within its version's folder: the name of a file, never a path
/// @param intraOpThreads that compute one run: 1 runs on the caller's thread, which is best unless one big model has an
///     idle machine to itself
public record ModelSettings(String modelFilename, int intraOpThreads) {
  public static final String MODEL_FILENAME = "model.onnx";

  public ModelSettings {
    if (intraOpThreads < 1) {
      throw new IllegalArgumentException("intra-op threads are " + intraOpThreads + "; expected at least 1");
    }
  }

  public static ModelSettings defaults() {
    return new ModelSettings(MODEL_FILENAME, 1);
  }

  public ModelSettings withModelFilename(String name) {
    return new ModelSettings(name, intraOpThreads);
  }
}
