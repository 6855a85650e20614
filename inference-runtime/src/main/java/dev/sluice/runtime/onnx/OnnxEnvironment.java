package dev.sluice.runtime.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// ONNX Runtime itself, of which a process has one: the first to ask says whether it has a pool of threads for all models.
final class OnnxEnvironment {
  // ONNX Runtime 1.29's binding ends the JVM with a segmentation fault above 3972 to 3981 bytes of command line.
  private static final int COMMAND_LINE_BYTES_MAX = 3900;
  private static final Path COMMAND_LINE = Path.of("/proc/self/cmdline");
  private static final String NAME = "sluice";

  private record Started(boolean sharedThreads, OnnxOptions options, OrtEnvironment environment) {}

  private static @Nullable Started started;

  private OnnxEnvironment() {}

  /// Starts ONNX Runtime, or finds it started in the same way.
  static synchronized OrtEnvironment start(OnnxOptions options) {
    if (started == null) {
      if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
        throw new IllegalStateException("the protocol's tensors are little-endian, and this machine is not");
      }
      requireShortCommandLine();
      started = new Started(options.sharedThreads(), options, create(options));
    }
    boolean sameThreads = !options.sharedThreads() || started.options().threads().equals(options.threads());
    if (started.sharedThreads() != options.sharedThreads() || !sameThreads) {
      throw new IllegalStateException(
          "ONNX Runtime runs already in this process, started with %s; expected %s".formatted(started.options(), options));
    }
    return started.environment();
  }

  // Failures come back as exceptions; the native logger would write them a second time, to standard error, on the
  // thread that runs the model.
  private static OrtEnvironment create(OnnxOptions options) {
    OrtLoggingLevel quiet = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL;
    if (!options.sharedThreads()) {
      return OrtEnvironment.getEnvironment(quiet, NAME);
    }
    try (OrtEnvironment.ThreadingOptions threading = new OrtEnvironment.ThreadingOptions()) {
      // A pool that all models share is there to use the machine: without a number it has a thread for each processor.
      threading.setGlobalIntraOpNumThreads(threads(options.threads().intraOp().orElse(0)));
      threading.setGlobalInterOpNumThreads(threads(options.threads().interOp().orElse(0)));
      threading.setGlobalSpinControl(false);
      return OrtEnvironment.getEnvironment(quiet, NAME, threading);
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime's shared threads cannot be started: " + e.getMessage(), e);
    }
  }

  /// As many threads as were asked for, or one for every processor.
  static int threads(int asked) {
    return asked == 0 ? Runtime.getRuntime().availableProcessors() : asked;
  }

  private static void requireShortCommandLine() {
    try {
      int length = Files.exists(COMMAND_LINE) ? Files.readAllBytes(COMMAND_LINE).length : 0;
      if (length > COMMAND_LINE_BYTES_MAX) {
        throw new IllegalStateException(
            ("the process's command line has %d bytes, and ONNX Runtime ends the JVM above about %d; "
                    + "shorten it with a wildcard class path, an @argfile or a jar manifest")
                .formatted(length, COMMAND_LINE_BYTES_MAX));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
