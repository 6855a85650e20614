package dev.sluice.gateway.metrics;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/// The meters of one (model, version, variant, segment): found once, so that a request only counts.
public final class CallMeters {

  /// From models of microseconds to models of seconds.
  private static final Duration[] BUCKETS = {
    Duration.ofNanos(50_000), Duration.ofNanos(100_000), Duration.ofNanos(250_000), Duration.ofNanos(500_000),
    Duration.ofMillis(1), Duration.ofNanos(2_500_000), Duration.ofMillis(5), Duration.ofMillis(10),
    Duration.ofMillis(25), Duration.ofMillis(50), Duration.ofMillis(100), Duration.ofMillis(250),
    Duration.ofMillis(500), Duration.ofSeconds(1), Duration.ofMillis(2500), Duration.ofSeconds(5),
    Duration.ofSeconds(10)
  };

  private final Timer duration;
  private final Counter answered;
  private final MeterRegistry registry;
  private final Tags tags;

  /// By code, of which there are few; made when the first of its kind happens.
  private final Map<String, Counter> failed = new ConcurrentHashMap<>();

  CallMeters(MeterRegistry registry, Tags tags) {
    this.registry = registry;
    this.tags = tags;
    this.duration =
        Timer.builder("sluice.request.duration")
            .description("Time from handing a request to a version to its answer")
            .serviceLevelObjectives(BUCKETS)
            .tags(tags)
            .register(registry);
    this.answered = requests("OK");
  }

  private Counter requests(String code) {
    return Counter.builder("sluice.requests")
        .description("Requests that reached a version, by how they ended")
        .tags(tags.and("code", code))
        .register(registry);
  }

  public void answered(long nanos) {
    answered.increment();
    duration.record(nanos, TimeUnit.NANOSECONDS);
  }

  /// @param code the kind of failure, one of a fixed few
  public void failed(String code) {
    failed.computeIfAbsent(code, this::requests).increment();
  }
}
