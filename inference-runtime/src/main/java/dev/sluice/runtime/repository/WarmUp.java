package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Runs a new session until its time has settled, so that no caller pays for its first runs.
///
/// The first run of a model takes many times longer than the later ones: memory is laid out, weights are packed, code
/// is compiled. That holds for each size of batch, so the smallest and the largest are run. Settled means that a
/// handful of runs in a row brought nothing better. Everything happens on the thread that loads the model.
///
/// What the configuration's `model_warmup` names has to succeed, as in Triton. Zeros, for a model without, do not: many
/// a good model refuses them.
final class WarmUp {
  private static final Logger log = LoggerFactory.getLogger(WarmUp.class);
  private static final int RUNS_MAX = 200;
  private static final int RUNS_WITHOUT_GAIN = 8;
  private static final long NANOS_MAX = TimeUnit.SECONDS.toNanos(2);
  /// For what is invented: it may send a model into a loop that real inputs leave.
  private static final long INVENTED_NANOS_MAX = TimeUnit.SECONDS.toNanos(10);
  /// For what somebody asked for.
  private static final long SAMPLES_NANOS_MAX = TimeUnit.MINUTES.toNanos(10);

  private final Session session;
  private final ResolvedModel model;
  private final String label;
  private final List<String> outputs;

  private WarmUp(Session session, ResolvedModel model, String label) {
    this.session = session;
    this.model = model;
    this.label = label;
    this.outputs = session.signature().outputs().stream().map(TensorSpec::name).toList();
  }

  /// The nanoseconds that a small run takes in the end; 0 when the model does not accept zeros, which is no fault.
  static long run(Session session, ResolvedModel model, List<WarmUpSample> samples, String label)
      throws ModelLoadException {
    WarmUp warmUp = new WarmUp(session, model, label);
    warmUp.runSamples(samples);
    try (LoadingTime time = new LoadingTime(INVENTED_NANOS_MAX)) {
      return warmUp.settle(samples, time.control());
    }
  }

  private void runSamples(List<WarmUpSample> samples) throws ModelLoadException {
    try (LoadingTime time = new LoadingTime(SAMPLES_NANOS_MAX)) {
      for (WarmUpSample sample : samples) {
        List<Tensor> inputs = sample.inputs(sample.rows());
        for (int run = 0; run < sample.runs(); run++) {
          runSample(sample, inputs, time.control());
        }
      }
    }
  }

  private void runSample(WarmUpSample sample, List<Tensor> inputs, RunControl control) throws ModelLoadException {
    try {
      session.run(inputs, outputs, control);
    } catch (ModelExecutionException e) {
      String fault =
          e.kind() == Kind.TERMINATED
              ? "all samples together take longer than %d s"
                  .formatted(TimeUnit.NANOSECONDS.toSeconds(SAMPLES_NANOS_MAX))
              : e.getMessage();
      throw new ModelLoadException(
          "%s: failed to run warmup sample '%s': %s".formatted(label, sample.name(), fault), e);
    }
  }

  private long settle(List<WarmUpSample> samples, RunControl control) {
    Batching batching = model.scheduling().batching();
    int rowsMax = batching == null ? 1 : batching.rowsMax();
    try {
      if (rowsMax > 1) {
        // The largest first: what the memory arena keeps of it serves the small ones too.
        var _ = settledNanos(inputs(samples, rowsMax), control);
      }
      return settledNanos(inputs(samples, 1), control);
    } catch (ModelExecutionException e) {
      boolean endless = e.kind() == Kind.TERMINATED;
      log.info("{} was not warmed up: {}", label, endless ? "invented inputs keep it busy too long" : e.getMessage());
      return endless ? INVENTED_NANOS_MAX : 0;
    }
  }

  private List<Tensor> inputs(List<WarmUpSample> samples, int rows) throws ModelExecutionException {
    WarmUpSample smallest = samples.stream().min(Comparator.comparingInt(WarmUpSample::rows)).orElse(null);
    return smallest == null ? zeros(rows) : smallest.inputs(rows);
  }

  private long settledNanos(List<Tensor> inputs, RunControl control) throws ModelExecutionException {
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

  private List<Tensor> zeros(int rows) throws ModelExecutionException {
    List<Tensor> zeros = new ArrayList<>();
    for (TensorSpec spec : session.signature().inputs()) {
      if (spec.optional()) {
        continue;
      }
      long[] dims = Samples.sized(spec.shape(), 1).toArray();
      if (rows > 1) {
        dims[0] = rows;
      }
      Shape shape = Shape.of(dims);
      if (!Samples.fits(spec.datatype(), shape, 1)) {
        throw new ModelExecutionException(
            Kind.FAILED, "input '%s' would have the shape %s".formatted(spec.name(), shape));
      }
      zeros.add(Samples.zeros(spec, shape));
    }
    return zeros;
  }
}
