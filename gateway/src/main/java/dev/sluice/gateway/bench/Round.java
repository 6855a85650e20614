package dev.sluice.gateway.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
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
/// @param othersShare of the machine that neither of the two used, 0 where that is not known
/// @param latency in nanoseconds, of each request or of each run
record Round(
    long answered,
    long failed,
    double seconds,
    long cpuNanos,
    long allocatedBytes,
    long generatorCpuNanos,
    double othersShare,
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

  /// For another process, which reads it with [#parse].
  String words() {
    ByteBuffer bytes = ByteBuffer.allocate(latency.getNeededByteBufferCapacity());
    int length = latency.encodeIntoCompressedByteBuffer(bytes, Deflater.BEST_SPEED);
    return "%d %d %s %d %d %d %s %s".formatted(
        answered, failed, seconds, cpuNanos, allocatedBytes, generatorCpuNanos, othersShare,
        Base64.getEncoder().encodeToString(Arrays.copyOf(bytes.array(), length)));
  }

  /// @param words the first is left aside
  static Round parse(String[] words) throws IOException {
    try {
      byte[] times = Base64.getDecoder().decode(words[8]);
      return new Round(
          Long.parseLong(words[1]), Long.parseLong(words[2]), Double.parseDouble(words[3]), Long.parseLong(words[4]),
          Long.parseLong(words[5]), Long.parseLong(words[6]), Double.parseDouble(words[7]),
          Histogram.decodeFromCompressedByteBuffer(ByteBuffer.wrap(times), NANOS_MAX));
    } catch (DataFormatException | IllegalArgumentException | ArrayIndexOutOfBoundsException e) {
      throw new IOException("not a round: " + String.join(" ", words), e);
    }
  }
}
