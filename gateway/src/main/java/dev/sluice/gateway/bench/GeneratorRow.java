package dev.sluice.gateway.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.Goal;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The load generator itself: in a process of its own, on one core, against the raw server.
final class GeneratorRow {
  private static final double OPEN_PER_SECOND = 40_000;

  /// Where each request finds everybody asleep.
  private static final double SELDOM_PER_SECOND = 10_000;
  private static final int IN_FLIGHT = 64;
  private static final Pattern FINISHED = Pattern.compile("finished in [^,]+, ([0-9.]+) req/s");

  private GeneratorRow() {}

  static Row measure(Bench bench) throws IOException, InterruptedException {
    WireContender raw = bench.raw();
    bench.warmUp(raw, BenchModel.TINY);
    boolean pinned = onPath("taskset");
    List<String> oneCore =
        pinned ? List.of("taskset", "-c", Integer.toString(Runtime.getRuntime().availableProcessors() - 1)) : List.of();
    int passes = bench.pace().passes();
    var closed = new Round[passes];
    var open = new Round[passes];
    var seldom = new Round[passes];
    try (RemoteGenerator generator = bench.generator(oneCore, raw)) {
      bench.warmUp(generator, BenchModel.TINY);
      bench.say("measuring the load generator: %d passes".formatted(passes));
      for (int pass = 0; pass < passes; pass++) {
        closed[pass] = round(bench, generator, new Load.InFlight(IN_FLIGHT));
        open[pass] = round(bench, generator, new Load.Rate(OPEN_PER_SECOND));
        seldom[pass] = round(bench, generator, new Load.Rate(SELDOM_PER_SECOND));
      }
    }
    Row row = new Row()
        .check("CPU, closed loop", Estimate.over(passes, i -> closed[i].generatorCpuMicros()), Goal.atMost(10, "µs"))
        .check("CPU, open loop", Estimate.over(passes, i -> open[i].generatorCpuMicros()), Goal.atMost(10, "µs"))
        .check("from one core", Estimate.over(passes, i -> closed[i].perSecond()), Goal.atLeast(40_000, "/s"));
    if (!pinned) {
      row.note("taskset is not installed: the generator was not held to one core");
    }
    row.note(String.format(
        Locale.ROOT, "with a key and a segment on each request; open loop at %,.0f/s (%,.0f/s sent); at %,.0f/s each request wakes"
            + " its thread twice and costs %.1f µs",
        OPEN_PER_SECOND, Estimate.over(passes, i -> open[i].perSecond()).median(), SELDOM_PER_SECOND,
        Estimate.over(passes, i -> seldom[i].generatorCpuMicros()).median()));
    return onPath("h2load")
        ? agreement(bench, row)
        : row.note("h2load is not installed (Debian: nghttp2-client): the agreement with it is not measured");
  }

  private static Round round(Bench bench, RemoteGenerator generator, Load load) throws IOException {
    return generator.round(BenchModel.TINY, load, bench.pace().lead(), bench.pace().round());
  }

  /// On the slow model, where the server sets the pace: two generators that measure the same must find the same.
  private static Row agreement(Bench bench, Row row) throws IOException, InterruptedException {
    WireContender server = bench.plain();
    bench.warmUp(server, BenchModel.SLOW);
    byte[] message = BenchModel.SLOW.requests(1).getFirst();
    Path body = bench.folder().resolve("h2load.body");
    Files.write(body, ByteBuffer.allocate(5 + message.length).put((byte) 0).putInt(message.length).put(message).array());
    int inFlight = 4 * Runtime.getRuntime().availableProcessors();
    Duration time = bench.pace().round().multipliedBy(2);
    int passes = bench.pace().passes();
    var ours = new double[passes];
    var theirs = new double[passes];
    for (int pass = 0; pass < passes; pass++) {
      for (int side = 0; side < 2; side++) {
        if ((side + pass) % 2 == 0) {
          ours[pass] = server.round(BenchModel.SLOW, new Load.InFlight(inFlight), Duration.ZERO, time).perSecond();
        } else {
          theirs[pass] = h2load(server, body, inFlight, time);
        }
      }
    }
    return row
        .check(
            "h2load's requests/s",
            Estimate.over(passes, i -> Math.max(ours[i], theirs[i]) / Math.min(ours[i], theirs[i])),
            Goal.atMost(1.05, "x"))
        .note(String.format(
            Locale.ROOT, "slow model, requests/s: here %.1f, h2load %.1f",
            Estimate.of(ours).median(), Estimate.of(theirs).median()));
  }

  private static double h2load(WireContender server, Path body, int inFlight, Duration time)
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                "h2load", "-D", time.toMillis() + "ms", "-c", "1", "-t", "1", "-m", Integer.toString(inFlight),
                "-d", body.toString(), "-H", "content-type: application/grpc", "-H", "te: trailers",
                "http://%s/inference.GRPCInferenceService/ModelInfer".formatted(server.target()))
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    Matcher finished = FINISHED.matcher(output);
    if (process.waitFor() != 0 || !finished.find()) {
      throw new BenchFailure("h2load failed: " + output.strip());
    }
    return Double.parseDouble(finished.group(1));
  }

  private static boolean onPath(String program) {
    String path = System.getenv("PATH");
    return path != null
        && List.of(path.split(File.pathSeparator, -1)).stream().anyMatch(folder -> new File(folder, program).canExecute());
  }

  /// The generator in a process of its own.
  record RemoteGenerator(ChildJvm process, WireContender server) implements Contender, AutoCloseable {
    @Override
    public String name() {
      return "generator";
    }

    @Override
    public Round round(BenchModel model, Load load, Duration lead, Duration measured) throws IOException {
      String how = switch (load) {
        case Load.InFlight(int calls) -> "calls " + calls;
        case Load.Rate(double perSecond) -> "rate " + perSecond;
      };
      return Round.parse(process.ask("drive %s %s %s %d %d".formatted(
          server.target(), model.name(), how, lead.toMillis(), measured.toMillis())));
    }

    @Override
    public void close() {
      process.close();
    }
  }
}
