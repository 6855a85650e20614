package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The native side of a run, kept for the next run of the same shapes: input tensors over memory that requests are copied into,
/// output tensors that ONNX Runtime writes into, the options by which a run is stopped.
///
/// For a model of microseconds, making and closing these costs as much as the model does. The outputs' shapes are taken from
/// a run that had the same inputs; whether they are the same again is ONNX Runtime's to say, which compares them with what it
/// computes and fails the run if they differ. Used by one thread at a time.
final class RunSlot {
  /// Larger inputs are copied less than once: their memory is native already.
  static final int INPUT_BYTES_MAX = 64 << 10;

  /// Larger outputs are left to ONNX Runtime's own memory.
  static final int OUTPUT_BYTES_MAX = 256 << 10;

  private final Engine engine;
  private final BufferPool pool;
  private final List<String> outputs;
  private final String[] inputNames;
  private final Shape[] inputShapes;
  private final Datatype[] outputTypes;
  private final Shape[] outputShapes;
  private final int[] outputBytes;
  private final List<ByteBuffer> borrowed = new ArrayList<>();
  private final List<OnnxTensor> tensors = new ArrayList<>();

  /// Empty if the inputs are too large to be copied here.
  private final ByteBuffer[] inputBuffers;

  private final ByteBuffer[] outputBuffers;
  private final Map<String, OnnxTensor> inputsByName = new HashMap<>();
  private final Map<String, OnnxTensor> outputsByName = new LinkedHashMap<>();
  private final Runnable stop = this::terminate;
  private OrtSession.@Nullable RunOptions options;

  private RunSlot(Engine engine, BufferPool pool, List<Tensor> inputs, List<Tensor> answer, boolean holdsInputs) {
    this.engine = engine;
    this.pool = pool;
    this.outputs = answer.stream().map(Tensor::name).toList();
    this.inputNames = inputs.stream().map(Tensor::name).toArray(String[]::new);
    this.inputShapes = inputs.stream().map(Tensor::shape).toArray(Shape[]::new);
    this.outputTypes = answer.stream().map(Tensor::datatype).toArray(Datatype[]::new);
    this.outputShapes = answer.stream().map(Tensor::shape).toArray(Shape[]::new);
    this.outputBytes = answer.stream().mapToInt(output -> output.bytes().limit()).toArray();
    this.inputBuffers = new ByteBuffer[holdsInputs ? inputs.size() : 0];
    this.outputBuffers = new ByteBuffer[answer.size()];
  }

  /// A slot for runs like the one that had these inputs and this answer; null where native tensors cannot be kept.
  static @Nullable RunSlot after(
      Engine engine, OrtEnvironment environment, BufferPool pool, List<Tensor> inputs, List<Tensor> answer)
      throws OrtException {
    if (engine.gpu() != Engine.ON_CPU || bytes(answer) > OUTPUT_BYTES_MAX || !canBeKept(inputs) || !canBeKept(answer)) {
      return null;
    }
    RunSlot slot = new RunSlot(engine, pool, inputs, answer, bytes(inputs) <= INPUT_BYTES_MAX);
    try {
      for (int i = 0; i < slot.inputBuffers.length; i++) {
        slot.inputBuffers[i] = slot.buffer(inputs.get(i));
        slot.inputsByName.put(inputs.get(i).name(), slot.tensor(environment, inputs.get(i), slot.inputBuffers[i]));
      }
      for (int i = 0; i < slot.outputBuffers.length; i++) {
        slot.outputBuffers[i] = slot.buffer(answer.get(i));
        slot.outputsByName.put(answer.get(i).name(), slot.tensor(environment, answer.get(i), slot.outputBuffers[i]));
      }
      return slot;
    } catch (OrtException | RuntimeException e) {
      slot.close();
      throw e;
    }
  }

  private static long bytes(List<Tensor> tensors) {
    long bytes = 0;
    for (Tensor tensor : tensors) {
      bytes += tensor.bytes().limit();
    }
    return bytes;
  }

  // The binding makes no tensors of these over memory of ours, nor any of no bytes.
  private static boolean canBeKept(List<Tensor> tensors) {
    for (Tensor tensor : tensors) {
      if (tensor.datatype() == Datatype.BYTES
          || UnsignedCast.needs(tensor.datatype())
          || tensor.bytes().limit() == 0) {
        return false;
      }
    }
    return true;
  }

  private ByteBuffer buffer(Tensor tensor) {
    ByteBuffer buffer = pool.take(tensor.bytes().limit());
    borrowed.add(buffer);
    return buffer.slice(0, tensor.bytes().limit()).order(ByteOrder.LITTLE_ENDIAN);
  }

  private OnnxTensor tensor(OrtEnvironment environment, Tensor like, ByteBuffer bytes) throws OrtException {
    OnnxTensor tensor =
        OnnxTensor.createTensor(environment, bytes, like.shape().toArray(), ElementTypes.javaType(like.datatype()));
    tensors.add(tensor);
    return tensor;
  }

  // --- runs -----------------------------------------------------------------------------------------------------------

  boolean fits(List<Tensor> inputs, List<String> wanted) {
    if (inputs.size() != inputNames.length || !outputs.equals(wanted)) {
      return false;
    }
    for (int i = 0; i < inputNames.length; i++) {
      Tensor input = inputs.get(i);
      if (!input.name().equals(inputNames[i]) || !input.shape().equals(inputShapes[i])) {
        return false;
      }
    }
    return true;
  }

  /// Whether [#run] copies the inputs; otherwise they have to be given.
  boolean holdsInputs() {
    return inputBuffers.length > 0;
  }

  /// @param given the inputs where this does not hold them, else null
  List<Tensor> run(List<Tensor> inputs, @Nullable InputTensors given, OrtSession.@Nullable RunOptions runOptions)
      throws OrtException {
    for (int i = 0; i < inputBuffers.length; i++) {
      ByteBuffer bytes = inputs.get(i).bytes();
      inputBuffers[i].put(0, bytes, 0, bytes.limit());
    }
    try (OrtSession.Result _ =
        engine.run(given == null ? inputsByName : given.byName(), outputsByName, runOptions)) {
      List<Tensor> answer = new ArrayList<>(outputBuffers.length);
      for (int i = 0; i < outputBuffers.length; i++) {
        byte[] bytes = new byte[outputBytes[i]];
        outputBuffers[i].get(0, bytes);
        answer.add(
            new Tensor(
                outputs.get(i), outputTypes[i], outputShapes[i], ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)));
      }
      return answer;
    }
  }

  /// Whether a run writes its outputs here, shown by one that repeats the answer. Of an output that is an input by another name,
  /// ONNX Runtime does not.
  ///
  /// @param given as for [#run]
  boolean repeats(List<Tensor> inputs, @Nullable InputTensors given, List<Tensor> answer) throws OrtException {
    for (int i = 0; i < outputBuffers.length; i++) {
      for (int b = 0; b < outputBytes[i]; b++) {
        outputBuffers[i].put(b, (byte) (answer.get(i).bytes().get(b) ^ 0xFF));
      }
    }
    return run(inputs, given, null).equals(answer);
  }

  /// The options of this slot's runs that somebody may stop.
  OrtSession.RunOptions options() throws OrtException {
    OrtSession.RunOptions made = options;
    if (made == null) {
      made = engine.runOptions();
      options = made;
    }
    return made;
  }

  /// Stops the run in progress; the slot's later ones would stop at once as well.
  Runnable stop() {
    return stop;
  }

  private void terminate() {
    OrtSession.RunOptions running = options;
    if (running != null) {
      OnnxSession.terminate(running);
    }
  }

  void close() {
    for (OnnxTensor tensor : tensors) {
      tensor.close();
    }
    borrowed.forEach(pool::give);
    if (options != null) {
      options.close();
    }
  }
}
