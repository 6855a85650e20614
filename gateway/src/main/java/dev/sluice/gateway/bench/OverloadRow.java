package dev.sluice.gateway.bench;

import dev.sluice.loadtest.client.CallObserver;
import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.Goal;
import io.grpc.Status;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/// Five times as many requests as the slow model can answer, from callers who do not wait for each other; then half of
/// what it can.
final class OverloadRow {
  private static final double OFFERED = 5;
  private static final double AFTERWARDS = 0.5;
  private static final Duration DEADLINE = Duration.ofMillis(100);
  private static final Duration LEAD = Duration.ofSeconds(1);
  private static final Duration RECOVERY = Duration.ofSeconds(3);

  private OverloadRow() {}

  static Row measure(Bench bench) throws IOException, InterruptedException {
    WireContender release = bench.release();
    double peak = ModelRows.saturated(bench).of(release.name(), Round::perSecond).median();
    Duration time = bench.pace().overload();
    bench.say(String.format(
        Locale.ROOT, "offering %.0f/s of the slow model for %d s", OFFERED * peak, time.toSeconds()));

    Answered answered = new Answered();
    List<Double> residentMb = new ArrayList<>();
    Round storm;
    try (ScheduledExecutorService sampler = Executors.newSingleThreadScheduledExecutor()) {
      var _ = sampler.scheduleAtFixedRate(() -> sample(release, residentMb), 0, 250, TimeUnit.MILLISECONDS);
      storm = release.with(DEADLINE, answered)
          .round(BenchModel.SLOW, new Load.Rate(OFFERED * peak), LEAD, time);
    }
    Recovery recovery = new Recovery();
    Round after = release.with(DEADLINE, recovery)
        .round(BenchModel.SLOW, new Load.Rate(AFTERWARDS * peak), Duration.ZERO, RECOVERY);

    int third = residentMb.size() / 3;
    double early = max(residentMb.subList(0, third));
    double late = max(residentMb.subList(2 * third, residentMb.size()));
    double others = storm.othersShare();
    Row row = new Row()
        .check("goodput, of peak", Estimate.of(storm.perSecond() / peak), Goal.atLeast(0.9, "x"), others)
        .check("p99 answered", Estimate.of(answered.millis(99)), Goal.atMost(DEADLINE.toNanos() / 1e6, "ms"), others);
    if (early > 0) {
      row.check("memory, late to early", Estimate.of(late / early), Goal.atMost(1.1, "x"));
    } else {
      row.note("memory is not known here");
    }
    return row
        .check("recovery", Estimate.of(recovery.seconds()), Goal.atMost(1, "s"), after.othersShare())
        .note(String.format(
            Locale.ROOT, "peak %.0f/s, offered %.0f/s, answered %.0f/s, refused or late %,d; CPU per offered request"
                + " %.0f µs; resident at most %.0f MB",
            peak, (storm.answered() + storm.failed()) / storm.seconds(), storm.perSecond(), storm.failed(),
            storm.cpuNanos() / 1e3 / (storm.answered() + storm.failed()), Math.max(early, late)))
        .note(String.format(
            Locale.ROOT, "afterwards %,d of %,d calls at half of peak failed",
            after.failed(), after.failed() + after.answered()));
  }

  private static void sample(WireContender contender, List<Double> megabytes) {
    try {
      megabytes.add(contender.usage().now().residentBytes() / 1e6);
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e); // ends the sampling; the round's own question tells why
    }
  }

  private static double max(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).max().orElse(0);
  }

  /// How long the calls took that were answered.
  private static final class Answered implements CallObserver {
    private final Histogram times = Round.histogram();

    @Override
    public void ended(long n, Status status, byte @Nullable [] response, long latencyNanos) {
      if (status.isOk()) {
        times.recordValue(latencyNanos);
      }
    }

    double millis(double percentile) {
      return times.getValueAtPercentile(percentile) / 1e6;
    }
  }

  /// When the last call failed.
  private static final class Recovery implements CallObserver {
    private final long startNanos = System.nanoTime();
    private volatile double seconds;

    @Override
    public void ended(long n, Status status, byte @Nullable [] response, long latencyNanos) {
      if (!status.isOk()) {
        seconds = (System.nanoTime() - startNanos) / 1e9;
      }
    }

    double seconds() {
      return seconds;
    }
  }
}
