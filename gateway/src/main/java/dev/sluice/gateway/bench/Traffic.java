package dev.sluice.gateway.bench;

import dev.sluice.loadtest.traffic.Callers;
import dev.sluice.loadtest.traffic.Keys;
import dev.sluice.loadtest.traffic.ModelTraffic;
import dev.sluice.loadtest.traffic.SegmentMix;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/// What every contender is sent alike: a model's requests, each with a sticky key and a country.
final class Traffic {
  static final List<String> COUNTRIES = List.of("US", "DE", "GB", "JP", "FR");

  private static final int KEYS = 100_000;

  private final long seed;
  private final Callers callers;
  private final Map<BenchModel, ModelTraffic> made = new EnumMap<>(BenchModel.class);

  Traffic(long seed) {
    this.seed = seed;
    SegmentMix countries = SegmentMix.parse("country=" + String.join(",", COUNTRIES) + ",BR");
    this.callers = new Callers(new Keys(KEYS, Keys.Spread.UNIFORM), List.of(countries), Map.of(), seed);
  }

  ModelTraffic of(BenchModel model) {
    return made.computeIfAbsent(model, m -> new ModelTraffic(m.requests(seed), callers));
  }
}
