package dev.sluice.gateway.bench;

import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.zip.DataFormatException;
import java.util.zip.Deflater;
import org.HdrHistogram.Histogram;

/// What one contender did in one round.
///
/// @param answered requests, or rows of runs
/// @param failed requests that were not answered, those not sent included
/// @param cpuNanos of the contender's process, -1 where that is not known
/// @param allocatedBytes of the contender's process, -1 where that is not known
/// @param generatorCpuNanos of the process that drives it, 0 where it drives itself
/// @param latency in nanoseconds, of each request or of each run
record Round(
    long answered,
    long failed,
    double seconds,
    long cpuNanos,
    long allocatedBytes,
    long generatorCpuNanos,
    Histogram latency) {
  static final long NANOS_MAX = 3_600_000_000_000L;

  /// A histogram of nanoseconds, to a thousandth.
  static Histogram histogram() {
    return new Histogram(1, NANOS_MAX, 3);
  }

  double perSecond() {
    return answered / seconds;
  }

  double cpuMicros() {
    return cpuNanos < 0 ? Double.NaN : cpuNanos / 1e3 / answered;
  }

  double bytes() {
    return allocatedBytes < 0 ? Double.NaN : (double) allocatedBytes / answered;
  }

  double generatorCpuMicros() {
    return generatorCpuNanos / 1e3 / answered;
  }

  double micros(double percentile) {
    return latency.getValueAtPercentile(percentile) / 1e3;
  }

  /// A histogram as one word.
  static String text(Histogram histogram) {
    ByteBuffer bytes = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
    int length = histogram.encodeIntoCompressedByteBuffer(bytes, Deflater.BEST_SPEED);
    return Base64.getEncoder().encodeToString(java.util.Arrays.copyOf(bytes.array(), length));
  }

  static Histogram histogram(String text) throws DataFormatException {
    return Histogram.decodeFromCompressedByteBuffer(ByteBuffer.wrap(Base64.getDecoder().decode(text)), NANOS_MAX);
  }
}
