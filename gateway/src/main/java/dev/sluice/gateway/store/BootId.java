package dev.sluice.gateway.store;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// What the operating system calls its present run: another one after every restart of the machine.
final class BootId {

  private static final Path LINUX = Path.of("/proc/sys/kernel/random/boot_id");

  private BootId() {}

  /// Empty where the system does not tell.
  static String current() {
    try {
      return Files.readString(LINUX).strip();
    } catch (IOException unknown) {
      return "";
    }
  }

  /// Whether memory that was not forced to disk may be gone since `before`. Not knowing counts as yes.
  static boolean mayDiffer(String before, String now) {
    return before.isEmpty() || now.isEmpty() || !before.equals(now);
  }
}
