package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Runs a new session on zeros until its time has settled, so that no caller pays for its first runs.
///
/// The first run of a model takes many times longer than the later ones: memory is laid out, weights are packed,
/// code is compiled. Settled means that a handful of runs in a row brought nothing better.
final class WarmUp {
  private static final Logger log = LoggerFactory.getLogger(WarmUp.class);
  private static final int RUNS_MAX = 200;
  private static final int RUNS_WITHOUT_GAIN = 8;
  private static final long NANOS_MAX = TimeUnit.SECONDS.toNanos(2);
  /// A run that lasts even longer is ended: zeros may send a model into a loop that real inputs leave.
  private static final long TOTAL_NANOS_MAX = TimeUnit.SECONDS.toNanos(10);

  private WarmUp() {}

  /// The nanoseconds that a run takes in the end; 0 when the model does not accept zeros, which is no fault.
  static long run(Session session, String label) {
    try (LoadingTime time = new LoadingTime(TOTAL_NANOS_MAX)) {
      return settle(session, time.control());
    } catch (ModelExecutionException e) {
      boolean endless = e.kind() == Kind.TERMINATED;
      log.info("{} was not warmed up: {}", label, endless ? "zeros keep it busy too long" : e.getMessage());
      return endless ? TOTAL_NANOS_MAX : 0;
    }
  }

  private static long settle(Session session, RunControl control) throws ModelExecutionException {
    List<Tensor> inputs = zeros(session.signature().inputs());
    List<String> outputs = session.signature().outputs().stream().map(TensorSpec::name).toList();
    long[] latest = new long[RUNS_WITHOUT_GAIN];
    long best = Long.MAX_VALUE;
    long spent = 0;
    int runs = 0;
    for (int withoutGain = 0; withoutGain < RUNS_WITHOUT_GAIN && runs < RUNS_MAX && spent < NANOS_MAX; runs++) {
      long start = System.nanoTime();
      session.run(inputs, outputs, control);
      long nanos = System.nanoTime() - start;
      withoutGain = nanos < best ? 0 : withoutGain + 1;
      best = Math.min(best, nanos);
      spent += nanos;
      latest[runs % latest.length] = nanos;
    }
    long[] last = Arrays.copyOf(latest, Math.min(runs, latest.length));
    Arrays.sort(last);
    return last[last.length / 2];
  }

  private static List<Tensor> zeros(List<TensorSpec> specs) throws ModelExecutionException {
    List<Tensor> zeros = new ArrayList<>();
    for (TensorSpec spec : specs) {
      Shape shape = Samples.sized(spec.shape(), 1);
      if (!Samples.fits(spec.datatype(), shape)) {
        throw new ModelExecutionException(
            Kind.FAILED, "input '%s' would have the shape %s".formatted(spec.name(), shape));
      }
      zeros.add(Samples.zeros(spec, shape));
    }
    return zeros;
  }
}
