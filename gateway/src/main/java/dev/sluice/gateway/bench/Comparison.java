package dev.sluice.gateway.bench;

import dev.sluice.loadtest.paired.Estimate;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import org.HdrHistogram.Histogram;

/// The rounds of contenders that took turns under the same load: first forwards, then backwards, and so on, so that a
/// machine that becomes slower meets each side of a pair first as often as last. Figures of one pass are compared with
/// each other only.
///
/// @param rounds by contender, of each pass in turn
record Comparison(BenchModel model, Load load, Map<String, List<Round>> rounds) {

  int passes() {
    return rounds.values().iterator().next().size();
  }

  /// The estimate of a figure over the passes.
  ///
  /// @param figure of one pass, which maps contenders to rounds
  Estimate estimate(ToDoubleFunction<Function<Contender, Round>> figure) {
    return Estimate.over(
        passes(), pass -> figure.applyAsDouble(contender -> round(contender.name(), pass)));
  }

  /// The ratio of a figure of two contenders in the same pass.
  Estimate ratio(Contender above, Contender below, ToDoubleFunction<Round> figure) {
    return estimate(round -> figure.applyAsDouble(round.apply(above)) / figure.applyAsDouble(round.apply(below)));
  }

  /// A figure of one contender.
  Estimate of(String contender, ToDoubleFunction<Round> figure) {
    return Estimate.over(passes(), pass -> figure.applyAsDouble(round(contender, pass)));
  }

  /// All latencies of a contender.
  Histogram latency(String contender) {
    Histogram all = Round.histogram();
    rounds.getOrDefault(contender, List.of()).forEach(round -> all.add(round.latency()));
    return all;
  }

  long failed(String contender) {
    return rounds.getOrDefault(contender, List.of()).stream().mapToLong(Round::failed).sum();
  }

  private Round round(String contender, int pass) {
    List<Round> its = rounds.get(contender);
    if (its == null) {
      throw new IllegalArgumentException(
          "contender '%s' was not measured; expected one of %s".formatted(contender, rounds.keySet()));
    }
    return its.get(pass);
  }
}
