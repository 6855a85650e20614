package dev.sluice.runtime.onnx;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The native side of a run, kept for the next run of the same shapes: memory that small inputs are copied into, memory that
/// ONNX Runtime writes outputs into, both bound once, and the options by which a run is stopped.
///
/// For a model of microseconds, making and closing these costs as much as the model does. The outputs' shapes are taken from
/// a run that had the same inputs; whether they are the same again is ONNX Runtime's to say, which compares them with what it
/// computes and fails the run if they differ. Used by one thread at a time.
final class RunSlot {
  /// Larger inputs are native already, as whoever brings them takes care, and are bound where they lie: a quarter of a
  /// microsecond each.
  static final int INPUT_BYTES_MAX = 16 << 10;

  /// Larger outputs are left to ONNX Runtime's own memory.
  static final int OUTPUT_BYTES_MAX = 256 << 10;

  private final Engine engine;
  private final BufferPool pool;
  private final IoBinding binding;
  private final List<String> outputs;
  private final String[] inputNames;
  private final Datatype[] inputTypes;
  private final Shape[] inputShapes;
  private final int[] inputBytes;
  private final Datatype[] outputTypes;
  private final Shape[] outputShapes;
  private final int[] outputBytes;

  /// Empty if the inputs are bound where they lie.
  private final ByteBuffer[] inputBuffers;

  /// Of such inputs, those that native code cannot read where they lie, during a run.
  private final @Nullable ByteBuffer[] copies;

  private final ByteBuffer[] outputBuffers;
  private final List<ByteBuffer> borrowed = new ArrayList<>();
  private final Runnable stop = this::terminate;
  private OrtSession.@Nullable RunOptions options;

  private RunSlot(Engine engine, BufferPool pool, List<Tensor> inputs, List<Tensor> answer) throws OrtException {
    boolean holdsInputs = bytes(inputs) <= INPUT_BYTES_MAX;
    this.engine = engine;
    this.pool = pool;
    this.outputs = answer.stream().map(Tensor::name).toList();
    this.inputNames = inputs.stream().map(Tensor::name).toArray(String[]::new);
    this.inputTypes = inputs.stream().map(Tensor::datatype).toArray(Datatype[]::new);
    this.inputShapes = inputs.stream().map(Tensor::shape).toArray(Shape[]::new);
    this.inputBytes = inputs.stream().mapToInt(input -> input.bytes().limit()).toArray();
    this.outputTypes = answer.stream().map(Tensor::datatype).toArray(Datatype[]::new);
    this.outputShapes = answer.stream().map(Tensor::shape).toArray(Shape[]::new);
    this.outputBytes = answer.stream().mapToInt(output -> output.bytes().limit()).toArray();
    this.inputBuffers = new ByteBuffer[holdsInputs ? inputs.size() : 0];
    this.copies = new @Nullable ByteBuffer[inputs.size()];
    this.outputBuffers = new ByteBuffer[answer.size()];
    this.binding = engine.bind(pool, inputs, answer);
  }

  /// A slot for runs like the one that had these inputs and this answer; null where native tensors cannot be kept.
  static @Nullable RunSlot after(Engine engine, BufferPool pool, List<Tensor> inputs, List<Tensor> answer)
      throws OrtException {
    if (engine.gpu() != Engine.ON_CPU || bytes(answer) > OUTPUT_BYTES_MAX || !canBeKept(inputs) || !canBeKept(answer)) {
      return null;
    }
    RunSlot slot = new RunSlot(engine, pool, inputs, answer);
    try {
      for (int i = 0; i < slot.inputBuffers.length; i++) {
        slot.inputBuffers[i] = slot.buffer(slot.inputBytes[i]);
        slot.binding.input(i, address(slot.inputBuffers[i]));
      }
      for (int i = 0; i < slot.outputBuffers.length; i++) {
        slot.outputBuffers[i] = slot.buffer(slot.outputBytes[i]);
        slot.binding.output(i, address(slot.outputBuffers[i]));
      }
      return slot;
    } catch (OrtException | RuntimeException | Error e) {
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

  // Strings lie in memory of ONNX Runtime's own, and what has no bytes lies nowhere.
  private static boolean canBeKept(List<Tensor> tensors) {
    for (Tensor tensor : tensors) {
      if (tensor.datatype() == Datatype.BYTES || tensor.bytes().limit() == 0) {
        return false;
      }
    }
    return true;
  }

  private ByteBuffer buffer(int bytes) {
    ByteBuffer buffer = pool.take(bytes);
    borrowed.add(buffer);
    return buffer;
  }

  static long address(ByteBuffer direct) {
    return MemorySegment.ofBuffer(direct).address();
  }

  // --- runs -----------------------------------------------------------------------------------------------------------

  boolean fits(List<Tensor> inputs, List<String> wanted) {
    if (inputs.size() != inputNames.length || !outputs.equals(wanted)) {
      return false;
    }
    for (int i = 0; i < inputNames.length; i++) {
      Tensor input = inputs.get(i);
      // Native code believes what it was told of the bytes.
      if (input.bytes().limit() != inputBytes[i]
          || input.datatype() != inputTypes[i]
          || !input.name().equals(inputNames[i])
          || !input.shape().equals(inputShapes[i])) {
        return false;
      }
    }
    return true;
  }

  List<Tensor> run(List<Tensor> inputs, OrtSession.@Nullable RunOptions runOptions) throws OrtException {
    if (inputBuffers.length > 0) {
      for (int i = 0; i < inputBuffers.length; i++) {
        inputBuffers[i].put(0, inputs.get(i).bytes(), 0, inputBytes[i]);
      }
      engine.run(binding, runOptions);
    } else {
      runWhereTheyLie(inputs, runOptions);
    }
    return answer();
  }

  private void runWhereTheyLie(List<Tensor> inputs, OrtSession.@Nullable RunOptions runOptions) throws OrtException {
    try {
      for (int i = 0; i < copies.length; i++) {
        binding.input(i, address(direct(i, inputs.get(i).bytes())));
      }
      engine.run(binding, runOptions);
    } finally {
      Reference.reachabilityFence(inputs);
      for (int i = 0; i < copies.length; i++) {
        ByteBuffer copy = copies[i];
        if (copy != null) {
          copies[i] = null;
          pool.give(copy);
        }
      }
    }
  }

  private ByteBuffer direct(int index, ByteBuffer bytes) {
    if (InputTensors.canBeReadInPlace(bytes)) {
      return bytes;
    }
    ByteBuffer copy = pool.take(inputBytes[index]);
    copies[index] = copy;
    return copy.put(0, bytes, 0, inputBytes[index]);
  }

  private List<Tensor> answer() {
    if (outputBuffers.length == 1) {
      return List.of(output(0));
    }
    Tensor[] answer = new Tensor[outputBuffers.length];
    Arrays.setAll(answer, this::output);
    return List.of(answer);
  }

  private Tensor output(int index) {
    byte[] bytes = new byte[outputBytes[index]];
    outputBuffers[index].get(0, bytes);
    return new Tensor(
        outputs.get(index),
        outputTypes[index],
        outputShapes[index],
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN));
  }

  /// Whether a run writes its outputs here, shown by one that repeats the answer. Of an output that is an input by another name,
  /// ONNX Runtime does not.
  boolean repeats(List<Tensor> inputs, List<Tensor> answer) throws OrtException {
    for (int i = 0; i < outputBuffers.length; i++) {
      for (int b = 0; b < outputBytes[i]; b++) {
        outputBuffers[i].put(b, (byte) (answer.get(i).bytes().get(b) ^ 0xFF));
      }
    }
    return run(inputs, null).equals(answer);
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
    binding.close();
    borrowed.forEach(pool::give);
    if (options != null) {
      options.close();
    }
  }
}
