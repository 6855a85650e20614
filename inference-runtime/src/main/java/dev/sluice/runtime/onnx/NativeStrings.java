package dev.sluice.runtime.onnx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Puts the bytes of strings into tensors and takes them out unchanged, past ONNX Runtime's Java binding.
///
/// The binding hands strings over in Java's modified UTF-8: a model sees other bytes than the caller sent for
/// characters beyond U+FFFF and for U+0000, and an answer that holds such characters arrives damaged.
@SuppressWarnings("restricted") // Native access is granted to Sluice as a whole, for ONNX Runtime itself.
final class NativeStrings {
  private static final MethodHandle DATA_LENGTH = NativeApi.function(53, JAVA_LONG, ADDRESS);
  private static final MethodHandle CONTENT =
      NativeApi.function(54, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG);
  private static final MethodHandle ELEMENT_BUFFER =
      NativeApi.function(252, JAVA_LONG, JAVA_LONG, JAVA_LONG, ADDRESS);

  private NativeStrings() {}

  /// Overwrites the strings of a tensor with the elements of a well-formed `BYTES` buffer, of the same number.
  static void write(OnnxTensor tensor, ByteBuffer wire) throws OrtException {
    ByteBuffer bytes = wire.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    MemorySegment source = MemorySegment.ofBuffer(bytes);
    try (Arena arena = Arena.ofConfined()) {
      long handle = NativeApi.handle(tensor);
      MemorySegment place = arena.allocate(ADDRESS);
      for (long i = 0; bytes.hasRemaining(); i++) {
        int length = bytes.getInt();
        NativeApi.check((long) ELEMENT_BUFFER.invokeExact(handle, i, (long) length, place));
        MemorySegment element = place.get(ADDRESS, 0).reinterpret(length);
        MemorySegment.copy(source, bytes.position(), element, 0, length);
        bytes.position(bytes.position() + length);
      }
    } catch (Throwable e) {
      throw NativeApi.thrown(e);
    }
  }

  /// The strings of a tensor in the protocol's layout.
  static ByteBuffer read(OnnxTensor tensor) throws OrtException {
    int elements = Math.toIntExact(tensor.getInfo().getNumElements());
    if (elements == 0) {
      return ByteBuffer.allocate(0).order(ByteOrder.LITTLE_ENDIAN);
    }
    try (Arena arena = Arena.ofConfined()) {
      long handle = NativeApi.handle(tensor);
      MemorySegment length = arena.allocate(JAVA_LONG);
      NativeApi.check((long) DATA_LENGTH.invokeExact(handle, length));
      long size = length.get(JAVA_LONG, 0);
      MemorySegment content = arena.allocate(Math.max(size, 1));
      MemorySegment starts = arena.allocate(JAVA_LONG, elements);
      NativeApi.check((long) CONTENT.invokeExact(handle, content, size, starts, (long) elements));
      ByteBuffer wire =
          ByteBuffer.allocate(Math.toIntExact(size + (long) Integer.BYTES * elements)).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < elements; i++) {
        long start = starts.getAtIndex(JAVA_LONG, i);
        long end = i + 1 < elements ? starts.getAtIndex(JAVA_LONG, i + 1) : size;
        int elementLength = (int) (end - start);
        wire.putInt(elementLength);
        MemorySegment.copy(content, JAVA_BYTE, start, wire.array(), wire.position(), elementLength);
        wire.position(wire.position() + elementLength);
      }
      return wire.flip();
    } catch (Throwable e) {
      throw NativeApi.thrown(e);
    }
  }
}
