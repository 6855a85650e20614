package dev.sluice.loadtest.client;

import io.grpc.Status;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.SingleWriterRecorder;

/// The figures of one connection's measured calls. Written by the connection's thread alone; while it runs, others read
/// the counters and take interval histograms only, and the rest when it has ended.
public final class Tally {
  /// Times are kept in steps of a microsecond or 0.1 %, whichever is coarser, up to an hour.
  private static final long NANOS_MIN = 1_000;
  private static final long NANOS_MAX = 3_600_000_000_000L;
  private static final int DIGITS = 3;

  /// Servers may say anything in a parameter; what comes after this many distinct values is counted together.
  private static final int LABELS_MAX = 64;
  private static final String OTHER_LABELS = "(other)";

  /// Calls of one status and the message that the first of them carried.
  public record Failures(long count, String example) {}

  final SingleWriterRecorder latency = recorder();
  final SingleWriterRecorder service = recorder();
  final SingleWriterRecorder lateness = recorder();
  final LongAdder sent = new LongAdder();
  final LongAdder answered = new LongAdder();
  final LongAdder failed = new LongAdder();
  final Map<Status.Code, Failures> failures = new EnumMap<>(Status.Code.class);
  final Map<String, Long> variants = new HashMap<>();
  final Map<String, Long> fallbacks = new HashMap<>();
  long requestBytes;
  long responseBytes;
  long lastEndNanos = Long.MIN_VALUE;

  Tally() {}

  /// A histogram of nanoseconds as they are recorded here.
  public static Histogram histogram() {
    return new Histogram(NANOS_MIN, NANOS_MAX, DIGITS);
  }

  void sent(int bytes, long latenessNanos) {
    sent.increment();
    requestBytes += bytes;
    record(lateness, latenessNanos);
  }

  void answered(Answer answer, long latencyNanos, long serviceNanos) {
    answered.increment();
    responseBytes += answer.size();
    record(latency, latencyNanos);
    record(service, serviceNanos);
    if (answer.variant() != null) {
      count(variants, answer.variant());
    }
    if (answer.fallback() != null) {
      count(fallbacks, answer.fallback());
    }
  }

  void failed(Status status, long latencyNanos, long serviceNanos) {
    failed.increment();
    Failures before = failures.get(status.getCode());
    failures.put(status.getCode(), before == null
        ? new Failures(1, String.valueOf(status.getDescription()))
        : new Failures(before.count + 1, before.example));
    // The caller waited at least this long. Leaving the slowest calls out would flatter every percentile; a quick
    // refusal would flatter them as well, so no other failure is timed.
    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
      record(latency, latencyNanos);
      record(service, serviceNanos);
    }
  }

  private static void record(SingleWriterRecorder recorder, long nanos) {
    recorder.recordValue(Math.clamp(nanos, 0, NANOS_MAX));
  }

  private static void count(Map<String, Long> labels, String label) {
    boolean room = labels.size() < LABELS_MAX || labels.containsKey(label);
    labels.merge(room ? label : OTHER_LABELS, 1L, Long::sum);
  }

  private static SingleWriterRecorder recorder() {
    return new SingleWriterRecorder(NANOS_MIN, NANOS_MAX, DIGITS);
  }
}
