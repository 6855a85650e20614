package dev.sluice.gateway.bench;

import dev.sluice.gateway.bench.GeneratorRow.RemoteGenerator;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelStatistics;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The contenders, started when they are first needed, and what was measured of them so far: rows that need the same
/// figures share them.
final class Bench implements AutoCloseable {
  /// A foreign server to measure as well.
  ///
  /// @param pid of its process on this machine, for its processor time; 0 where that is not known
  record Foreign(String target, long pid) {}

  private static final int TRIAL_LAYERS = 8;
  private static final Duration TRIAL = Duration.ofMillis(300);
  private static final int SETTLING_ROUNDS_MAX = 20;
  private static final double SETTLED = 0.93;
  private static final Duration ANSWER_WITHIN = Duration.ofSeconds(5);

  private final Pace pace;
  private final long seed;
  private final @Nullable Foreign foreign;
  private final Consumer<String> progress;
  private final Path folder;
  private final Path models;
  private final Traffic traffic;
  private final Deque<AutoCloseable> opened = new ArrayDeque<>();
  private final Map<String, Comparison> comparisons = new LinkedHashMap<>();
  private final Set<String> warm = new HashSet<>();
  private final Map<String, WireContender> started = new HashMap<>();
  private final Map<String, Release> releases = new HashMap<>();
  private final Map<String, BenchFailure> failures = new HashMap<>();
  private @Nullable ChildJvm onnx;
  private @Nullable ChildJvm router;
  private final List<RoutingRows.One> routing = new ArrayList<>();
  private boolean modelsWritten;

  /// @param progress is told a line at a time what is being done
  ///
  /// @param models the repository, written when it is not there yet and then kept; null: one for this run alone
  Bench(Pace pace, long seed, @Nullable Path models, @Nullable Foreign foreign, Consumer<String> progress)
      throws IOException {
    this.pace = pace;
    this.seed = seed;
    this.foreign = foreign;
    this.progress = progress;
    this.traffic = new Traffic(seed);
    this.folder = Files.createTempDirectory("sluice-bench-");
    this.models = models == null ? folder.resolve("models") : models;
  }

  Pace pace() {
    return pace;
  }

  Path folder() {
    return folder;
  }

  Path repository() {
    return models;
  }

  Collection<Comparison> comparisons() {
    return comparisons.values();
  }

  /// What was measured of the router with one rollout; filled by the row that needs it first.
  List<RoutingRows.One> routing() {
    return routing;
  }

  void say(String line) {
    progress.accept(line);
  }

  // --- contenders -----------------------------------------------------------------------------------------------------

  WireContender raw() throws IOException {
    return bare("raw gRPC", "raw");
  }

  WireContender protobuf() throws IOException {
    return bare("protobuf", "protobuf");
  }

  private WireContender bare(String name, String kind) throws IOException {
    WireContender running = started.get(name);
    return running != null ? running : wire(name, start(kind, kind, "1"));
  }

  /// On one thread with one row at a time.
  OnnxContender onnx() throws IOException {
    return new OnnxContender(onnxProcess(), repository(), 1, 1);
  }

  private ChildJvm onnxProcess() throws IOException {
    ChildJvm process = onnx;
    if (process == null) {
      process = start("onnx", "onnx");
      onnx = process;
    }
    writeModels(process);
    return process;
  }

  /// The slow model is as large as it has to be on this machine; a few runs of a small one tell.
  private void writeModels(ChildJvm process) throws IOException {
    if (modelsWritten) {
      return;
    }
    modelsWritten = true;
    if (Files.exists(BenchModel.file(repository(), BenchModel.SLOW, 2))) {
      return;
    }
    Path trial = folder.resolve("trial");
    BenchModel.SLOW.write(trial, seed, TRIAL_LAYERS);
    OnnxContender runs = new OnnxContender(process, trial, 1, 1);
    Load load = new Load.InFlight(1);
    double trialMicros = runs.round(BenchModel.SLOW, load, TRIAL, TRIAL).cpuMicros();
    int layers = (int) Math.max(1, Math.round(TRIAL_LAYERS * BenchModel.SLOW_MICROS / trialMicros));
    say("the slow model has %d layers".formatted(layers));
    for (BenchModel model : BenchModel.values()) {
      model.write(repository(), seed, layers);
    }
  }

  /// Sluice without a rollout.
  WireContender plain() throws IOException {
    WireContender running = started.get("Sluice");
    return running != null ? running : wire("Sluice", gateway("sluice"));
  }

  /// Sluice with an active rollout of every model.
  WireContender release() throws IOException {
    return release("Sluice, rollout", Release.CANARY);
  }

  /// Sluice with a copy of each request to the tiny model for its candidate.
  WireContender shadowOfAll() throws IOException {
    return release("Sluice, all shadowed", Release.SHADOW_OF_ALL);
  }

  private WireContender release(String name, String step) throws IOException {
    WireContender running = started.get(name);
    if (running != null) {
      return running;
    }
    ChildJvm process = gateway(name.replaceAll("\\W+", "-"));
    WireContender contender = wire(name, process);
    Release release = new Release(process.port(1));
    opened.push(release);
    releases.put(name, release);
    for (BenchModel model : BenchModel.values()) {
      release.begin(model, step);
    }
    return contender;
  }

  /// The foreign server, if there is one.
  List<Contender> foreign() {
    if (foreign == null) {
      return List.of();
    }
    long pid = foreign.pid();
    WireContender.UsageSource usage = pid == 0 ? () -> new Usage(-1, -1, 0) : () -> ProcessUsage.of(pid);
    return List.of(
        new WireContender(foreign.target(), foreign.target(), usage, traffic, seed));
  }

  /// The load generator in a process of its own.
  ///
  /// @param before what stands before `java`
  RemoteGenerator generator(List<String> before, WireContender server) throws IOException {
    say("starting the load generator");
    return new RemoteGenerator(
        new ChildJvm("generator", folder, before, ContenderMain.class, List.of("generator", Long.toString(seed))), server);
  }

  /// The router in a process of its own, without wire and models.
  ChildJvm router() throws IOException {
    ChildJvm process = router;
    if (process == null) {
      process = start("router", "routing", Files.createDirectories(folder.resolve("routing")).toString());
      router = process;
    }
    return process;
  }

  /// A gateway that has just become ready; it lives until it is closed.
  FreshGateway freshGateway(String name) throws IOException {
    ChildJvm process = gateway(name);
    return new FreshGateway(process, contender(name, process));
  }

  record FreshGateway(ChildJvm process, WireContender contender) implements AutoCloseable {
    @Override
    public void close() {
      process.close();
    }
  }

  /// What a server says about a model's version 1.
  ModelStatistics statistics(WireContender server, BenchModel model) {
    ManagedChannel channel = Grpc.newChannelBuilder(server.target(), InsecureChannelCredentials.create()).build();
    try {
      return GRPCInferenceServiceGrpc.newBlockingStub(channel)
          .withDeadlineAfter(ANSWER_WITHIN)
          .modelStatistics(ModelStatisticsRequest.newBuilder().setName(model.text()).setVersion("1").build())
          .getModelStats(0);
    } finally {
      channel.shutdownNow();
    }
  }

  private ChildJvm gateway(String name) throws IOException {
    onnxProcess(); // Knows how large the models have to be.
    return start(name, "sluice", repository().toString(), folder.resolve(name + "-data").toString());
  }

  private ChildJvm start(String name, String... arguments) throws IOException {
    say("starting " + name);
    ChildJvm process = new ChildJvm(name, folder, List.of(), ContenderMain.class, List.of(arguments));
    opened.push(process);
    return process;
  }

  private WireContender wire(String name, ChildJvm process) {
    WireContender contender = contender(name, process);
    started.put(name, contender);
    return contender;
  }

  private WireContender contender(String name, ChildJvm process) {
    return new WireContender(name, "127.0.0.1:" + process.port(0), process::usage, traffic, seed);
  }

  /// Writes the models unless they are there.
  void writeModels() throws IOException {
    onnxProcess();
  }

  // --- rounds ---------------------------------------------------------------------------------------------------------

  /// Lets contenders take turns under a load; measured once for all rows that ask. The foreign server joins in.
  Comparison compare(BenchModel model, Load load, Contender... contenders) throws IOException, InterruptedException {
    return compare(pace.passes(), model, load, contenders);
  }

  private Comparison compare(int passes, BenchModel model, Load load, Contender... contenders)
      throws IOException, InterruptedException {
    String key = model.text() + ", " + load;
    BenchFailure failed = failures.get(key);
    if (failed != null) {
      throw failed;
    }
    Comparison known = comparisons.get(key);
    if (known != null && Stream.of(contenders).allMatch(contender -> known.rounds().containsKey(contender.name()))) {
      return known;
    }
    List<Contender> all = new ArrayList<>(List.of(contenders));
    all.addAll(foreign());
    for (Contender contender : all) {
      warmUp(contender, model);
    }
    say("measuring %s: %d passes of %d contenders".formatted(key, passes, all.size()));
    Map<String, List<Round>> rounds = new LinkedHashMap<>();
    for (int pass = 0; pass < passes; pass++) {
      for (Contender contender : pass % 2 == 0 ? all : all.reversed()) {
        Round round = contender.round(model, load, pace.lead(), pace.round().multipliedBy(model.roundFactor()));
        if (round.answered() == 0) {
          throw new BenchFailure("%s answered none of its requests to '%s'".formatted(contender.name(), model.text()));
        }
        rounds.computeIfAbsent(contender.name(), _ -> new ArrayList<>()).add(round);
      }
    }
    Comparison comparison = new Comparison(model, load, rounds);
    comparisons.put(key, comparison);
    for (Contender contender : all) {
      Release release = releases.get(contender.name());
      if (release != null) {
        try {
          release.requireActive(model);
        } catch (BenchFailure e) {
          failures.put(key, e);
          throw e;
        }
      }
    }
    return comparison;
  }

  /// More points for the curve of throughput against latency: fewer passes do for a picture.
  void fillCurve() throws IOException, InterruptedException {
    for (int inFlight : new int[] {1, 2, 4, 8, 16, 32, 64}) {
      Load load = new Load.InFlight(inFlight);
      if (!comparisons.containsKey(BenchModel.TINY.text() + ", " + load)) {
        compare(Math.min(2, pace.passes()), BenchModel.TINY, load, raw(), protobuf(), plain(), release());
      }
    }
  }

  /// Until its code is compiled. The same raw server answers four times as fast after a quarter of a minute.
  void warmUp(Contender contender, BenchModel model) throws IOException, InterruptedException {
    boolean first = warm.add(contender.name());
    if (warm.add(contender.name() + " " + model.text())) {
      say("warming up %s with %s".formatted(contender.name(), model.text()));
      // ONNX Runtime comes compiled, and most code is the same for all models.
      Duration part = pace.warmUp().dividedBy(contender instanceof OnnxContender ? 8 : first ? 2 : 4);
      contender.round(model, new Load.InFlight(64), Duration.ZERO, part);
      contender.round(model, new Load.InFlight(8), Duration.ZERO, part.dividedBy(2));
      contender.round(model, new Load.InFlight(1), Duration.ZERO, part.dividedBy(2));
      settle(contender, model);
    }
  }

  /// On a busy machine the compiler waits for its turn: goes on until a request costs no less than it did before.
  private void settle(Contender contender, BenchModel model) throws IOException, InterruptedException {
    if (contender instanceof OnnxContender) {
      return;
    }
    double before = Double.POSITIVE_INFINITY;
    for (int i = 0; i < SETTLING_ROUNDS_MAX; i++) {
      Round round = contender.round(model, new Load.InFlight(64), Duration.ZERO, pace.warmUp().dividedBy(8));
      double cost = round.cpuNanos() < 0 ? 1 / round.perSecond() : round.cpuMicros();
      if (cost > SETTLED * before) {
        return;
      }
      before = cost;
    }
  }

  @Override
  public void close() throws IOException {
    while (!opened.isEmpty()) {
      try {
        opened.pop().close();
      } catch (Exception e) {
        throw new IOException("a contender did not end", e);
      }
    }
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
