package dev.sluice.gateway.bench;

import dev.sluice.loadtest.paired.Estimate;
import dev.sluice.loadtest.paired.Goal;
import dev.sluice.loadtest.paired.GoalRow;
import dev.sluice.loadtest.paired.GoalRow.Check;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/// The rows of the goal table: what is asked, and how it is measured.
enum Goals {
  TINY("tiny", "server CPU per request, tiny model, 8 to 64 in flight", "≤ 1.15 x (raw gRPC echo + raw ONNX Runtime)") {
    @Override
    Row measure(Bench bench) throws IOException, InterruptedException {
      Row row = new Row();
      for (int inFlight : new int[] {8, 64}) {
        Comparison tiny = tiny(bench, inFlight);
        row.check("CPU at " + inFlight, sum(bench, tiny, Round::cpuMicros), Goal.atMost(1.15, "x"));
        row.note(figures(bench, tiny, "CPU at " + inFlight + ", µs", Round::cpuMicros));
      }
      return row;
    }
  },

  ROLLOUT("rollout", "active rollout against none", "≤ 1.05 x CPU, 0 B/op added in the router") {
    @Override
    Row measure(Bench bench) throws IOException, InterruptedException {
      Row row = new Row();
      Contender plain = bench.plain();
      Contender release = bench.release();
      for (int inFlight : new int[] {8, 64}) {
        Comparison tiny = tiny(bench, inFlight);
        row.check("CPU at " + inFlight, ratio(tiny, release, plain, Round::cpuMicros), Goal.atMost(1.05, "x"));
      }
      Estimate added = tiny(bench, 8).estimate(
          round -> round.apply(release).bytes() - round.apply(plain).bytes());
      row.note(String.format(Locale.ROOT, "the whole gateway allocates %.0f B more per request with a rollout", added.median()));
      return row;
    }
  },

  ALONE("alone", "p50 at 1 in flight", "≤ 1.2 x (raw echo + raw ONNX Runtime)") {
    @Override
    Row measure(Bench bench) throws IOException, InterruptedException {
      Comparison tiny = tiny(bench, 1);
      return new Row()
          .check("p50 at 1", sum(bench, tiny, round -> round.micros(50)), Goal.atMost(1.2, "x"))
          .note(figures(bench, tiny, "p50, µs", round -> round.micros(50)));
    }
  },

  LARGE("large", "150 kB input, cheap model", "≤ 1.4 x CPU and ≤ 2 x garbage of a raw gRPC sink") {
    @Override
    Row measure(Bench bench) throws IOException, InterruptedException {
      Comparison large = bench.compare(
          BenchModel.LARGE, new Load.InFlight(8), bench.raw(), bench.onnx(), bench.plain(), bench.release());
      return new Row()
          .check("CPU at 8", ratio(large, bench.release(), bench.raw(), Round::cpuMicros), Goal.atMost(1.4, "x"))
          .check("garbage", ratio(large, bench.release(), bench.raw(), Round::bytes), Goal.atMost(2, "x"))
          .note(figures(bench, large, "CPU, µs", Round::cpuMicros))
          .note(figures(bench, large, "allocated, B", Round::bytes));
    }
  };

  private final String id;
  private final String goal;
  private final String bound;

  Goals(String id, String goal, String bound) {
    this.id = id;
    this.goal = goal;
    this.bound = bound;
  }

  /// What the row is called on the command line.
  String id() {
    return id;
  }

  String goal() {
    return goal;
  }

  abstract Row measure(Bench bench) throws IOException, InterruptedException;

  /// Measures the row; what is in the way takes the figure's place.
  final GoalRow row(Bench bench) throws InterruptedException {
    try {
      Row row = measure(bench);
      return new GoalRow(id, goal, bound, row.checks, row.notes);
    } catch (BenchFailure | IOException e) {
      return GoalRow.notMeasured(id, goal, bound, String.valueOf(e.getMessage()));
    }
  }

  /// A row as it is being put together.
  static final class Row {
    private final ArrayList<Check> checks = new ArrayList<>();
    private final ArrayList<String> notes = new ArrayList<>();

    Row check(String what, Estimate estimate, Goal bound) {
      checks.add(new Check(what, estimate, bound));
      return this;
    }

    Row note(String note) {
      notes.add(note);
      return this;
    }
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

  private static Estimate ratio(Comparison comparison, Contender above, Contender below, ToDoubleFunction<Round> figure) {
    return comparison.estimate(
        round -> figure.applyAsDouble(round.apply(above)) / figure.applyAsDouble(round.apply(below)));
  }

  /// The medians behind a ratio.
  private static String figures(Bench bench, Comparison comparison, String what, ToDoubleFunction<Round> figure)
      throws IOException {
    return String.format(
        Locale.ROOT, "%s: raw gRPC %.1f, ONNX Runtime %.1f, Sluice %.1f, with a rollout %.1f",
        what,
        comparison.of(bench.raw().name(), figure).median(),
        comparison.of(bench.onnx().name(), figure).median(),
        comparison.of(bench.plain().name(), figure).median(),
        comparison.of(bench.release().name(), figure).median());
  }

  static Optional<Goals> of(String id) {
    return Arrays.stream(values()).filter(goal -> goal.id.equals(id)).findFirst();
  }

  static List<String> ids() {
    return Arrays.stream(values()).map(Goals::id).toList();
  }
}
