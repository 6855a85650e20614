package dev.sluice.runtime.onnx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/// An `OrtIoBinding`: where the tensors of runs lie, told to ONNX Runtime once instead of at each run.
///
/// The Java binding has none of these; its own run turns names into C strings, walks maps and makes objects for a result each
/// time, which for a model of two microseconds is a third of the run and for any model 300 bytes of garbage. A run through this
/// is one call that allocates nothing. Used by one thread at a time, closed before its session.
final class IoBinding {
  private static final MethodHandle CREATE_TENSOR =
      NativeApi.function(49, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG);
  private static final MethodHandle CREATE_MEMORY_INFO = NativeApi.function(69, JAVA_INT, JAVA_INT, ADDRESS);
  private static final MethodHandle RELEASE_VALUE = NativeApi.function(96, FunctionDescriptor.ofVoid(JAVA_LONG));
  private static final MethodHandle RUN = NativeApi.function(133, JAVA_LONG, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle CREATE = NativeApi.function(134, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle RELEASE = NativeApi.function(135, FunctionDescriptor.ofVoid(JAVA_LONG));
  private static final MethodHandle BIND_INPUT = NativeApi.function(136, JAVA_LONG, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle BIND_OUTPUT = NativeApi.function(137, JAVA_LONG, JAVA_LONG, JAVA_LONG);

  private static final int DEVICE_ALLOCATOR = 0;
  private static final int DEFAULT_MEMORY = 0;
  /// "In the processor's memory", as ONNX Runtime says it; the process keeps it.
  private static final long CPU_MEMORY = cpuMemory();

  /// What native code is told of a tensor, by the addresses of name and shape.
  private record Declared(long name, int type, long shape, long rank, long bytes) {}

  private final BufferPool pool;
  private final ByteBuffer declarations;
  private final Declared[] inputs;
  private final Declared[] outputs;
  /// Where ONNX Runtime leaves the handle of what it made.
  private final MemorySegment made;

  private final long madeAddress;
  private final long handle;

  /// For runs with inputs and outputs like these, which have to be told where they are before the first run.
  IoBinding(OrtSession session, BufferPool pool, List<Tensor> inputs, List<Tensor> outputs) throws OrtException {
    this.pool = pool;
    this.declarations = pool.take(Long.BYTES + declaredBytes(inputs) + declaredBytes(outputs));
    SegmentAllocator memory = SegmentAllocator.slicingAllocator(MemorySegment.ofBuffer(declarations));
    this.made = memory.allocate(JAVA_LONG);
    this.madeAddress = made.address();
    this.inputs = inputs.stream().map(tensor -> declare(tensor, memory)).toArray(Declared[]::new);
    this.outputs = outputs.stream().map(tensor -> declare(tensor, memory)).toArray(Declared[]::new);
    try {
      NativeApi.check((long) CREATE.invokeExact(NativeApi.handle(session), madeAddress));
      this.handle = made.get(JAVA_LONG, 0);
    } catch (Throwable e) {
      pool.give(declarations);
      throw NativeApi.thrown(e);
    }
  }

  private static long cpuMemory() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment info = arena.allocate(ADDRESS);
      NativeApi.check((long) CREATE_MEMORY_INFO.invokeExact(DEVICE_ALLOCATOR, DEFAULT_MEMORY, info));
      return info.get(JAVA_LONG, 0);
    } catch (Throwable e) {
      throw new IllegalStateException("ONNX Runtime does not know the processor's memory", e);
    }
  }

  // With what the alignment of the shapes may take.
  private static int declaredBytes(List<Tensor> tensors) {
    int bytes = 0;
    for (Tensor tensor : tensors) {
      int name = tensor.name().getBytes(StandardCharsets.UTF_8).length + 1;
      bytes += name + Long.BYTES * (tensor.shape().rank() + 1);
    }
    return bytes;
  }

  private static Declared declare(Tensor tensor, SegmentAllocator memory) {
    return new Declared(
        memory.allocateFrom(tensor.name()).address(),
        ElementTypes.onnxNumber(tensor.datatype()),
        memory.allocateFrom(JAVA_LONG, tensor.shape().toArray()).address(),
        tensor.shape().rank(),
        tensor.bytes().limit());
  }

  /// The next runs read this input there. The memory has to last as long as they do.
  void input(int index, long address) throws OrtException {
    try {
      long tensor = tensor(inputs[index], address);
      try {
        NativeApi.check((long) BIND_INPUT.invokeExact(handle, inputs[index].name, tensor));
      } finally {
        RELEASE_VALUE.invokeExact(tensor);
      }
    } catch (Throwable e) {
      throw NativeApi.thrown(e);
    }
  }

  /// The next runs write this output there.
  void output(int index, long address) throws OrtException {
    try {
      long tensor = tensor(outputs[index], address);
      try {
        NativeApi.check((long) BIND_OUTPUT.invokeExact(handle, outputs[index].name, tensor));
      } finally {
        RELEASE_VALUE.invokeExact(tensor);
      }
    } catch (Throwable e) {
      throw NativeApi.thrown(e);
    }
  }

  // Counted by those who hold it: what is bound outlives its release here.
  private long tensor(Declared declared, long address) throws Throwable {
    NativeApi.check(
        (long)
            CREATE_TENSOR.invokeExact(
                CPU_MEMORY, address, declared.bytes, declared.shape, declared.rank, declared.type, madeAddress));
    return made.get(JAVA_LONG, 0);
  }

  /// For the session that this was made for.
  void run(OrtSession session, OrtSession.RunOptions options) throws OrtException {
    try {
      NativeApi.check((long) RUN.invokeExact(NativeApi.handle(session), NativeApi.handle(options), handle));
    } catch (Throwable e) {
      throw NativeApi.thrown(e);
    }
  }

  void close() {
    try {
      RELEASE.invokeExact(handle);
    } catch (Throwable e) {
      throw new IllegalStateException("what was bound to a model could not be freed", e);
    }
    pool.give(declarations);
  }
}
