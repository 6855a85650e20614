package dev.sluice.runtime.model;

import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;

/// A loaded version of a model, used under leases so that it is never closed under a call.
///
/// One number holds everything: the leases given out, and in its sign bit whether the version is retired. A retired
/// version gives no new lease, and whoever moves the number to "retired, no leases" closes the session: that
/// happens exactly once. Taking or returning a lease is one compare-and-set; it never locks, waits or allocates.
public final class ModelVersion {
  private static final long RETIRED = Long.MIN_VALUE;
  /// One eighth of each new measurement: a handful of runs to follow a change, one slow run to be forgotten.
  private static final int SMOOTHING_SHIFT = 3;

  /// A run that lost its processor for some milliseconds counts for at most this many usual ones, so that it at most doubles what is
  /// usual: else each would send the next fifty requests of a quick model to the queue. Ten slow runs in a row still make a thousandfold,
  /// and a run that had to be stopped counts in full.
  private static final int OUTLIER_MAX = 8;

  private final String model;
  private final long version;
  private final Session session;
  private final ModelProfile profile;
  private final long loadNanos;
  private final VersionStatistics statistics = new VersionStatistics();
  private final AtomicLong leases = new AtomicLong();
  private final AtomicLong typicalRunNanos = new AtomicLong();
  private final CompletableFuture<Void> closed = new CompletableFuture<>();

  /// Takes over the session: it is closed when the version is retired and the last lease is back.
  public ModelVersion(String model, long version, Session session) {
    this(model, version, session, ModelProfile.defaults(), 0, 0);
  }

  /// As above, for a session that was configured and warmed, and whose runs took this long in the end.
  public ModelVersion(String model, long version, Session session, ModelProfile profile, long typicalRunNanos) {
    this(model, version, session, profile, typicalRunNanos, 0);
  }

  /// As above, after a load that took this long, the warm-up included.
  public ModelVersion(
      String model, long version, Session session, ModelProfile profile, long typicalRunNanos, long loadNanos) {
    this.model = model;
    this.version = version;
    this.session = session;
    this.profile = profile;
    this.loadNanos = loadNanos;
    this.typicalRunNanos.setOpaque(typicalRunNanos);
  }

  public String model() {
    return model;
  }

  public long version() {
    return version;
  }

  public Signature signature() {
    return session.signature();
  }

  /// Where it runs, now.
  public DeviceUse devices() {
    return session.devices();
  }

  public ModelProfile profile() {
    return profile;
  }

  public VersionStatistics statistics() {
    return statistics;
  }

  /// The rows of a request, at least 1: what its inputs have in dimension 0, or 1 when the model has no batch.
  public long rows(List<Tensor> inputs) {
    boolean batches = signature().maxBatchSize() > 0 || profile.config().getMaxBatchSize() > 0;
    return !batches || inputs.isEmpty() ? 1 : Math.max(1, inputs.getFirst().shape().dim(0));
  }

  /// Takes a lease; false when the version is retired. Every `true` is followed by one [#release].
  public boolean tryAcquire() {
    while (true) {
      long seen = leases.get();
      if (seen < 0) {
        return false;
      }
      if (leases.compareAndSet(seen, seen + 1)) {
        return true;
      }
    }
  }

  /// Returns a lease.
  public void release() {
    while (true) {
      long seen = leases.get();
      if ((seen & ~RETIRED) == 0) {
        throw new IllegalStateException("a lease of %s was returned more often than taken".formatted(this));
      }
      if (leases.compareAndSet(seen, seen - 1)) {
        if (seen - 1 == RETIRED) {
          close();
        }
        return;
      }
    }
  }

  /// Gives no lease from now on and closes the session when the last one is back; retiring twice changes nothing.
  public void retire() {
    if (leases.getAndUpdate(seen -> seen | RETIRED) == 0) {
      close();
    }
  }

  /// Runs the model. Only under a lease, with what [Session#run] asks for. Whoever runs for a request keeps its
  /// [#statistics].
  public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
      throws ModelExecutionException {
    return run(inputs, outputs, control, Long.MAX_VALUE);
  }

  /// The same for a copy of a request, beside the callers': stopped, it says less of how long theirs take, and counts for no
  /// more than a run that had lost its processor.
  public List<Tensor> runCopy(List<Tensor> inputs, List<String> outputs, RunControl control)
      throws ModelExecutionException {
    return run(inputs, outputs, control, OUTLIER_MAX);
  }

  /// @param stoppedMax for how many usual runs one that was stopped counts at most
  private List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control, long stoppedMax)
      throws ModelExecutionException {
    long start = System.nanoTime();
    try {
      List<Tensor> answer = session.run(inputs, outputs, control);
      long nanos = System.nanoTime() - start;
      long typical = typicalRunNanos();
      recordRun(atMost(OUTLIER_MAX, typical, nanos));
      return answer;
    } catch (ModelExecutionException e) {
      // A run that was stopped would have taken even longer.
      long nanos = System.nanoTime() - start;
      long typical = typicalRunNanos();
      if (e.kind() == ModelExecutionException.Kind.TERMINATED && nanos > typical) {
        recordRun(stoppedMax == Long.MAX_VALUE ? nanos : atMost(stoppedMax, typical, nanos));
      }
      throw e;
    }
  }

  /// How long loading took, the warm-up included; 0 when it was not measured.
  public long loadNanos() {
    return loadNanos;
  }

  /// The leases given out and not yet returned.
  public int callsInFlight() {
    return (int) (leases.get() & ~RETIRED);
  }

  /// How long a run has taken lately: a smoothed guide for scheduling, not a statistic. 0 before the first run.
  public long typicalRunNanos() {
    return typicalRunNanos.getOpaque();
  }

  /// Completes when the session is closed.
  public CompletableFuture<Void> closed() {
    return closed.copy();
  }

  private static long atMost(long times, long typical, long nanos) {
    return typical == 0 ? nanos : Math.min(nanos, times * typical);
  }

  // Two threads may lose each other's update; the average only guides, and an atomic one would cost every run.
  private void recordRun(long nanos) {
    long typical = typicalRunNanos.getOpaque();
    typicalRunNanos.setOpaque(typical == 0 ? nanos : typical + ((nanos - typical) >> SMOOTHING_SHIFT));
  }

  // On a thread of its own: the last lease often comes back on an event loop, and freeing a big model takes long.
  private void close() {
    Thread.ofPlatform()
        .name("close-" + model + "-" + version)
        .start(
            () -> {
              try {
                session.close();
                closed.complete(null);
              } catch (RuntimeException e) {
                closed.completeExceptionally(e);
              }
            });
  }

  @Override
  public String toString() {
    return "model '%s' version %d".formatted(model, version);
  }
}
