/// MLflow's ONNX folders, read as they are: what `MLmodel` says of the model, and the example that came with it.
/// Nothing here loads a model; it says how one is to be loaded, and whether what was loaded keeps its word.
@NullMarked
package dev.sluice.runtime.mlflow;

import org.jspecify.annotations.NullMarked;
