package dev.sluice.loadtest.report;

import dev.sluice.loadtest.client.Figures;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/// The result of a load test. The component names are the field names of the JSON output and stay as they are; only the
/// measured time counts, never the warm-up.
///
/// @param mode `open` or `closed`
/// @param arrivals `constant` or `poisson`; null in a closed loop, as is `askedPerSecond`
/// @param concurrency null in an open loop
/// @param measuredSeconds how long measured requests were being sent
/// @param notSent due in the open loop, and not sent because too many calls were in flight
/// @param answeredPerSecond until the last call ended, so a backlog at the end does not count as throughput
/// @param latencyMicros from the planned send time (closed loop: the send) to the end, of answered calls and of those
///     whose deadline passed; null when there was none
/// @param serviceMicros the same from the actual send
/// @param latenessMicros from the planned to the actual send: the generator's own part; null in a closed loop
/// @param variants answered calls by the response parameter `sluice_variant`
/// @param fallbacks answered calls by the response parameter `sluice_fallback`
/// @param doubts why the figures should not be trusted as they stand, one sentence each
public record LoadReport(
    String target,
    String model,
    String mode,
    @Nullable String arrivals,
    @Nullable Double askedPerSecond,
    @Nullable Integer concurrency,
    int connections,
    double warmUpSeconds,
    double measuredSeconds,
    long sent,
    long answered,
    long failed,
    long notSent,
    double sentPerSecond,
    double answeredPerSecond,
    long requestBytes,
    long responseBytes,
    @Nullable Percentiles latencyMicros,
    @Nullable Percentiles serviceMicros,
    @Nullable Percentiles latenessMicros,
    List<ErrorCount> errors,
    Map<String, Long> variants,
    Map<String, Long> fallbacks,
    List<String> doubts) {

  /// Failed calls of one gRPC status, with the message that the first of them carried.
  public record ErrorCount(String code, long count, String example) {}

  /// What was asked for; the rest of a report is what came of it.
  public record Asked(
      String target,
      String model,
      String mode,
      @Nullable String arrivals,
      @Nullable Double perSecond,
      @Nullable Integer concurrency,
      int connections,
      double warmUpSeconds) {}

  /// Lateness above this share of the latency is no longer a detail of the generator.
  private static final double LATENESS_SHARE_MAX = 0.1;

  /// The 99th percentile then rests on ten calls.
  private static final long COUNT_FOR_P99 = 1_000;

  private static final JsonMapper JSON = JsonMapper.builder()
      .enable(SerializationFeature.INDENT_OUTPUT)
      .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
      .build();

  public LoadReport {
    errors = List.copyOf(errors);
    doubts = List.copyOf(doubts);
  }

  public static LoadReport of(Asked asked, Figures figures) {
    boolean open = asked.perSecond() != null;
    Percentiles latency = Percentiles.of(figures.latency());
    Percentiles lateness = open ? Percentiles.of(figures.lateness()) : null;
    return new LoadReport(
        asked.target(), asked.model(), asked.mode(), asked.arrivals(), asked.perSecond(), asked.concurrency(),
        asked.connections(), asked.warmUpSeconds(), rounded(figures.sendingSeconds(), 1_000),
        figures.sent(), figures.answered(), figures.failed(), figures.notSent(),
        perSecond(figures.sent(), figures.sendingSeconds()),
        perSecond(figures.answered(), figures.answeringSeconds()),
        figures.requestBytes(), figures.responseBytes(),
        latency, Percentiles.of(figures.service()), lateness,
        figures.failures().entrySet().stream()
            .map(e -> new ErrorCount(e.getKey().name(), e.getValue().count(), e.getValue().example()))
            .toList(),
        new TreeMap<>(figures.variants()), new TreeMap<>(figures.fallbacks()),
        doubts(figures, latency, lateness));
  }

  /// One JSON object, fields as above.
  public String toJson() {
    try {
      return JSON.writeValueAsString(this);
    } catch (JacksonException e) {
      throw new AssertionError("a report of numbers and texts is always JSON", e);
    }
  }

  private static List<String> doubts(Figures figures, @Nullable Percentiles latency, @Nullable Percentiles lateness) {
    var doubts = new ArrayList<String>();
    if (latency != null && lateness != null
        && (lateness.p50() > LATENESS_SHARE_MAX * latency.p50()
            || lateness.p99() > LATENESS_SHARE_MAX * latency.p99())) {
      doubts.add(String.format(Locale.ROOT,
          "the generator itself was late (p50 %.0f µs, p99 %.0f µs), and latency includes that: compare the service "
              + "time, ask for a lower rate, or give the generator more cores", lateness.p50(), lateness.p99()));
    }
    if (figures.notSent() > 0) {
      doubts.add("%d requests were due and not sent because too many were in flight: latency knows nothing of them"
          .formatted(figures.notSent()));
    }
    if (latency != null && latency.count() < COUNT_FOR_P99) {
      doubts.add("only %d calls were timed: p99 and beyond rest on fewer than ten of them".formatted(latency.count()));
    }
    return doubts;
  }

  private static double perSecond(long count, double seconds) {
    return seconds <= 0 ? 0 : rounded(count / seconds, 10);
  }

  private static double rounded(double value, int steps) {
    return (double) Math.round(value * steps) / steps;
  }
}
