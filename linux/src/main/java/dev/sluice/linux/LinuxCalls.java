package dev.sluice.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.ThreadFactory;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Calls of the C library that Java has no words for. Where the system does not have them, they do nothing.
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

  // The calls have no name in the C library before its version 2.41; their numbers are the kernel's, for each architecture.
  private static final @Nullable MethodHandle SYSTEM_CALL =
      find(
          "syscall",
          FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT),
          Linker.Option.firstVariadicArg(1));

  private static final long SET_ATTRIBUTES = number(314, 274);
  private static final long GET_ATTRIBUTES = number(315, 275);

  // struct sched_attr, the first version of it, of linux/sched/types.h.
  private static final int ATTRIBUTES_BYTES = 48;
  private static final int SIZE_AT = 0;
  private static final int FLAGS_AT = 8;
  private static final int SLICE_AT = 24;

  /// A thread inherits from the one that starts it, and models' threads are started by those that bring requests.
  private static final long RESET_ON_FORK = 1;

  private static final int NO_FLAGS = 0;

  /// Below an ordinary thread's slice (0.7 ms on one processor, 1.4 ms on two, 2.8 ms on eight), and long enough for what is done at a
  /// wake-up: at 0.1 ms such threads interrupted each other, and who was interrupted waited for a tick.
  static final long PROMPT_SLICE_NANOS = 500_000;

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

  /// The same threads, that get a processor sooner when they wake up, and give it away sooner: for those that read, route and write,
  /// and are done in some microseconds. Threads that they start are ordinary ones.
  ///
  /// An ordinary thread that runs is left alone until its slice of 1.4 to 3 ms is over, or a tick of up to 4 ms later, whoever wakes up
  /// meanwhile: for a request of microseconds beside a model of milliseconds that is what its caller waits for. Since Linux 6.12 the
  /// scheduler (EEVDF) lets a thread with a shorter slice go first. It gets no more of the processor for that. Older kernels do not
  /// care.
  public static ThreadFactory prompt(ThreadFactory threads) {
    return task ->
        threads.newThread(
            () -> {
              shortenSlicesOfThisThread();
              task.run();
            });
  }

  private static void shortenSlicesOfThisThread() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment attributes = arena.allocate(ATTRIBUTES_BYTES, Long.BYTES);
      if (!readAttributes(attributes)) {
        return;
      }
      attributes.set(JAVA_INT, SIZE_AT, ATTRIBUTES_BYTES);
      attributes.set(JAVA_LONG, FLAGS_AT, RESET_ON_FORK);
      attributes.set(JAVA_LONG, SLICE_AT, PROMPT_SLICE_NANOS);
      if (systemCall(SET_ATTRIBUTES, attributes, 0) != 0) {
        log.debug("the slices of thread '{}' could not be made shorter", Thread.currentThread().getName());
      }
    }
  }

  /// How long the calling thread may run before others have their turn; 0 where the system does not tell.
  static long sliceNanosOfThisThread() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment attributes = arena.allocate(ATTRIBUTES_BYTES, Long.BYTES);
      return readAttributes(attributes) ? attributes.get(JAVA_LONG, SLICE_AT) : 0;
    }
  }

  private static boolean readAttributes(MemorySegment attributes) {
    return systemCall(GET_ATTRIBUTES, attributes, ATTRIBUTES_BYTES) == 0;
  }

  private static long systemCall(long number, MemorySegment attributes, int sizeOrFlags) {
    if (SYSTEM_CALL == null || number == 0) {
      return -1;
    }
    try {
      return (long) SYSTEM_CALL.invokeExact(number, CALLING_THREAD, attributes, sizeOrFlags, NO_FLAGS);
    } catch (Throwable e) {
      throw new IllegalStateException("a call of the C library failed", e);
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

  private static long number(long x64, long others) {
    return switch (System.getProperty("os.arch", "")) {
      case "amd64" -> x64;
      case "aarch64", "riscv64" -> others;
      default -> 0;
    };
  }

  private static @Nullable MethodHandle find(String name, FunctionDescriptor descriptor, Linker.Option... options) {
    if (!LINUX) {
      return null;
    }
    Linker linker = Linker.nativeLinker();
    // malloc_trim is an extension of the GNU library: others have no such symbol.
    return linker.defaultLookup().find(name).map(symbol -> linker.downcallHandle(symbol, descriptor, options)).orElse(null);
  }
}
