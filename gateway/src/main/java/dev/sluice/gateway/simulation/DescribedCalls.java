package dev.sluice.gateway.simulation;

import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.stop.StopRule;
import java.util.List;
import java.util.SplittableRandom;

/// Requests drawn as a [World] describes them, without end: they come in at random times (a Poisson stream).
final class DescribedCalls implements Calls {

  private static final double LOSS_SPREAD = 0.15;

  private final World world;
  private final List<StopRule> rules;
  private final SplittableRandom random;
  private double nowMillis;

  DescribedCalls(World world, RolloutNote note, long seed) {
    this.world = world;
    this.rules = note.stopRules();
    this.random = new SplittableRandom(seed);
  }

  @Override
  public Call next() {
    nowMillis -= Math.log1p(-random.nextDouble()) / world.traffic().perMilli();
    World.Part part = part();
    Behaviour baseline = part.baseline();
    Behaviour candidate = part.candidate();
    // What makes a request slow or fast is mostly the request: both versions share it.
    double shared =
        Math.sqrt(square(Behaviour.LATENCY_SPREAD) - square(Behaviour.LATENCY_NOISE)) * random.nextGaussian();
    double number = random.nextGaussian();
    return new Call(
        (long) nowMillis,
        "key-" + random.nextInt(world.keys()),
        part.attributes()::get,
        run(baseline, shared, number),
        run(candidate, shared, number),
        random.nextDouble() < candidate.disagreeing(),
        Math.min(1, candidate.difference() * 2 * random.nextDouble()),
        nanos(baseline, shared),
        random.nextDouble() < baseline.disagreeing(),
        Math.clamp(candidate.loss() + LOSS_SPREAD * random.nextGaussian(), -1.0, 1.0));
  }

  private World.Part part() {
    double draw = random.nextDouble();
    List<World.Part> parts = world.parts();
    for (int i = 0; i < parts.size() - 1; i++) {
      draw -= parts.get(i).share();
      if (draw < 0) {
        return parts.get(i);
      }
    }
    return parts.getLast();
  }

  private Call.Run run(Behaviour behaviour, double shared, double number) {
    return new Call.Run(
        random.nextDouble() >= behaviour.failing(),
        random.nextDouble() < behaviour.crashing(),
        nanos(behaviour, shared),
        measured(behaviour, number));
  }

  private long nanos(Behaviour behaviour, double shared) {
    double log = shared + Behaviour.LATENCY_NOISE * random.nextGaussian();
    return (long) (behaviour.latencyMillis() * 1e6 * Math.exp(log));
  }

  /// The same number for every drift rule: where it falls is the rule's own scale.
  private double[] measured(Behaviour behaviour, double number) {
    double[] measured = new double[rules.size()];
    boolean missing = random.nextDouble() < behaviour.missing();
    double shifted = number + behaviour.shift();
    for (int r = 0; r < measured.length; r++) {
      measured[r] =
          switch (rules.get(r)) {
            case StopRule.MeanDrift _ -> missing ? Double.NaN : shifted;
            case StopRule.BinDrift bins -> missing ? bins.shares().size() - 1 : bin(bins, shifted);
            default -> Double.NaN;
          };
    }
    return measured;
  }

  /// The bin that a number of that many standard deviations falls into, if a standard normal number fills the bins as the reference
  /// has them.
  private static double bin(StopRule.BinDrift bins, double number) {
    double below = normal(number) * (1 - bins.shares().getLast());
    int bin = 0;
    double sum = bins.shares().getFirst();
    while (below >= sum && bin < bins.edges().size()) {
      sum += bins.shares().get(++bin);
    }
    return bin;
  }

  /// The standard normal distribution function: Abramowitz and Stegun 26.2.17, good to 7.5e-8.
  static double normal(double x) {
    double t = 1 / (1 + 0.2316419 * Math.abs(x));
    double tail =
        Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI)
            * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    return x >= 0 ? 1 - tail : tail;
  }

  private static double square(double x) {
    return x * x;
  }
}
