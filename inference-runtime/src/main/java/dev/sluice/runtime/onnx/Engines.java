package dev.sluice.runtime.onnx;

import ai.onnxruntime.OrtException;
import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The native sessions of one model: one on the CPU, or one on each of its GPUs that take turns.
///
/// When the GPUs are lost, a model that may run on the CPU goes on there, with a session that the first call after the
/// loss opens while the others wait for it: rare enough, and better than memory for a second copy of each model.
final class Engines {
  private static final Logger log = LoggerFactory.getLogger(Engines.class);

  /// Opens a session on the CPU from the very file that the others were opened from.
  interface CpuOpener {
    Engine open() throws OrtException, ModelExecutionException;
  }

  private final String label;
  private final Device asked;
  private final Engine[] engines;
  private final GpuHealth health;
  private final @Nullable CpuOpener cpuOpener;
  private final AtomicInteger turn = new AtomicInteger();
  private volatile @Nullable Engine cpu;

  /// @param asked what the model is configured to run on
  /// @param engines all on GPUs, or one on the CPU
  /// @param cpuOpener of a model that may run on the CPU when GPUs are lost, else null
  Engines(String label, Device asked, List<Engine> engines, GpuHealth health, @Nullable CpuOpener cpuOpener) {
    this.label = label;
    this.asked = asked;
    this.engines = engines.toArray(Engine[]::new);
    this.health = health;
    this.cpuOpener = cpuOpener;
    if (onGpus() && cpuOpener == null) {
      health.bind();
    }
  }

  /// Whose turn it is.
  Engine next() throws ModelExecutionException, OrtException {
    if (onGpus()) {
      String lost = health.lost();
      if (lost != null) {
        return inPlaceOfGpus(lost);
      }
      if (engines.length > 1) {
        return engines[Math.floorMod(turn.getAndIncrement(), engines.length)];
      }
    }
    return engines[0];
  }

  /// A GPU failed in a way that it does not come back from.
  ///
  /// @return whether the run can be tried again, on the CPU
  boolean lost(String reason) {
    health.lose("%s: %s".formatted(label, reason));
    return cpuOpener != null;
  }

  DeviceUse use() {
    boolean moved = onGpus() && health.lost() != null;
    if (moved) {
      return new DeviceUse(asked, cpuOpener == null ? List.of() : List.of("cpu"));
    }
    return new DeviceUse(asked, List.of(engines).stream().map(Engine::device).toList());
  }

  void close() throws OrtException {
    // Freeing what is on a lost GPU calls into a dead context, which may end the process; its end frees it anyway.
    if (!onGpus() || health.lost() == null) {
      for (Engine engine : engines) {
        engine.close();
      }
    }
    Engine replacement = cpu;
    if (replacement != null) {
      replacement.close();
    }
    if (onGpus() && cpuOpener == null) {
      health.unbind();
    }
  }

  private boolean onGpus() {
    return engines[0].gpu() != Engine.ON_CPU;
  }

  private Engine inPlaceOfGpus(String lost) throws ModelExecutionException, OrtException {
    Engine replacement = cpu;
    if (replacement != null) {
      return replacement;
    }
    if (cpuOpener == null) {
      throw new ModelExecutionException(Kind.DEVICE_LOST, "the GPUs cannot be used any more: " + lost);
    }
    synchronized (this) {
      if (cpu == null) {
        cpu = cpuOpener.open();
        log.warn("{} runs on the CPU from now on", label);
      }
      return cpu;
    }
  }
}
