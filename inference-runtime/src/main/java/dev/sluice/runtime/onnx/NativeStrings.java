package dev.sluice.runtime.onnx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxTensorLike;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Puts the bytes of strings into tensors and takes them out unchanged, past ONNX Runtime's Java binding.
///
/// The binding hands strings over in Java's modified UTF-8: a model sees other bytes than the caller sent for
/// characters beyond U+FFFF and for U+0000, and an answer that holds such characters arrives damaged. So this calls
/// four functions of ONNX Runtime's C interface, whose table only ever grows at its end. It is the one place that
/// looks into the binding's private fields (the table's address and a tensor's handle); tests hold both.
@SuppressWarnings("restricted") // Native access is granted to Sluice as a whole, for ONNX Runtime itself.
final class NativeStrings {
  // Places in the table OrtApi of onnxruntime_c_api.h.
  private static final int GET_ERROR_MESSAGE = 2;
  private static final int GET_STRING_TENSOR_DATA_LENGTH = 53;
  private static final int GET_STRING_TENSOR_CONTENT = 54;
  private static final int RELEASE_STATUS = 93;
  private static final int GET_RESIZED_STRING_TENSOR_ELEMENT_BUFFER = 252;
  private static final long MESSAGE_BYTES_MAX = 1 << 16;

  private static final MethodHandle TENSOR_HANDLE;
  private static final MemorySegment API;
  private static final MethodHandle ERROR_MESSAGE;
  private static final MethodHandle RELEASE;
  private static final MethodHandle DATA_LENGTH;
  private static final MethodHandle CONTENT;
  private static final MethodHandle ELEMENT_BUFFER;

  static {
    try {
      MethodHandles.Lookup tensor = MethodHandles.privateLookupIn(OnnxTensorLike.class, MethodHandles.lookup());
      TENSOR_HANDLE = tensor.findGetter(OnnxTensorLike.class, "nativeHandle", long.class);
      Class<?> binding = tensor.findClass("ai.onnxruntime.OnnxRuntime");
      long table = (long) tensor.findStaticGetter(binding, "ortApiHandle", long.class).invokeExact();
      long functions = GET_RESIZED_STRING_TENSOR_ELEMENT_BUFFER + 1;
      API = MemorySegment.ofAddress(table).reinterpret(functions * ADDRESS.byteSize());
    } catch (Throwable e) {
      throw new IllegalStateException(
          "this version of ONNX Runtime's Java binding is built differently from the one that Sluice knows", e);
    }
    ERROR_MESSAGE = function(GET_ERROR_MESSAGE, FunctionDescriptor.of(ADDRESS, ADDRESS));
    RELEASE = function(RELEASE_STATUS, FunctionDescriptor.ofVoid(ADDRESS));
    DATA_LENGTH = function(GET_STRING_TENSOR_DATA_LENGTH, status(JAVA_LONG, ADDRESS));
    CONTENT = function(GET_STRING_TENSOR_CONTENT, status(JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG));
    ELEMENT_BUFFER =
        function(GET_RESIZED_STRING_TENSOR_ELEMENT_BUFFER, status(JAVA_LONG, JAVA_LONG, JAVA_LONG, ADDRESS));
  }

  private NativeStrings() {}

  /// Overwrites the strings of a tensor with the elements of a well-formed `BYTES` buffer, of the same number.
  static void write(OnnxTensor tensor, ByteBuffer wire) {
    ByteBuffer bytes = wire.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    MemorySegment source = MemorySegment.ofBuffer(bytes);
    try (Arena arena = Arena.ofConfined()) {
      long handle = (long) TENSOR_HANDLE.invokeExact((OnnxTensorLike) tensor);
      MemorySegment place = arena.allocate(ADDRESS);
      for (long i = 0; bytes.hasRemaining(); i++) {
        int length = bytes.getInt();
        check((MemorySegment) ELEMENT_BUFFER.invokeExact(handle, i, (long) length, place));
        MemorySegment element = place.get(ADDRESS, 0).reinterpret(length);
        MemorySegment.copy(source, bytes.position(), element, 0, length);
        bytes.position(bytes.position() + length);
      }
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /// The strings of a tensor in the protocol's layout.
  static ByteBuffer read(OnnxTensor tensor) {
    int elements = Math.toIntExact(tensor.getInfo().getNumElements());
    if (elements == 0) {
      return ByteBuffer.allocate(0).order(ByteOrder.LITTLE_ENDIAN);
    }
    try (Arena arena = Arena.ofConfined()) {
      long handle = (long) TENSOR_HANDLE.invokeExact((OnnxTensorLike) tensor);
      MemorySegment length = arena.allocate(JAVA_LONG);
      check((MemorySegment) DATA_LENGTH.invokeExact(handle, length));
      long size = length.get(JAVA_LONG, 0);
      MemorySegment content = arena.allocate(Math.max(size, 1));
      MemorySegment starts = arena.allocate(JAVA_LONG, elements);
      check((MemorySegment) CONTENT.invokeExact(handle, content, size, starts, (long) elements));
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
      throw unexpected(e);
    }
  }

  private static MethodHandle function(int place, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(API.getAtIndex(ADDRESS, place), descriptor);
  }

  private static FunctionDescriptor status(MemoryLayout... arguments) {
    return FunctionDescriptor.of(ADDRESS, arguments);
  }

  private static void check(MemorySegment status) throws Throwable {
    if (status.address() != 0) {
      MemorySegment message = (MemorySegment) ERROR_MESSAGE.invokeExact(status);
      String text = message.reinterpret(MESSAGE_BYTES_MAX).getString(0);
      RELEASE.invokeExact(status);
      throw new IllegalStateException(text);
    }
  }

  // A method handle may throw anything; what is below only ever throws these.
  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException runtime ? runtime : new IllegalStateException(e);
  }
}
