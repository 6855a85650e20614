package dev.sluice.runtime.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// A management library of two GPUs, compiled here and now, that stands for the NVIDIA driver's.
public final class FakeNvml {
  private static final String SOURCE = "fake_nvml.c";

  private FakeNvml() {}

  /// Compiles it into a folder and returns the library; where there is no C compiler the calling test is skipped.
  ///
  /// @param options of the compiler, such as `-DNO_DRIVER`
  public static Path compile(Path folder, String... options) throws IOException, InterruptedException {
    Path source = folder.resolve(SOURCE);
    try (@Nullable InputStream text = FakeNvml.class.getResourceAsStream(SOURCE)) {
      Files.copy(Objects.requireNonNull(text), source);
    }
    // By the driver's name, so that a process finds it on its library path.
    Path library = folder.resolve("libnvidia-ml.so.1");
    List<String> command = new ArrayList<>(List.of("cc", "-shared", "-fPIC", "-o", library.toString()));
    command.addAll(List.of(options));
    command.add(source.toString());
    Process compiler;
    try {
      compiler = new ProcessBuilder(command).inheritIO().start();
    } catch (IOException e) {
      assumeTrue(false, "skipped: there is no C compiler on this machine");
      throw e;
    }
    if (!compiler.waitFor(60, TimeUnit.SECONDS) || compiler.exitValue() != 0) {
      throw new IOException("the C compiler did not compile " + source);
    }
    return library;
  }
}
