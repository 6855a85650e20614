package dev.sluice.runtime.onnx;

import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ExecutionSettings.Threads;

/// What ONNX Runtime is started with, and what models get that ask for nothing else.
///
/// @param device where a model runs that does not say
/// @param sharedThreads whether all models compute on one pool of threads; what a model says of its own threads is then
///     left aside
/// @param threads of the shared pool, or else of each model that does not say; `parallel` is a model's own choice
public record OnnxOptions(Device device, boolean sharedThreads, Threads threads) {
  public OnnxOptions {
    if (threads.parallel()) {
      throw new IllegalArgumentException("whether branches run side by side is for each model to say");
    }
  }

  /// Everything on the CPU, each run on the thread that asks for it.
  public static OnnxOptions defaults() {
    return new OnnxOptions(Device.CPU, false, Threads.unspecified());
  }
}
