package dev.sluice.gateway.metrics;

import dev.sluice.gateway.routing.InferenceFailure.Kind;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
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
  private final Map<Kind, Counter> failed = new EnumMap<>(Kind.class);

  CallMeters(MeterRegistry registry, Tags tags) {
    this.duration =
        Timer.builder("sluice.request.duration")
            .description("Time from handing a request to a version to its answer")
            .serviceLevelObjectives(BUCKETS)
            .tags(tags)
            .register(registry);
    this.answered = requests(registry, tags, "OK");
    for (Kind kind : Kind.values()) {
      failed.put(kind, requests(registry, tags, kind.name()));
    }
  }

  private static Counter requests(MeterRegistry registry, Tags tags, String code) {
    return Counter.builder("sluice.requests")
        .description("Requests that reached a version, by how they ended")
        .tags(tags.and("code", code))
        .register(registry);
  }

  public void answered(long nanos) {
    answered.increment();
    duration.record(nanos, TimeUnit.NANOSECONDS);
  }

  public void failed(Kind kind) {
    Counter counter = failed.get(kind);
    if (counter != null) {
      counter.increment();
    }
  }
}
