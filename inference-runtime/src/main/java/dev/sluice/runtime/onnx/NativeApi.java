package dev.sluice.runtime.onnx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxTensorLike;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;

/// ONNX Runtime's C interface, for what its Java binding cannot do or does slowly.
///
/// A function is a place in the table `OrtApi` of `onnxruntime_c_api.h`, which only ever grows at its end. This is the one
/// place that looks into the binding's private fields: the table's address and the handles of its objects, which stay the
/// binding's to free. Tests hold all of it.
@SuppressWarnings("restricted") // Native access is granted to Sluice as a whole, for ONNX Runtime itself.
final class NativeApi {
  private static final int GET_ERROR_CODE = 1;
  private static final int GET_ERROR_MESSAGE = 2;
  private static final int RELEASE_STATUS = 93;
  /// The functions that version 23 of the interface has at least; none beyond is called.
  private static final int FUNCTIONS = 253;


  private static final MemorySegment TABLE;
  private static final MethodHandle TENSOR_HANDLE;
  private static final MethodHandle SESSION_HANDLE;
  private static final MethodHandle OPTIONS_HANDLE;
  private static final MethodHandle ERROR_CODE;
  private static final MethodHandle ERROR_MESSAGE;
  private static final MethodHandle RELEASE;

  static {
    try {
      MethodHandles.Lookup tensor = MethodHandles.privateLookupIn(OnnxTensorLike.class, MethodHandles.lookup());
      TENSOR_HANDLE = tensor.findGetter(OnnxTensorLike.class, "nativeHandle", long.class);
      SESSION_HANDLE = handle(OrtSession.class);
      OPTIONS_HANDLE = handle(OrtSession.RunOptions.class);
      Class<?> binding = tensor.findClass("ai.onnxruntime.OnnxRuntime");
      long table = (long) tensor.findStaticGetter(binding, "ortApiHandle", long.class).invokeExact();
      TABLE = MemorySegment.ofAddress(table).reinterpret(FUNCTIONS * ADDRESS.byteSize());
    } catch (Throwable e) {
      throw new IllegalStateException(
          "this version of ONNX Runtime's Java binding is built differently from the one that Sluice knows", e);
    }
    ERROR_CODE = function(GET_ERROR_CODE, FunctionDescriptor.of(JAVA_INT, JAVA_LONG));
    ERROR_MESSAGE = function(GET_ERROR_MESSAGE, FunctionDescriptor.of(ADDRESS, JAVA_LONG));
    RELEASE = function(RELEASE_STATUS, FunctionDescriptor.ofVoid(JAVA_LONG));
  }

  private NativeApi() {}

  private static MethodHandle handle(Class<?> owner) throws ReflectiveOperationException {
    return MethodHandles.privateLookupIn(owner, MethodHandles.lookup()).findGetter(owner, "nativeHandle", long.class);
  }

  /// A function that returns a status, which is to be given to [#check]. Where it is called often, pointers are best declared as
  /// longs: they need no object.
  static MethodHandle function(int place, MemoryLayout... arguments) {
    return function(place, FunctionDescriptor.of(JAVA_LONG, arguments));
  }

  static MethodHandle function(int place, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(TABLE.getAtIndex(ADDRESS, place), descriptor);
  }

  static long handle(OnnxTensor tensor) throws Throwable {
    return (long) TENSOR_HANDLE.invokeExact((OnnxTensorLike) tensor);
  }

  static long handle(OrtSession session) throws Throwable {
    return (long) SESSION_HANDLE.invokeExact(session);
  }

  static long handle(OrtSession.RunOptions options) throws Throwable {
    return (long) OPTIONS_HANDLE.invokeExact(options);
  }

  /// Turns a status that is not good into the exception that the binding would throw.
  static void check(long status) throws Throwable {
    if (status != 0) {
      throw failure(status);
    }
  }

  private static OrtException failure(long status) throws Throwable {
    try {
      int code = (int) ERROR_CODE.invokeExact(status);
      MemorySegment message = (MemorySegment) ERROR_MESSAGE.invokeExact(status);
      return new OrtException(code, message.reinterpret(Long.MAX_VALUE).getString(0));
    } finally {
      RELEASE.invokeExact(status);
    }
  }

  /// What a call ends with. A method handle may throw anything; those of this package throw only what is told apart here.
  static RuntimeException thrown(Throwable e) throws OrtException {
    switch (e) {
      case OrtException failure -> throw failure;
      case Error error -> throw error;
      case RuntimeException fault -> throw fault;
      default -> throw new IllegalStateException(e);
    }
  }
}
