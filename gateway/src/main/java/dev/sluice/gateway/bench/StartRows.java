package dev.sluice.gateway.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.Main;
import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.Goal;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// From the start of the process on.
final class StartRows {
  private static final Pattern READY = Pattern.compile("ready: inference on [^:]+:(\\d+) ");
  private static final Load LOAD = new Load.InFlight(64);

  private StartRows() {}

  /// A new gateway is driven from the moment at which it is ready; right after it, one that has been warm for long.
  static Row fresh(Bench bench) throws IOException, InterruptedException {
    WireContender warm = bench.plain();
    bench.warmUp(warm, BenchModel.TINY);
    Duration first = bench.pace().fresh();
    List<Double> ratios = new ArrayList<>();
    double others = 0;
    var firstSecond = new double[bench.pace().starts()];
    for (int i = 0; i < bench.pace().starts(); i++) {
      try (Bench.FreshGateway fresh = bench.freshGateway("fresh-" + i)) {
        Round second = fresh.contender().round(BenchModel.TINY, LOAD, Duration.ZERO, first.dividedBy(10));
        Round rest = fresh.contender().round(BenchModel.TINY, LOAD, Duration.ZERO, first.minus(first.dividedBy(10)));
        Round steady = warm.round(BenchModel.TINY, LOAD, bench.pace().lead(), first.dividedBy(4));
        ratios.add((second.answered() + rest.answered()) / (second.seconds() + rest.seconds()) / steady.perSecond());
        others = Math.max(others, rest.othersShare());
        firstSecond[i] = second.perSecond() / steady.perSecond();
      }
    }
    return new Row()
        .check("requests/s", Estimate.over(ratios.size(), ratios::get), Goal.atLeast(0.8, "x"), others)
        .note(String.format(
            Locale.ROOT, "the first tenth of the time alone: %.2f x", Estimate.of(firstSecond).median()));
  }

  /// The process as the launcher starts it, with a repository of one model.
  static Row start(Bench bench) throws IOException, InterruptedException {
    Path repository = bench.folder().resolve("small");
    BenchModel.TINY.write(repository, 1, 1);
    ModelInferRequest request = ModelInferRequest.parseFrom(BenchModel.TINY.requests(1).getFirst());
    var seconds = new double[bench.pace().starts() + 2];
    var ready = new double[seconds.length];
    var others = new double[seconds.length];
    for (int i = 0; i < seconds.length; i++) {
      List<String> command = new ArrayList<>(ChildJvm.javaCommand(bench.folder()));
      command.addAll(List.of(
          Main.class.getName(), "serve", "--model-repository", repository.toString(), "--data-dir",
          bench.folder().resolve("start-" + i).toString(), "--host", "127.0.0.1", "--grpc-port", "0", "--http-port", "0",
          "--metrics-port", "0", "--control-port", "0"));
      long machineBefore = ProcessUsage.machineNanos();
      long start = System.nanoTime();
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      try (BufferedReader lines = process.inputReader(UTF_8)) {
        int port = portOf(lines);
        ready[i] = (System.nanoTime() - start) / 1e9;
        ManagedChannel channel =
            Grpc.newChannelBuilder("127.0.0.1:" + port, InsecureChannelCredentials.create()).build();
        try {
          var _ = GRPCInferenceServiceGrpc.newBlockingStub(channel)
              .withDeadlineAfter(10, TimeUnit.SECONDS)
              .modelInfer(request);
          seconds[i] = (System.nanoTime() - start) / 1e9;
          others[i] =
              ProcessUsage.othersShare(
                  machineBefore, ProcessUsage.machineNanos(), cpuNanos(process), seconds[i]);
        } finally {
          channel.shutdownNow();
        }
      } finally {
        process.destroyForcibly().waitFor();
      }
    }
    return new Row()
        .check("start to answer", Estimate.of(seconds), Goal.atMost(1.5, "s"), Estimate.of(others).median())
        .note(String.format(
            Locale.ROOT, "ready after %.2f s; the shell script that finds Java is not in it", Estimate.of(ready).median()));
  }

  private static long cpuNanos(Process process) {
    return process.info().totalCpuDuration().map(Duration::toNanos).orElse(0L);
  }

  private static int portOf(BufferedReader lines) throws IOException {
    List<String> seen = new ArrayList<>();
    for (String line; (line = lines.readLine()) != null;) {
      Matcher ready = READY.matcher(line);
      if (ready.find()) {
        return Integer.parseInt(ready.group(1));
      }
      seen.add(line);
    }
    throw new BenchFailure("the gateway did not start: " + String.join(" / ", seen));
  }
}
