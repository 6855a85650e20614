package dev.sluice.gateway.bench;

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

  private final Pace pace;
  private final long seed;
  private final @Nullable Foreign foreign;
  private final Consumer<String> progress;
  private final Path folder;
  private final Traffic traffic;
  private final Deque<AutoCloseable> opened = new ArrayDeque<>();
  private final Map<String, Comparison> comparisons = new LinkedHashMap<>();
  private final Set<String> warm = new HashSet<>();
  private final Map<String, Contender> started = new HashMap<>();
  private final Map<String, Release> releases = new HashMap<>();
  private final Map<String, ChildJvm> processes = new HashMap<>();

  /// @param progress is told a line at a time what is being done
  Bench(Pace pace, long seed, @Nullable Foreign foreign, Consumer<String> progress) throws IOException {
    this.pace = pace;
    this.seed = seed;
    this.foreign = foreign;
    this.progress = progress;
    this.traffic = new Traffic(seed);
    this.folder = Files.createTempDirectory("sluice-bench-");
    BenchModel.writeAll(repository(), seed, BenchModel.SLOW_LAYERS);
  }

  Pace pace() {
    return pace;
  }

  Path folder() {
    return folder;
  }

  Path repository() {
    return folder.resolve("models");
  }

  Collection<Comparison> comparisons() {
    return comparisons.values();
  }

  void say(String line) {
    progress.accept(line);
  }

  // --- contenders -----------------------------------------------------------------------------------------------------

  Contender raw() throws IOException {
    return bare("raw gRPC", "raw");
  }

  Contender protobuf() throws IOException {
    return bare("protobuf", "protobuf");
  }

  private Contender bare(String name, String kind) throws IOException {
    Contender running = started.get(name);
    return running != null ? running : wire(name, start(kind, kind, "1"));
  }

  /// On one thread with one row at a time.
  OnnxContender onnx() throws IOException {
    ChildJvm process = processes.get("onnx");
    return new OnnxContender(process != null ? process : start("onnx", "onnx"), repository(), 1, 1);
  }

  /// Sluice without a rollout.
  Contender plain() throws IOException {
    Contender running = started.get("Sluice");
    return running != null ? running : wire("Sluice", gateway("sluice"));
  }

  /// Sluice with an active rollout of every model.
  Contender release() throws IOException {
    return release("Sluice, rollout", Release.CANARY);
  }

  private Contender release(String name, String step) throws IOException {
    Contender running = started.get(name);
    if (running != null) {
      return running;
    }
    ChildJvm process = gateway(name.replaceAll("\\W+", "-"));
    Contender contender = wire(name, process);
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
        new WireContender(foreign.target(), foreign.target(), usage, traffic, seed, WireContender.DEADLINE));
  }

  private ChildJvm gateway(String name) throws IOException {
    return start(name, "sluice", repository().toString(), folder.resolve(name + "-data").toString());
  }

  private ChildJvm start(String name, String... arguments) throws IOException {
    say("starting " + name);
    ChildJvm process = new ChildJvm(name, folder, List.of(), ContenderMain.class, List.of(arguments));
    opened.push(process);
    processes.put(name, process);
    return process;
  }

  private Contender wire(String name, ChildJvm process) {
    Contender contender =
        new WireContender(
            name, "127.0.0.1:" + process.port(0), process::usage, traffic, seed, WireContender.DEADLINE);
    started.put(name, contender);
    return contender;
  }

  // --- rounds ---------------------------------------------------------------------------------------------------------

  /// Lets contenders take turns under a load; measured once for all rows that ask. The foreign server joins in.
  Comparison compare(BenchModel model, Load load, Contender... contenders) throws IOException, InterruptedException {
    String key = model.text() + ", " + load;
    Comparison known = comparisons.get(key);
    if (known != null && Stream.of(contenders).allMatch(contender -> known.rounds().containsKey(contender.name()))) {
      return known;
    }
    List<Contender> all = new ArrayList<>(List.of(contenders));
    all.addAll(foreign());
    for (Contender contender : all) {
      warmUp(contender, model);
    }
    say("measuring %s: %d passes of %d contenders".formatted(key, pace.passes(), all.size()));
    Map<String, List<Round>> rounds = new LinkedHashMap<>();
    for (int pass = 0; pass < pace.passes(); pass++) {
      for (Contender contender : pass % 2 == 0 ? all : all.reversed()) {
        Round round = contender.round(model, load, pace.lead(), pace.round());
        if (round.answered() == 0) {
          throw new BenchFailure("%s answered none of its requests to '%s'".formatted(contender.name(), model.text()));
        }
        rounds.computeIfAbsent(contender.name(), _ -> new ArrayList<>()).add(round);
      }
    }
    for (Contender contender : all) {
      Release release = releases.get(contender.name());
      if (release != null) {
        release.requireActive(model);
      }
    }
    Comparison comparison = new Comparison(model, load, rounds);
    comparisons.put(key, comparison);
    return comparison;
  }

  /// Until its code is compiled. The same raw server answers four times as fast after a quarter of a minute.
  void warmUp(Contender contender, BenchModel model) throws IOException, InterruptedException {
    if (warm.add(contender.name() + " " + model.text())) {
      say("warming up %s with %s".formatted(contender.name(), model.text()));
      Duration part = pace.warmUp().dividedBy(2);
      contender.round(model, new Load.InFlight(64), Duration.ZERO, part);
      contender.round(model, new Load.InFlight(8), Duration.ZERO, part.dividedBy(2));
      contender.round(model, new Load.InFlight(1), Duration.ZERO, part.dividedBy(2));
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
