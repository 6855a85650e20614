package dev.sluice.runtime.linux;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Two calls of the C library that Java has no words for. Where the system does not have them, they do nothing.
@SuppressWarnings("restricted") // Native access is granted to Sluice as a whole, for ONNX Runtime itself.
public final class LinuxCalls {
  private static final Logger log = LoggerFactory.getLogger(LinuxCalls.class);
  private static final boolean LINUX = System.getProperty("os.name", "").equals("Linux");
  private static final int PRIO_PROCESS = 0;
  private static final int CALLING_THREAD = 0;

  /// The least of all: beside a thread of ordinary weight, 1.5 % of a busy core.
  public static final int NICEST = 19;

  /// For threads that compute for as long as a model takes: one that only has to read, route and write need not wait for its turn. A
  /// third of an ordinary thread's weight where all want to run at once, everything where nobody else does.
  public static final int COMPUTING = 5;

  private static final @Nullable MethodHandle SET_PRIORITY =
      find("setpriority", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT));
  private static final @Nullable MethodHandle MALLOC_TRIM =
      find("malloc_trim", FunctionDescriptor.of(JAVA_INT, JAVA_LONG));

  private LinuxCalls() {}

  /// Lets the calling thread, which must be a platform thread, run when nobody else wants to. This cannot be taken back,
  /// and threads that it starts from now on inherit it. (On Linux a "process" in this call is a thread.)
  ///
  /// @param nice 0 for an ordinary thread to 19 for the least of all
  public static void lowerPriorityOfThisThread(int nice) {
    int result = call(SET_PRIORITY, PRIO_PROCESS, CALLING_THREAD, nice);
    if (result != 0) {
      log.info("the priority of thread '{}' could not be lowered", Thread.currentThread().getName());
    }
  }

  /// Gives memory that was freed back to the system. The GNU allocator otherwise keeps what lies below a block in use,
  /// which after a few loads and unloads is most of a model's size.
  public static void returnFreedMemory() {
    int _ = call(MALLOC_TRIM, 0L);
  }

  private static int call(@Nullable MethodHandle function, Object... arguments) {
    if (function == null) {
      return 0;
    }
    try {
      return (int) function.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new IllegalStateException("a call of the C library failed", e);
    }
  }

  private static @Nullable MethodHandle find(String name, FunctionDescriptor descriptor) {
    if (!LINUX) {
      return null;
    }
    Linker linker = Linker.nativeLinker();
    // malloc_trim is an extension of the GNU library: others have no such symbol.
    return linker.defaultLookup().find(name).map(symbol -> linker.downcallHandle(symbol, descriptor)).orElse(null);
  }
}
