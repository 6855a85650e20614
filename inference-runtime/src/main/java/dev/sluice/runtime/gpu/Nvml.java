package dev.sluice.runtime.gpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/// NVIDIA's management library, which comes with the driver, as far as Sluice asks it.
///
/// Each question answers with a status, 0 for success; a question that this library or this GPU does not know has no
/// answer, and that is no failure.
@SuppressWarnings("restricted") // Native access is granted to Sluice as a whole, for ONNX Runtime itself.
final class Nvml implements AutoCloseable {
  private static final int SUCCESS = 0;
  private static final int UUID_BYTES = 96;

  private final Arena arena;
  private final SymbolLookup library;
  private final @Nullable MethodHandle utilization;
  private final @Nullable MethodHandle memory;
  private final @Nullable MethodHandle power;
  private final @Nullable MethodHandle powerLimit;
  private final @Nullable MethodHandle energy;

  private Nvml(Arena arena, SymbolLookup library) {
    this.arena = arena;
    this.library = library;
    this.utilization = question("nvmlDeviceGetUtilizationRates", ADDRESS, ADDRESS);
    this.memory = question("nvmlDeviceGetMemoryInfo", ADDRESS, ADDRESS);
    this.power = question("nvmlDeviceGetPowerUsage", ADDRESS, ADDRESS);
    this.powerLimit = question("nvmlDeviceGetEnforcedPowerLimit", ADDRESS, ADDRESS);
    this.energy = question("nvmlDeviceGetTotalEnergyConsumption", ADDRESS, ADDRESS);
  }

  /// Opens the library, by its name or its path; null where it is missing or finds no driver.
  static @Nullable Nvml open(String name) {
    Arena arena = Arena.ofShared();
    try {
      Nvml nvml = new Nvml(arena, SymbolLookup.libraryLookup(name, arena));
      MethodHandle start = nvml.question("nvmlInit_v2");
      if (start != null && (int) start.invokeExact() == SUCCESS) {
        return nvml;
      }
    } catch (IllegalArgumentException e) {
      // There is no such library: no NVIDIA driver.
    } catch (Throwable e) {
      throw unexpected(e);
    }
    arena.close();
    return null;
  }

  /// The GPUs of the machine; those that cannot be opened are 0 in the array.
  long[] devices() {
    MethodHandle count = question("nvmlDeviceGetCount_v2", ADDRESS);
    MethodHandle handle = question("nvmlDeviceGetHandleByIndex_v2", JAVA_INT, ADDRESS);
    if (count == null || handle == null) {
      return new long[0];
    }
    try (Arena call = Arena.ofConfined()) {
      MemorySegment number = call.allocate(JAVA_INT);
      if ((int) count.invokeExact(number) != SUCCESS) {
        return new long[0];
      }
      long[] devices = new long[Math.clamp(number.get(JAVA_INT, 0), 0, 64)];
      MemorySegment device = call.allocate(JAVA_LONG);
      for (int i = 0; i < devices.length; i++) {
        devices[i] = (int) handle.invokeExact(i, device) == SUCCESS ? device.get(JAVA_LONG, 0) : 0;
      }
      return devices;
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  @Nullable String uuid(long device) {
    MethodHandle uuid = question("nvmlDeviceGetUUID", ADDRESS, ADDRESS, JAVA_INT);
    if (uuid == null) {
      return null;
    }
    try (Arena call = Arena.ofConfined()) {
      MemorySegment text = call.allocate(UUID_BYTES);
      int status = (int) uuid.invokeExact(MemorySegment.ofAddress(device), text, UUID_BYTES);
      return status == SUCCESS ? text.getString(0) : null;
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /// The share of time in which it computed, 0 to 1.
  double utilization(long device) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment percent = call.allocate(JAVA_INT, 2);
      return answered(utilization, device, percent) ? percent.get(JAVA_INT, 0) / 100.0 : Double.NaN;
    }
  }

  /// Total and used bytes.
  double[] memory(long device) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment totalFreeUsed = call.allocate(JAVA_LONG, 3);
      return answered(memory, device, totalFreeUsed)
          ? new double[] {totalFreeUsed.getAtIndex(JAVA_LONG, 0), totalFreeUsed.getAtIndex(JAVA_LONG, 2)}
          : new double[] {Double.NaN, Double.NaN};
    }
  }

  double powerWatts(long device) {
    return milli(power, device);
  }

  double powerLimitWatts(long device) {
    return milli(powerLimit, device);
  }

  /// Since the driver was loaded.
  double energyJoules(long device) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment millijoules = call.allocate(JAVA_LONG);
      return answered(energy, device, millijoules) ? millijoules.get(JAVA_LONG, 0) / 1e3 : Double.NaN;
    }
  }

  @Override
  public void close() {
    try {
      MethodHandle end = question("nvmlShutdown");
      if (end != null) {
        int _ = (int) end.invokeExact();
      }
    } catch (Throwable e) {
      throw unexpected(e);
    } finally {
      arena.close();
    }
  }

  private static double milli(@Nullable MethodHandle question, long device) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment answer = call.allocate(JAVA_INT);
      return answered(question, device, answer) ? Integer.toUnsignedLong(answer.get(JAVA_INT, 0)) / 1e3 : Double.NaN;
    }
  }

  private static boolean answered(@Nullable MethodHandle question, long device, MemorySegment answer) {
    try {
      return question != null && (int) question.invokeExact(MemorySegment.ofAddress(device), answer) == SUCCESS;
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private @Nullable MethodHandle question(String name, MemoryLayout... arguments) {
    return library
        .find(name)
        .map(function -> Linker.nativeLinker().downcallHandle(function, FunctionDescriptor.of(JAVA_INT, arguments)))
        .orElse(null);
  }

  // A method handle may throw anything; these never do.
  private static RuntimeException unexpected(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException runtime ? runtime : new IllegalStateException(e);
  }
}
