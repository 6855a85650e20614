package dev.sluice.gateway.bench;

import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.Goal;
import java.io.IOException;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/// What a request costs when the model costs next to nothing.
final class RequestRows {
  private RequestRows() {}

  static Row tiny(Bench bench) throws IOException, InterruptedException {
    Row row = new Row();
    for (int inFlight : new int[] {8, 64}) {
      Comparison tiny = tiny(bench, inFlight);
      row.check("CPU at " + inFlight, sum(bench, tiny, Round::cpuMicros), Goal.atMost(1.15, "x"));
      row.note(figures(bench, tiny, "CPU at " + inFlight + ", µs", Round::cpuMicros));
    }
    return row;
  }

  static Row rollout(Bench bench) throws IOException, InterruptedException {
    Row row = new Row();
    Contender plain = bench.plain();
    Contender release = bench.release();
    for (int inFlight : new int[] {8, 64}) {
      Comparison tiny = tiny(bench, inFlight);
      row.check("CPU at " + inFlight, tiny.ratio(release, plain, Round::cpuMicros), Goal.atMost(1.05, "x"));
    }
    row.check("B/op in the router", RoutingRows.addedBytes(bench), Goal.atMost(0, "B"));
    Estimate added = tiny(bench, 8).estimate(round -> round.apply(release).bytes() - round.apply(plain).bytes());
    return row.note(String.format(
        Locale.ROOT, "with a rollout the whole gateway allocates %.0f B more per request, copies to the shadow included",
        added.median()));
  }

  static Row alone(Bench bench) throws IOException, InterruptedException {
    Comparison tiny = tiny(bench, 1);
    return new Row()
        .check("p50 at 1", sum(bench, tiny, round -> round.micros(50)), Goal.atMost(1.2, "x"))
        .note(figures(bench, tiny, "p50, µs", round -> round.micros(50)));
  }

  static Row large(Bench bench) throws IOException, InterruptedException {
    Contender raw = bench.raw();
    Contender release = bench.release();
    Comparison large = bench.compare(BenchModel.LARGE, new Load.InFlight(8), raw, bench.onnx(), bench.plain(), release);
    return new Row()
        .check("CPU at 8", large.ratio(release, raw, Round::cpuMicros), Goal.atMost(1.4, "x"))
        .check("garbage", large.ratio(release, raw, Round::bytes), Goal.atMost(2, "x"))
        .note(figures(bench, large, "CPU, µs", Round::cpuMicros))
        .note(figures(bench, large, "allocated, B", Round::bytes));
  }

  private static Comparison tiny(Bench bench, int inFlight) throws IOException, InterruptedException {
    return bench.compare(
        BenchModel.TINY, new Load.InFlight(inFlight),
        bench.raw(), bench.protobuf(), bench.onnx(), bench.plain(), bench.release());
  }

  /// Sluice with a rollout against raw gRPC and ONNX Runtime added up.
  private static Estimate sum(Bench bench, Comparison comparison, ToDoubleFunction<Round> figure) throws IOException {
    Contender raw = bench.raw();
    Contender onnx = bench.onnx();
    Contender release = bench.release();
    return comparison.estimate(round -> figure.applyAsDouble(round.apply(release))
        / (figure.applyAsDouble(round.apply(raw)) + figure.applyAsDouble(round.apply(onnx))));
  }

  /// The medians behind a ratio.
  private static String figures(Bench bench, Comparison comparison, String what, ToDoubleFunction<Round> figure)
      throws IOException {
    return String.format(
        Locale.ROOT, "%s: raw gRPC %,.1f, ONNX Runtime %,.1f, Sluice %,.1f, with a rollout %,.1f",
        what,
        comparison.of(bench.raw().name(), figure).median(),
        comparison.of(bench.onnx().name(), figure).median(),
        comparison.of(bench.plain().name(), figure).median(),
        comparison.of(bench.release().name(), figure).median());
  }
}
