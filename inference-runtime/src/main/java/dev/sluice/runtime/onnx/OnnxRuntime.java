package dev.sluice.runtime.onnx;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Session;
import java.nio.file.Path;

/// Runs ONNX models in this process with ONNX Runtime on the CPU.
public final class OnnxRuntime implements ModelRuntime {
  @Override
  public Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException {
    throw new ModelLoadException("in work");
  }
}
