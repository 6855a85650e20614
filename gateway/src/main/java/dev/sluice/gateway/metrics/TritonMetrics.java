package dev.sluice.gateway.metrics;

import com.sun.management.OperatingSystemMXBean;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.VersionStatistics;
import dev.sluice.runtime.model.VersionStatistics.Distribution;
import dev.sluice.runtime.model.VersionStatistics.FailureReason;
import dev.sluice.runtime.model.VersionStatistics.Snapshot;
import io.prometheus.metrics.model.registry.MultiCollector;
import io.prometheus.metrics.model.snapshots.ClassicHistogramBuckets;
import io.prometheus.metrics.model.snapshots.GaugeSnapshot;
import io.prometheus.metrics.model.snapshots.GaugeSnapshot.GaugeDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.HistogramSnapshot;
import io.prometheus.metrics.model.snapshots.HistogramSnapshot.HistogramDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricSnapshot;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import io.prometheus.metrics.model.snapshots.UnknownSnapshot;
import io.prometheus.metrics.model.snapshots.UnknownSnapshot.UnknownDataPointSnapshot;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// What every version has done, under Triton's names, so that dashboards and autoscalers made for Triton go on working.
///
/// A version counts anyway; this reads the counts when somebody asks for the page, so a request pays nothing. The sums
/// have no type on the page: Prometheus' library would append `_total` to the name of a counter, and Triton does not.
///
/// A version that is loaded again goes on from where it was, so that sums never fall while the process lives. One that
/// is unloaded leaves the page, as in Triton.
final class TritonMetrics implements MultiCollector {

  /// Versions that are remembered after they are unloaded; those unloaded first are forgotten first.
  private static final int SERIES_MAX = 4096;

  /// Earlier loads of a version that may still be at work; what is older has ended and is added up.
  private static final int LOADS_MAX = 8;

  private static final double NANOS_PER_MICRO = 1e3;
  private static final double NANOS_PER_SECOND = 1e9;
  private static final Path MEMORY = Path.of("/proc/meminfo");
  private static final Pattern MEMORY_LINE = Pattern.compile("(?<name>\\w+):\\s+(?<kib>\\d{1,18}) kB");

  private static final double[] UPPER_BOUNDS_US =
      IntStream.range(0, Distribution.BUCKETS)
          .mapToDouble(
              bucket ->
                  bucket == Distribution.BUCKETS - 1
                      ? Double.POSITIVE_INFINITY
                      : Distribution.upperBoundMicros(bucket))
          .toArray();

  private record Key(String model, long version) {}

  /// What is kept of a version: nothing that would keep its session.
  private record Load(
      VersionStatistics statistics, CompletableFuture<Void> closed, Labels labels, boolean cached, long nanos) {
    static Load of(ModelVersion version) {
      return new Load(
          version.statistics(),
          version.closed(),
          TritonMetrics.labels(version),
          version.profile().responseCache(),
          version.loadNanos());
    }
  }

  /// Everything that was ever loaded under one number.
  private static final class Series {
    final Deque<Load> loads = new ArrayDeque<>(); // newest last
    @Nullable Snapshot earlier;

    @SuppressWarnings("ReferenceEquality") // This very version's: two that have done nothing would be equal.
    void see(ModelVersion version) {
      if (loads.stream().noneMatch(load -> load.statistics() == version.statistics())) {
        loads.addLast(Load.of(version));
        if (loads.size() > LOADS_MAX) {
          Snapshot ended = loads.removeFirst().statistics().snapshot();
          earlier = earlier == null ? ended : sum(earlier, ended);
        }
      }
    }

    boolean isLoaded() {
      return loads.stream().anyMatch(load -> !load.closed().isDone());
    }

    Snapshot total() {
      Snapshot total = earlier;
      for (Load load : loads) {
        Snapshot snapshot = load.statistics().snapshot();
        total = total == null ? snapshot : sum(total, snapshot);
      }
      if (total == null) {
        throw new IllegalStateException("a series without a version");
      }
      return total;
    }
  }

  /// One series as it is on the page: the newest load, and what all of them have done.
  private record Shown(Load load, Snapshot snapshot) {
    Labels labels() {
      return load.labels();
    }
  }

  private final Supplier<List<ModelVersion>> ready;
  private final Map<Key, Series> series = new LinkedHashMap<>(); // guarded by this
  private final @Nullable OperatingSystemMXBean machine =
      ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean bean ? bean : null;

  /// @param ready the versions that are ready now
  TritonMetrics(Supplier<List<ModelVersion>> ready) {
    this.ready = ready;
  }

  /// To be called when versions have come or gone: one that is loaded and replaced between two looks counts too.
  synchronized void look() {
    for (ModelVersion version : ready.get()) {
      series.computeIfAbsent(new Key(version.model(), version.version()), _ -> new Series()).see(version);
    }
    Iterator<Series> oldest = series.values().iterator();
    for (int tooMany = series.size() - SERIES_MAX; tooMany > 0 && oldest.hasNext(); ) {
      if (!oldest.next().isLoaded()) {
        oldest.remove();
        tooMany--;
      }
    }
  }

  @Override
  public MetricSnapshots collect() {
    List<Shown> shown = shown();
    List<MetricSnapshot> page = new ArrayList<>();
    sums(shown, page);
    histograms(shown, page);
    machine(page);
    return new MetricSnapshots(page);
  }

  private synchronized List<Shown> shown() {
    return series.values().stream()
        .filter(Series::isLoaded)
        .map(one -> new Shown(one.loads.getLast(), one.total()))
        .toList();
  }

  private static Labels labels(ModelVersion version) {
    Map<String, String> labels = new TreeMap<>();
    // What an owner writes into a configuration must not be able to break the page.
    version.profile().metricTags().forEach((name, value) -> labels.putIfAbsent(labelName(name), value));
    labels.put("model", version.model());
    labels.put("version", Long.toString(version.version()));
    return Labels.of(labels.keySet().toArray(String[]::new), labels.values().toArray(String[]::new));
  }

  /// A name that Prometheus accepts and that no label of these metrics has.
  private static String labelName(String tag) {
    String name = tag.replaceAll("[^a-zA-Z0-9_]", "_").replaceFirst("^_+", "").replaceFirst("^(?=[0-9]|$)", "tag_");
    return name.equals("le") || name.equals("reason") ? "tag_" + name : name;
  }

  // --- sums ---------------------------------------------------------------------------------------------------------

  private static void sums(List<Shown> shown, List<MetricSnapshot> page) {
    add(page, shown, "nv_inference_request_success", "Inference requests that were answered, of any batch size",
        s -> s.request().count());
    failures(shown, page);
    add(page, shown, "nv_inference_count", "Inferences that runs have answered; a batch of n counts n",
        Snapshot::inferenceCount);
    add(page, shown, "nv_inference_exec_count", "Runs of the model; a batch counts once", Snapshot::executionCount);
    add(page, shown, "nv_inference_request_duration_us", "Microseconds from arrival to answer, cached answers included",
        s -> s.request().nanos() / NANOS_PER_MICRO);
    add(page, shown, "nv_inference_queue_duration_us", "Microseconds that requests waited for their run",
        s -> s.queue().nanos() / NANOS_PER_MICRO);
    add(page, shown, "nv_inference_compute_input_duration_us", "Microseconds spent on gathering inputs",
        s -> s.computeInput().nanos() / NANOS_PER_MICRO);
    add(page, shown, "nv_inference_compute_infer_duration_us", "Microseconds spent in the model",
        s -> s.computeInfer().nanos() / NANOS_PER_MICRO);
    add(page, shown, "nv_inference_compute_output_duration_us", "Microseconds spent on handing out outputs",
        s -> s.computeOutput().nanos() / NANOS_PER_MICRO);
    addGauge(page, shown, "nv_inference_pending_request_count", "Requests that wait for their run now",
        one -> (double) one.snapshot().pendingRequests());
    addGauge(page, shown, "nv_model_load_duration_secs", "Seconds that loading the version took, its warm-up included",
        one -> one.load().nanos() / NANOS_PER_SECOND);

    List<Shown> cached = shown.stream().filter(one -> one.load().cached()).toList();
    add(page, cached, "nv_cache_num_hits_per_model", "Requests that were answered from the response cache",
        s -> s.cacheHit().count());
    add(page, cached, "nv_cache_num_misses_per_model", "Requests that the response cache had no answer to",
        s -> s.cacheMiss().count());
    add(page, cached, "nv_cache_hit_duration_per_model", "Microseconds spent on answering from the response cache",
        s -> s.cacheHit().nanos() / NANOS_PER_MICRO);
    add(page, cached, "nv_cache_miss_duration_per_model",
        "Microseconds spent on looking in vain and on keeping the answer", s -> s.cacheMiss().nanos() / NANOS_PER_MICRO);
  }

  private static void add(
      List<MetricSnapshot> page, List<Shown> shown, String name, String help, ToDoubleFunction<Snapshot> value) {
    UnknownSnapshot.Builder family = UnknownSnapshot.builder().name(name).help(help);
    for (Shown one : shown) {
      family.dataPoint(
          UnknownDataPointSnapshot.builder()
              .labels(one.labels())
              .value(value.applyAsDouble(one.snapshot()))
              .build());
    }
    page.add(family.build());
  }

  private static void failures(List<Shown> shown, List<MetricSnapshot> page) {
    UnknownSnapshot.Builder family =
        UnknownSnapshot.builder()
            .name("nv_inference_request_failure")
            .help("Inference requests that got no answer, by whose doing that was");
    for (Shown one : shown) {
      for (FailureReason reason : FailureReason.values()) {
        family.dataPoint(
            UnknownDataPointSnapshot.builder()
                .labels(one.labels().merge(Labels.of("reason", reason.name())))
                .value((double) one.snapshot().failure(reason).count())
                .build());
      }
    }
    page.add(family.build());
  }

  private static void addGauge(
      List<MetricSnapshot> page, List<Shown> shown, String name, String help, ToDoubleFunction<Shown> value) {
    GaugeSnapshot.Builder family = GaugeSnapshot.builder().name(name).help(help);
    for (Shown one : shown) {
      family.dataPoint(GaugeDataPointSnapshot.builder().labels(one.labels()).value(value.applyAsDouble(one)).build());
    }
    page.add(family.build());
  }

  /// The load of two lives of a version; the sizes of its batches are no part of the page.
  private static Snapshot sum(Snapshot a, Snapshot b) {
    Map<FailureReason, VersionStatistics.Duration> failures = new TreeMap<>();
    for (FailureReason reason : FailureReason.values()) {
      failures.put(reason, sum(a.failure(reason), b.failure(reason)));
    }
    return new Snapshot(
        Math.max(a.lastInferenceMillis(), b.lastInferenceMillis()),
        a.inferenceCount() + b.inferenceCount(),
        a.executionCount() + b.executionCount(),
        sum(a.request(), b.request()),
        sum(a.queue(), b.queue()),
        sum(a.computeInput(), b.computeInput()),
        sum(a.computeInfer(), b.computeInfer()),
        sum(a.computeOutput(), b.computeOutput()),
        failures,
        sum(a.cacheHit(), b.cacheHit()),
        sum(a.cacheMiss(), b.cacheMiss()),
        List.of(),
        a.pendingRequests() + b.pendingRequests());
  }

  private static VersionStatistics.Duration sum(VersionStatistics.Duration a, VersionStatistics.Duration b) {
    return new VersionStatistics.Duration(a.count() + b.count(), a.nanos() + b.nanos());
  }

  private static Distribution sum(Distribution a, Distribution b) {
    List<Long> counts =
        IntStream.range(0, Distribution.BUCKETS).mapToObj(i -> a.counts().get(i) + b.counts().get(i)).toList();
    return new Distribution(counts, a.nanos() + b.nanos());
  }

  // --- histograms ---------------------------------------------------------------------------------------------------

  private static void histograms(List<Shown> shown, List<MetricSnapshot> page) {
    histogram(page, shown, "request", "from arrival to answer, cached answers included", Snapshot::request);
    histogram(page, shown, "queue", "that a request waited for its run", Snapshot::queue);
    histogram(page, shown, "compute_input", "spent on gathering a request's inputs", Snapshot::computeInput);
    histogram(page, shown, "compute_infer", "that a request's run spent in the model", Snapshot::computeInfer);
    histogram(page, shown, "compute_output", "spent on handing out a request's outputs", Snapshot::computeOutput);
  }

  private static void histogram(
      List<MetricSnapshot> page, List<Shown> shown, String part, String what, Function<Snapshot, Distribution> times) {
    HistogramSnapshot.Builder family =
        HistogramSnapshot.builder()
            .name("nv_inference_%s_duration_histogram_us".formatted(part))
            .help("Microseconds " + what);
    for (Shown one : shown) {
      Distribution distribution = times.apply(one.snapshot());
      family.dataPoint(
          HistogramDataPointSnapshot.builder()
              .labels(one.labels())
              .classicHistogramBuckets(ClassicHistogramBuckets.of(UPPER_BOUNDS_US, distribution.counts().toArray(Long[]::new)))
              .sum(distribution.nanos() / NANOS_PER_MICRO)
              .build());
    }
    page.add(family.build());
  }

  // --- the machine --------------------------------------------------------------------------------------------------

  private void machine(List<MetricSnapshot> page) {
    if (machine == null) {
      return;
    }
    double load = machine.getCpuLoad();
    if (load >= 0) { // The first look has nothing to compare with.
      gauge(page, "nv_cpu_utilization", "How busy the processors are, 0 to 1", load);
    }
    long total = machine.getTotalMemorySize();
    gauge(page, "nv_cpu_memory_total_bytes", "Memory of the machine or the container", (double) total);
    gauge(page, "nv_cpu_memory_used_bytes", "Memory that nobody else could have", (double) (total - available(total)));
  }

  private static void gauge(List<MetricSnapshot> page, String name, String help, double value) {
    page.add(
        GaugeSnapshot.builder()
            .name(name)
            .help(help)
            .dataPoint(GaugeDataPointSnapshot.builder().value(value).build())
            .build());
  }

  /// The kernel's own estimate, which counts its caches as free; unless a container has less than the machine.
  private long available(long total) {
    long free = machine == null ? 0 : machine.getFreeMemorySize();
    long machineTotal = -1;
    long machineAvailable = -1;
    try {
      for (String line : Files.readAllLines(MEMORY)) {
        Matcher matcher = MEMORY_LINE.matcher(line);
        if (matcher.matches()) {
          long bytes = Long.parseLong(matcher.group("kib")) << 10;
          switch (matcher.group("name")) {
            case "MemTotal" -> machineTotal = bytes;
            case "MemAvailable" -> machineAvailable = bytes;
            default -> {}
          }
        }
      }
    } catch (IOException e) {
      return free; // Not on Linux.
    }
    return machineTotal == total && machineAvailable >= 0 ? machineAvailable : free;
  }
}
