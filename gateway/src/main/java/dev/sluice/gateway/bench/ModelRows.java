package dev.sluice.gateway.bench;

import dev.sluice.loadtest.paired.Goal;
import dev.sluice.proto.inference.ModelStatistics;
import java.io.IOException;
import java.time.Duration;
import java.util.Locale;

/// Models that take their time, and what calls do to each other.
final class ModelRows {
  private static final int CORES = Runtime.getRuntime().availableProcessors();
  private static final double BESIDE_PER_SECOND = 500;
  private static final double MACHINE_SHARE = 0.30;

  private ModelRows() {}

  static Row slow(Bench bench) throws IOException, InterruptedException {
    Contender onnx = bench.onnx().with(CORES, 1);
    Contender release = bench.release();
    Comparison slow = saturated(bench);
    return new Row()
        .check("requests/s", slow.ratio(release, onnx, Round::perSecond), Goal.atLeast(0.95, "x"))
        .note(String.format(
            Locale.ROOT, "requests/s: ONNX Runtime on %d threads %.0f, with gRPC and the load generator on the same"
                + " cores %.0f; by CPU per request %.2f x",
            CORES,
            slow.of(onnx.name(), Round::perSecond).median(),
            slow.of(release.name(), Round::perSecond).median(),
            slow.ratio(onnx, release, Round::cpuMicros).median()));
  }

  static Comparison saturated(Bench bench) throws IOException, InterruptedException {
    return bench.compare(
        BenchModel.SLOW, new Load.InFlight(4 * CORES), bench.onnx().with(CORES, 1), bench.release());
  }

  /// ONNX Runtime has the processors to itself, and a batch saves so much that gRPC is most of what is left. So what is
  /// compared is processor time: of a row in ONNX Runtime and a request in raw gRPC, against a request in Sluice.
  static Row medium(Bench bench) throws IOException, InterruptedException {
    Contender raw = bench.raw();
    WireContender release = bench.release();
    Load load = new Load.InFlight(64);
    bench.warmUp(release, BenchModel.MEDIUM);
    ModelStatistics before = bench.statistics(release, BenchModel.MEDIUM);
    release.round(BenchModel.MEDIUM, load, bench.pace().lead(), bench.pace().round());
    ModelStatistics after = bench.statistics(release, BenchModel.MEDIUM);
    double batch = (double) (after.getInferenceCount() - before.getInferenceCount())
        / Math.max(1, after.getExecutionCount() - before.getExecutionCount());
    Contender onnx = bench.onnx().with(1, (int) Math.max(1, Math.round(batch)));
    Contender cores = bench.onnx().with(CORES, (int) Math.max(1, Math.round(batch)));
    Comparison medium = bench.compare(BenchModel.MEDIUM, load, raw, onnx, cores, release);
    return new Row()
        .check(
            "by CPU, with gRPC",
            medium.estimate(round -> (round.apply(raw).cpuMicros() + round.apply(onnx).cpuMicros())
                / round.apply(release).cpuMicros()),
            Goal.atLeast(0.9, "x"))
        .note(String.format(
            Locale.ROOT, "batches of %.1f; CPU, µs: raw gRPC %.1f, ONNX Runtime per row %.1f, Sluice %.1f",
            batch,
            medium.of(raw.name(), Round::cpuMicros).median(),
            medium.of(onnx.name(), Round::cpuMicros).median(),
            medium.of(release.name(), Round::cpuMicros).median()))
        .note(String.format(
            Locale.ROOT, "rows/s: ONNX Runtime with all %d cores to itself %.0f; with gRPC and the load generator on"
                + " them %.0f, %.2f x",
            CORES,
            medium.of(cores.name(), Round::perSecond).median(),
            medium.of(release.name(), Round::perSecond).median(),
            medium.ratio(release, cores, Round::perSecond).median()));
  }

  static Row beside(Bench bench) throws IOException, InterruptedException {
    WireContender alone = bench.release();
    bench.warmUp(alone, BenchModel.SLOW);
    Contender beside = new Beside(alone, BenchModel.SLOW, 4 * CORES);
    Comparison tiny = bench.compare(BenchModel.TINY, new Load.Rate(BESIDE_PER_SECOND), alone, beside);
    return new Row()
        .check("p99", tiny.ratio(beside, alone, round -> round.micros(99)), Goal.atMost(2, "x"))
        .note(String.format(
            Locale.ROOT, "µs: alone p50 %,.0f, p99 %,.0f; beside p50 %,.0f, p99 %,.0f",
            tiny.of(alone.name(), round -> round.micros(50)).median(),
            tiny.of(alone.name(), round -> round.micros(99)).median(),
            tiny.of(beside.name(), round -> round.micros(50)).median(),
            tiny.of(beside.name(), round -> round.micros(99)).median()));
  }

  /// A contender while another of its models has more to do than it can.
  private record Beside(WireContender server, BenchModel other, int inFlight) implements Contender {
    @Override
    public String name() {
      return server.name() + " and " + other.text();
    }

    @Override
    public Round round(BenchModel model, Load load, Duration lead, Duration measured)
        throws IOException, InterruptedException {
      Duration whole = lead.plus(measured).plusSeconds(1);
      try (AutoCloseable _ = server.inBackground(other, inFlight, whole)) {
        return server.round(model, load, lead, measured);
      } catch (IOException | InterruptedException | RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new IOException(e);
      }
    }
  }

  static Row shadow(Bench bench) throws IOException, InterruptedException {
    Contender plain = bench.plain();
    Contender shadowed = bench.shadowOfAll();
    bench.warmUp(shadowed, BenchModel.TINY);
    // The generator counts: it is on the same machine. Twice, because the cost of a request depends on the rate.
    double perSecond = 2_000;
    for (int i = 0; i < 3; i++) {
      Round trial =
          shadowed.round(BenchModel.TINY, new Load.Rate(perSecond), bench.pace().lead(), bench.pace().round());
      perSecond *= MACHINE_SHARE / machineShare(trial);
      perSecond = Math.clamp(perSecond, 100, 50_000);
    }
    Load load = new Load.Rate(Math.rint(perSecond / 100) * 100);
    Comparison tiny = bench.compare(BenchModel.TINY, load, plain, shadowed);
    return new Row()
        .check("p50", tiny.ratio(shadowed, plain, round -> round.micros(50)), Goal.atMost(1.05, "x"))
        .check("p99", tiny.ratio(shadowed, plain, round -> round.micros(99)), Goal.atMost(1.15, "x"))
        .note(String.format(
            Locale.ROOT, "tiny model at %s, machine at %.0f %%; µs: without p50 %.0f, p99 %,.0f; with p50 %.0f, p99 %,.0f",
            load,
            100 * tiny.of(shadowed.name(), ModelRows::machineShare).median(),
            tiny.of(plain.name(), round -> round.micros(50)).median(),
            tiny.of(plain.name(), round -> round.micros(99)).median(),
            tiny.of(shadowed.name(), round -> round.micros(50)).median(),
            tiny.of(shadowed.name(), round -> round.micros(99)).median()));
  }

  /// Of all processors' time, what server and generator used.
  private static double machineShare(Round round) {
    return (round.cpuNanos() + round.generatorCpuNanos()) / (round.seconds() * 1e9 * CORES);
  }
}
