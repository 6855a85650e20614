/// MLflow's folders as several of its releases write them, loaded through the repository into ONNX Runtime itself.
@NullMarked
package dev.sluice.runtime.mlflow;

import org.jspecify.annotations.NullMarked;
