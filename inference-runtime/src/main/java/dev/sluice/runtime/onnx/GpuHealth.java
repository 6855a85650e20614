package dev.sluice.runtime.onnx;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Whether the process can still use its GPUs.
///
/// CUDA has faults after which every call of the process fails, on whichever GPU: only a new process helps. The first one
/// that any session meets ends the use of GPUs for all of them. Models that may run on the CPU move there; as long as
/// there is one that may not, the process is not fit to serve.
final class GpuHealth {
  private static final Logger log = LoggerFactory.getLogger(GpuHealth.class);

  private final AtomicInteger bound = new AtomicInteger();
  private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
  private volatile @Nullable String lost;

  /// Why GPUs are of no use any more, or null.
  @Nullable String lost() {
    return lost;
  }

  /// A session has met such a fault; the first reason stays.
  void lose(String reason) {
    synchronized (this) {
      if (lost != null) {
        return;
      }
      lost = reason;
    }
    log.error("no model runs on a GPU from now on, and only a restart helps: {}", reason);
    changed();
  }

  /// A model came that can run on GPUs only.
  void bind() {
    bound.incrementAndGet();
    changed();
  }

  /// Such a model went.
  void unbind() {
    bound.decrementAndGet();
    changed();
  }

  /// Why only a restart helps.
  Optional<String> fault() {
    return bound.get() > 0 ? Optional.ofNullable(lost) : Optional.empty();
  }

  void onChange(Runnable listener) {
    listeners.add(listener);
  }

  private void changed() {
    listeners.forEach(Runnable::run);
  }
}
