package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import ai.onnxruntime.providers.OrtCUDAProviderOptions;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.Threads;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// A session of ONNX Runtime.
final class NativeEngine implements Engine {
  private static final String SHRINKAGE = "memory.enable_memory_arena_shrinkage";
  private static final String STRICT = "session.disable_cpu_ep_fallback";

  // Spinning threads are fast alone and slow together: a gateway has more calls than cores.
  private static final Map<String, String> ENTRIES =
      Map.of("session.intra_op.allow_spinning", "0", "session.inter_op.allow_spinning", "0");
  // EXHAUSTIVE, the library's own choice, measures every algorithm at each new shape: for seconds, on a caller's time.
  private static final Map<String, String> CUDA = Map.of("cudnn_conv_algo_search", "HEURISTIC");

  private final OrtSession session;
  private final int gpu;
  private final String shrunkAfterRun;
  /// For runs that nobody can stop; they share it, because nothing is ever changed in it. Without any, each run would make its own.
  private final OrtSession.RunOptions unstoppable;

  private volatile boolean closed;

  private NativeEngine(OrtSession session, int gpu, String shrunkAfterRun) throws OrtException {
    this.session = session;
    this.gpu = gpu;
    this.shrunkAfterRun = shrunkAfterRun;
    this.unstoppable = runOptions();
  }

  /// Opens a session on a GPU, or with [#ON_CPU] on the CPU.
  static NativeEngine open(
      OrtEnvironment environment, Path file, ExecutionSettings settings, OnnxOptions options, int gpu)
      throws OrtException {
    try (SessionOptions session = sessionOptions(settings, options)) {
      if (gpu == ON_CPU) {
        return open(environment, file, settings, session, gpu);
      }
      try (OrtCUDAProviderOptions cuda = new OrtCUDAProviderOptions(gpu)) {
        Map<String, String> entries = new HashMap<>(CUDA);
        entries.putAll(settings.placement().cudaOptions());
        for (Map.Entry<String, String> entry : entries.entrySet()) {
          cuda.add(entry.getKey(), entry.getValue());
        }
        session.addCUDA(cuda);
        if (settings.placement().strict()) {
          session.addConfigEntry(STRICT, "1");
        }
        return open(environment, file, settings, session, gpu);
      }
    }
  }

  private static NativeEngine open(
      OrtEnvironment environment, Path file, ExecutionSettings settings, SessionOptions options, int gpu)
      throws OrtException {
    OrtSession session = environment.createSession(file.toString(), options);
    try {
      return new NativeEngine(session, gpu, shrunkAfterRun(settings.memory(), gpu));
    } catch (OrtException e) {
      session.close();
      throw e;
    }
  }

  private static SessionOptions sessionOptions(ExecutionSettings settings, OnnxOptions options) throws OrtException {
    SessionOptions session = new SessionOptions();
    try {
      Threads threads = settings.threads();
      session.setExecutionMode(
          threads.parallel()
              ? SessionOptions.ExecutionMode.PARALLEL
              : SessionOptions.ExecutionMode.SEQUENTIAL);
      if (options.sharedThreads()) {
        session.disablePerSessionThreads();
      } else {
        int intraOp = threads.intraOp().orElse(options.threads().intraOp().orElse(1));
        int interOp = threads.interOp().orElse(options.threads().interOp().orElse(threads.parallel() ? 0 : 1));
        session.setIntraOpNumThreads(OnnxEnvironment.threads(intraOp));
        session.setInterOpNumThreads(OnnxEnvironment.threads(interOp));
      }
      session.setOptimizationLevel(
          switch (settings.graphLevel()) {
            case NONE -> SessionOptions.OptLevel.NO_OPT;
            case BASIC -> SessionOptions.OptLevel.BASIC_OPT;
            case EXTENDED -> SessionOptions.OptLevel.EXTENDED_OPT;
            case ALL -> SessionOptions.OptLevel.ALL_OPT;
          });
      session.setCPUArenaAllocator(settings.memory().arena());
      session.setMemoryPatternOptimization(settings.memory().pattern());
      Map<String, String> entries = new HashMap<>(ENTRIES);
      entries.putAll(settings.sessionEntries());
      for (Map.Entry<String, String> entry : entries.entrySet()) {
        session.addConfigEntry(entry.getKey(), entry.getValue());
      }
      return session;
    } catch (OrtException e) {
      session.close();
      throw e;
    }
  }

  // A device that the session does not have would fail each of its runs.
  private static String shrunkAfterRun(ExecutionSettings.Memory memory, int gpu) {
    return memory.shrunkAfterRun().stream()
        .filter(device -> device.startsWith("cpu:") || device.equals("gpu:" + gpu))
        .sorted()
        .collect(Collectors.joining(";"));
  }

  OrtSession session() {
    return session;
  }

  @Override
  public OrtSession.Result run(
      Map<String, OnnxTensor> inputs, Set<String> outputs, OrtSession.@Nullable RunOptions options)
      throws OrtException {
    return session.run(inputs, outputs, options == null ? unstoppable : options);
  }

  @Override
  public IoBinding bind(BufferPool pool, List<Tensor> inputs, List<Tensor> outputs) throws OrtException {
    requireOpen();
    return new IoBinding(session, pool, inputs, outputs);
  }

  @Override
  public void run(IoBinding binding, OrtSession.@Nullable RunOptions options) throws OrtException {
    requireOpen();
    binding.run(session, options == null ? unstoppable : options);
  }

  // The Java binding asks the same of itself; past it, a session that was freed would end the process.
  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the session on %s is closed".formatted(device()));
    }
  }

  @Override
  public OrtSession.RunOptions runOptions() throws OrtException {
    OrtSession.RunOptions options = new OrtSession.RunOptions();
    if (!shrunkAfterRun.isEmpty()) {
      options.addRunConfigEntry(SHRINKAGE, shrunkAfterRun);
    }
    return options;
  }

  @Override
  public int gpu() {
    return gpu;
  }

  @Override
  public void close() throws OrtException {
    closed = true;
    unstoppable.close();
    session.close();
  }
}
