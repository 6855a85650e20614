package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
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

  /// The same with memory for all outputs wanted, which are those of the map.
  OrtSession.Result run(
      Map<String, OnnxTensor> inputs, Map<String, OnnxTensor> outputs, OrtSession.@Nullable RunOptions options)
      throws OrtException;

  /// Options for a run of its own that can be told to stop.
  OrtSession.RunOptions runOptions() throws OrtException;

  /// The GPU's number, or [#ON_CPU].
  int gpu();

  void close() throws OrtException;

  default String device() {
    return gpu() == ON_CPU ? "cpu" : "gpu:" + gpu();
  }
}
