package dev.sluice.gateway.bench;

import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.Goal;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/// The router alone, as [RoutingProbe] measures it in a process of its own.
final class RoutingRows {
  private static final int TRIES = 5;
  private static final int ROUNDS = 9;
  private static final int MODELS = 1_000;
  private static final int ROLLOUTS = 200;
  private static final int QUICK_SHARE = 20;

  private RoutingRows() {}

  /// All that happens to a request between the wire and the model, and on its way back.
  static Row one(Bench bench) throws IOException {
    List<One> tries = ones(bench);
    return new Row()
        .check("all between wire and model", estimate(tries, One::withNanos), Goal.atMost(500, "ns"))
        .note(String.format(
            Locale.ROOT, "with ten segments and six rules; %.0f ns of them would be there without a rollout",
            estimate(tries, One::withoutNanos).median()));
  }

  /// What a rollout allocates on the thread that brings the request, in whole bytes.
  static Estimate addedBytes(Bench bench) throws IOException {
    return estimate(ones(bench), one -> Math.rint(one.withBytes() - one.withoutBytes()));
  }

  private static Estimate estimate(List<One> tries, ToDoubleFunction<One> figure) {
    return Estimate.over(tries.size(), i -> figure.applyAsDouble(tries.get(i)));
  }

  record One(double withoutNanos, double withNanos, double withoutBytes, double withBytes) {}

  private static List<One> ones(Bench bench) throws IOException {
    List<One> known = bench.routing();
    if (known.isEmpty()) {
      bench.say("measuring the router with one rollout");
      for (int i = 0; i < TRIES; i++) {
        double[] figures = ask(bench, "one one-%d %d %d".formatted(i, bench.pace().routed(), ROUNDS));
        known.add(new One(figures[0], figures[1], figures[2], figures[3]));
      }
    }
    return known;
  }

  static Row many(Bench bench) throws IOException {
    boolean quick = bench.pace().equals(Pace.QUICK);
    int models = quick ? MODELS / QUICK_SHARE : MODELS;
    int rollouts = quick ? ROLLOUTS / QUICK_SHARE : ROLLOUTS;
    bench.say("measuring the router with %d models and %d rollouts".formatted(models, rollouts));
    double[] figures = ask(bench, "many many %d %d %d %d".formatted(bench.pace().routed(), ROUNDS, models, rollouts));
    double megabytes = (figures[4] + figures[5]) / 1e6;
    return new Row()
        .check("one of many rollouts against the only one", Estimate.of(figures[1] / figures[0]), Goal.atMost(1.1, "x"))
        .check("memory added", Estimate.of(megabytes), Goal.atMost(100, "MB"))
        .note(String.format(
            Locale.ROOT, "%,d models, %d rollouts; ns: the only one %.0f, one of many %.0f; each in turn, which finds the"
                + " processor's caches cold, %.0f with and %.0f without rollouts",
            models, rollouts, figures[0], figures[1], figures[2], figures[3]))
        .note(String.format(
            Locale.ROOT, "MB: %.0f on the heap, %.0f of the ledgers' mapped files", figures[4] / 1e6, figures[5] / 1e6));
  }

  private static double[] ask(Bench bench, String question) throws IOException {
    String[] words = bench.router().ask(question);
    var figures = new double[words.length - 1];
    for (int i = 0; i < figures.length; i++) {
      figures[i] = Double.parseDouble(words[i + 1]);
    }
    return figures;
  }
}
