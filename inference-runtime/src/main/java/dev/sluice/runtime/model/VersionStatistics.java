package dev.sluice.runtime.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.LongAdder;

/// What a version has done since it was loaded: counts and times, in the sense of Triton's `ModelStatistics`.
///
/// Recording adds to a handful of [LongAdder]s: no lock, and nothing allocated but once for each batch size. A reader
/// sees numbers that were each true a moment ago; only when nothing runs do they all belong together.
public final class VersionStatistics {

  /// Whose doing it was that a request got no answer.
  public enum FailureReason {
    /// It had no place in the queue, or waited there for too long.
    REJECTED,
    /// Its caller had gone.
    CANCELED,
    /// The model could not compute it.
    BACKEND,
    OTHER
  }

  /// Sizes of batches that are kept apart; runs of further sizes are counted, but under no size.
  static final int BATCH_SIZES_MAX = 256;

  private final Times request = new Times();
  private final Times queue = new Times();
  private final Times computeInput = new Times();
  private final Times computeInfer = new Times();
  private final Times computeOutput = new Times();
  private final LongAdder rows = new LongAdder();

  /// Requests that ran alone, as they came: they waited for nothing, and nothing was gathered or handed out for them. A count of their
  /// own instead of six additions of nothing, which are what recording costs.
  private final LongAdder atOnce = new LongAdder();
  private final LongAdder pending = new LongAdder();
  private final Sum cacheHit = new Sum();
  private final Sum cacheMiss = new Sum();
  private final Map<FailureReason, Sum> failures = new EnumMap<>(FailureReason.class); // complete
  private final Batch otherBatches = new Batch(0);
  private volatile Batch[] batches = {}; // ascending
  private volatile long lastInferenceMillis;

  VersionStatistics() {
    for (FailureReason reason : FailureReason.values()) {
      failures.put(reason, new Sum());
    }
  }

  // --- recording ----------------------------------------------------------------------------------------------------

  /// A request was answered by a run. The times of a run that it shared with others count in full for each of them.
  ///
  /// @param totalNanos from its arrival to its answer
  /// @param queueNanos until its run began
  /// @param inputNanos the run's gathering of inputs
  /// @param inferNanos the model's own time
  /// @param outputNanos the run's handing out of outputs
  public void succeeded(
      long requestRows, long totalNanos, long queueNanos, long inputNanos, long inferNanos, long outputNanos) {
    rows.add(requestRows);
    request.add(totalNanos);
    queue.add(queueNanos);
    computeInput.add(inputNanos);
    computeInfer.add(inferNanos);
    computeOutput.add(outputNanos);
  }

  /// The same for a request that ran alone and at once.
  public void succeededAtOnce(long requestRows, long totalNanos, long inferNanos) {
    rows.add(requestRows);
    request.add(totalNanos);
    computeInfer.add(inferNanos);
    atOnce.increment();
  }

  /// A request got no answer.
  public void failed(FailureReason reason, long totalNanos) {
    Objects.requireNonNull(failures.get(reason)).add(totalNanos);
  }

  /// The model has run, for however many requests.
  public void executed(long batchRows, long inputNanos, long inferNanos, long outputNanos) {
    batch(batchRows).add(inputNanos, inferNanos, outputNanos);
    lastInferenceMillis = System.currentTimeMillis();
  }

  /// A request was answered from memory, without a run.
  public void answeredFromCache(long totalNanos, long lookupNanos) {
    request.add(totalNanos);
    queue.add(0);
    cacheHit.add(lookupNanos);
  }

  /// A request was not found in memory; the time is that of looking it up and of keeping its answer.
  public void missedCache(long nanos) {
    cacheMiss.add(nanos);
  }

  /// A request waits for its run from now on; one [#endedWaiting] follows.
  public void waits() {
    pending.increment();
  }

  public void endedWaiting() {
    pending.decrement();
  }

  private Batch batch(long size) {
    Batch[] seen = batches;
    int place = find(seen, size);
    return place >= 0 ? seen[place] : newBatch(size);
  }

  private synchronized Batch newBatch(long size) {
    int place = find(batches, size);
    if (place >= 0) {
      return batches[place];
    }
    if (batches.length == BATCH_SIZES_MAX) {
      return otherBatches;
    }
    Batch batch = new Batch(size);
    Batch[] more = Arrays.copyOf(batches, batches.length + 1);
    System.arraycopy(more, -place - 1, more, -place, batches.length + place + 1);
    more[-place - 1] = batch;
    batches = more;
    return batch;
  }

  /// As [Arrays#binarySearch]: below 0 when it is not there, and where it belongs.
  private static int find(Batch[] batches, long size) {
    int low = 0;
    int high = batches.length - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      long there = batches[middle].rows;
      if (there == size) {
        return middle;
      }
      if (there < size) {
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return -low - 1;
  }

  private static final class Sum {
    private final LongAdder count = new LongAdder();
    private final LongAdder nanos = new LongAdder();

    void add(long duration) {
      count.increment();
      nanos.add(duration);
    }

    Duration duration() {
      return new Duration(count.sum(), nanos.sum());
    }
  }

  private static final class Times {
    private final LongAdder nanos = new LongAdder();
    private final LongAdder[] buckets = new LongAdder[Distribution.BUCKETS];

    Times() {
      Arrays.setAll(buckets, _ -> new LongAdder());
    }

    void add(long duration) {
      nanos.add(duration);
      buckets[Distribution.bucketOf(duration)].increment();
    }

    Distribution distribution() {
      return distribution(0);
    }

    /// @param instants times of nothing that were counted elsewhere
    Distribution distribution(long instants) {
      List<Long> counts = new ArrayList<>(Arrays.stream(buckets).map(LongAdder::sum).toList());
      counts.set(0, counts.getFirst() + instants);
      return new Distribution(counts, nanos.sum());
    }
  }

  private static final class Batch {
    private final long rows;
    private final LongAdder count = new LongAdder();
    private final LongAdder inputNanos = new LongAdder();
    private final LongAdder inferNanos = new LongAdder();
    private final LongAdder outputNanos = new LongAdder();

    Batch(long rows) {
      this.rows = rows;
    }

    void add(long input, long infer, long output) {
      count.increment();
      inferNanos.add(infer);
      if ((input | output) != 0) {
        inputNanos.add(input);
        outputNanos.add(output);
      }
    }
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  public Snapshot snapshot() {
    List<BatchSize> sizes = new ArrayList<>();
    long executions = otherBatches.count.sum();
    for (Batch batch : batches) {
      long count = batch.count.sum();
      executions += count;
      sizes.add(
          new BatchSize(batch.rows, count, batch.inputNanos.sum(), batch.inferNanos.sum(), batch.outputNanos.sum()));
    }
    long instants = atOnce.sum();
    Map<FailureReason, Duration> failed = new EnumMap<>(FailureReason.class);
    failures.forEach((reason, sum) -> failed.put(reason, sum.duration()));
    return new Snapshot(
        lastInferenceMillis,
        rows.sum(),
        executions,
        request.distribution(),
        queue.distribution(instants),
        computeInput.distribution(instants),
        computeInfer.distribution(),
        computeOutput.distribution(instants),
        failed,
        cacheHit.duration(),
        cacheMiss.duration(),
        sizes,
        pending.sum());
  }

  /// The statistics at one moment.
  ///
  /// @param lastInferenceMillis since the epoch; 0 before the first run
  /// @param inferenceCount rows that runs have answered
  /// @param executionCount runs that gave an answer
  /// @param request requests that were answered, by a run or from memory; arrival to answer
  /// @param queue of the same requests; from memory: no time
  /// @param computeInput of the requests that a run answered, as the next two
  /// @param failures with every reason there is
  /// @param batches runs by their rows, ascending, at most 256 sizes
  /// @param pendingRequests that wait for their run now
  public record Snapshot(
      long lastInferenceMillis,
      long inferenceCount,
      long executionCount,
      Distribution request,
      Distribution queue,
      Distribution computeInput,
      Distribution computeInfer,
      Distribution computeOutput,
      Map<FailureReason, Duration> failures,
      Duration cacheHit,
      Duration cacheMiss,
      List<BatchSize> batches,
      long pendingRequests) {

    public Snapshot {
      failures = Collections.unmodifiableMap(new EnumMap<>(failures));
      batches = List.copyOf(batches);
    }

    /// The failures of this kind.
    public Duration failure(FailureReason reason) {
      return failures.getOrDefault(reason, Duration.NONE);
    }

    /// All failures together.
    public Duration failure() {
      return new Duration(
          failures.values().stream().mapToLong(Duration::count).sum(),
          failures.values().stream().mapToLong(Duration::nanos).sum());
    }
  }

  /// How often something took place, and how long it took in all.
  public record Duration(long count, long nanos) {
    static final Duration NONE = new Duration(0, 0);
  }

  /// The runs with this many rows, and how long their parts took in all.
  public record BatchSize(long rows, long count, long inputNanos, long inferNanos, long outputNanos) {}

  /// Times sorted by their magnitude: bucket i counts those of at most 2^i microseconds that the bucket before does
  /// not; the last one counts everything longer than about 67 seconds.
  public record Distribution(List<Long> counts, long nanos) {

    /// 1 us to 2^26 us, and what is longer.
    public static final int BUCKETS = 28;

    public Distribution {
      counts = List.copyOf(counts);
      if (counts.size() != BUCKETS) {
        throw new IllegalArgumentException("%d buckets; expected %d".formatted(counts.size(), BUCKETS));
      }
    }

    /// The longest time that the bucket counts, in microseconds; [Long#MAX_VALUE] for the last one.
    public static long upperBoundMicros(int bucket) {
      return bucket == BUCKETS - 1 ? Long.MAX_VALUE : 1L << bucket;
    }

    static int bucketOf(long nanos) {
      long wholeMicrosBelow = (Math.max(nanos, 1) - 1) / 1_000;
      return Math.min(Long.SIZE - Long.numberOfLeadingZeros(wholeMicrosBelow), BUCKETS - 1);
    }

    public long count() {
      return counts.stream().mapToLong(Long::longValue).sum();
    }

    public Duration duration() {
      return new Duration(count(), nanos);
    }
  }
}
