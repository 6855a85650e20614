package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// One native session on one device.
///
/// Tests put another one before it, to meet the faults of a device that they do not have.
interface Engine {
  /// Its number in [#gpu] when it is on the CPU.
  int ON_CPU = -1;

  OrtSession.Result run(
      Map<String, OnnxTensor> inputs, Set<String> outputs, OrtSession.@Nullable RunOptions options) throws OrtException;

  /// For runs with inputs and outputs like these, which have to be told where they are; closed before the engine.
  IoBinding bind(BufferPool pool, List<Tensor> inputs, List<Tensor> outputs) throws OrtException;

  /// A run with everything that is bound, of a binding from [#bind].
  void run(IoBinding binding, OrtSession.@Nullable RunOptions options) throws OrtException;

  /// Options for a run of its own that can be told to stop.
  OrtSession.RunOptions runOptions() throws OrtException;

  /// The GPU's number, or [#ON_CPU].
  int gpu();

  void close() throws OrtException;

  default String device() {
    return gpu() == ON_CPU ? "cpu" : "gpu:" + gpu();
  }
}
