package dev.sluice.gateway.bench;

import com.sun.management.OperatingSystemMXBean;
import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/// Where usage is read: this JVM's own beans, or Linux's `/proc` for a process of any other kind.
final class ProcessUsage {
  private static final OperatingSystemMXBean SYSTEM =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
  private static final ThreadMXBean THREADS = ManagementFactory.getPlatformMXBean(ThreadMXBean.class);
  private static final long NANOS_PER_TICK = 10_000_000; // USER_HZ is 100 on every Linux
  private static final int PAGE = 4096;

  private ProcessUsage() {}

  static Usage own() {
    return new Usage(SYSTEM.getProcessCpuTime(), THREADS.getTotalThreadAllocatedBytes(), resident("self"));
  }

  /// Of a process of this machine, in steps of 10 ms.
  static Usage of(long pid) throws IOException {
    String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
    // The name in parentheses may hold anything; the third field comes behind the last one.
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
    long ticks = Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
    return new Usage(ticks * NANOS_PER_TICK, -1, resident(Long.toString(pid)));
  }

  /// What all processes together have used so far; -1 where that is not known. Without the kernel's work for the network,
  /// which belongs to no process, and with what other virtual machines took.
  static long machineNanos() {
    try {
      String[] fields = Files.readString(Path.of("/proc/stat")).lines().findFirst().orElse("").split("\\s+", -1);
      long ticks = 0;
      for (int i = 1; i <= 8; i++) { // user nice system idle iowait irq softirq steal
        ticks += i >= 4 && i <= 7 ? 0 : Long.parseLong(fields[i]);
      }
      return ticks * NANOS_PER_TICK;
    } catch (IOException | NumberFormatException | ArrayIndexOutOfBoundsException e) {
      return -1; // not Linux
    }
  }

  /// The share of the machine that others used.
  ///
  /// @param machineBefore as [#machineNanos] said, so for `machineAfter`
  /// @param knownNanos what is not others'
  static double othersShare(long machineBefore, long machineAfter, long knownNanos, double seconds) {
    double all = seconds * 1e9 * Runtime.getRuntime().availableProcessors();
    return machineBefore < 0 || machineAfter < 0 ? 0 : Math.max(0, (machineAfter - machineBefore - knownNanos) / all);
  }

  private static long resident(String process) {
    try {
      return Long.parseLong(Files.readString(Path.of("/proc/" + process + "/statm")).split(" ", -1)[1]) * PAGE;
    } catch (IOException | NumberFormatException e) {
      return 0; // not Linux
    }
  }
}
