package dev.sluice.gateway.simulation;

import static java.util.Objects.requireNonNull;

import dev.sluice.gateway.simulation.SimulatedRollout.End;
import dev.sluice.gateway.simulation.SimulatedRollout.Outcome;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.stop.Stop;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongFunction;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/// A note's rollout, many times over.
public final class Simulation {

  /// Requests that one simulation goes through at most, all its runs together: a minute or two.
  public static final long REQUESTS_MAX = 20_000_000;

  /// Runs that one simulation has at most.
  public static final int RUNS_MAX = 100_000;

  private Simulation() {}

  /// The middle and the end of many numbers.
  ///
  /// @param median half are at most this
  /// @param p95 95 % are at most this
  public record Spread(long median, long p95) {
    static @Nullable Spread of(long[] values) {
      if (values.length == 0) {
        return null;
      }
      long[] sorted = values.clone();
      Arrays.sort(sorted);
      return new Spread(sorted[(sorted.length - 1) / 2], sorted[(int) Math.ceil(sorted.length * 0.95) - 1]);
    }
  }

  /// Rollouts that were stopped by one rule in one place.
  ///
  /// @param segment empty for all traffic
  /// @param requests of callers until the stop
  /// @param candidateRequests of those run by the candidate, live or as copies
  /// @param exposed of those answered by the candidate, or that it failed to answer
  /// @param example one of the verdicts in words
  public record Stopped(
      String rule, String segment, int runs, Spread requests, Spread candidateRequests, Spread exposed, Spread millis,
      String example) {}

  /// @param asked runs that were wanted
  /// @param runs that there were, before [#REQUESTS_MAX] requests were used up
  /// @param unfinished runs that had not ended when the stream, or [#REQUESTS_MAX], had
  /// @param waitingFor what one of them lacked
  /// @param steps by step, and then of the cool-down, the time that rollouts which went through it spent there; null if none did
  public record Report(
      String rollout, long seed, int asked, int runs, int stopped, int promoted, int unfinished, String waitingFor,
      @Nullable Spread requests, List<Stopped> stops, List<@Nullable Spread> steps) {}

  /// @param seed the same one gives the same report
  public static Report described(RolloutNote note, World world, int runs, long seed) {
    return run(note, run -> new DescribedCalls(world, note, run), runs, seed);
  }

  /// The same requests in every run; who is given to which version is drawn anew.
  public static Report recorded(RolloutNote note, RecordedCalls recording, int runs, long seed) {
    return run(note, _ -> recording.replay(), runs, seed);
  }

  private static Report run(RolloutNote note, LongFunction<Calls> calls, int runs, long seed) {
    if (runs < 1 || runs > RUNS_MAX) {
      throw new IllegalArgumentException("runs: %,d is not between 1 and %,d".formatted(runs, RUNS_MAX));
    }
    List<Outcome> outcomes = new ArrayList<>();
    long requestsLeft = REQUESTS_MAX;
    for (int run = 0; run < runs && requestsLeft > 0; run++) {
      long seedOfRun = seed * 1_000_003 + run;
      Outcome outcome = new SimulatedRollout(note, calls.apply(seedOfRun), ~seedOfRun).run(requestsLeft);
      requestsLeft -= outcome.requests();
      outcomes.add(outcome);
    }
    return report(note, outcomes, runs, seed);
  }

  private static Report report(RolloutNote note, List<Outcome> outcomes, int asked, long seed) {
    Map<String, List<Outcome>> byPlace = new TreeMap<>();
    for (Outcome outcome : outcomes) {
      if (outcome.stop() != null) {
        byPlace
            .computeIfAbsent(outcome.stop().rule() + "\n" + outcome.stop().segment(), _ -> new ArrayList<>())
            .add(outcome);
      }
    }
    List<Stopped> stops =
        byPlace.values().stream().map(Simulation::stopped).sorted(Comparator.comparingInt(s -> -s.runs())).toList();
    List<@Nullable Spread> steps = new ArrayList<>();
    for (int step = 0; step <= note.steps().size(); step++) {
      int index = step;
      steps.add(spread(outcomes.stream().filter(o -> o.stepMillis().get(index) > 0).toList(), o -> o.stepMillis().get(index)));
    }
    List<Outcome> unfinished = of(End.UNFINISHED, outcomes);
    return new Report(
        note.name(), seed, asked, outcomes.size(), of(End.STOPPED, outcomes).size(), of(End.PROMOTED, outcomes).size(),
        unfinished.size(), unfinished.isEmpty() ? "" : unfinished.getFirst().waitingFor(),
        spread(outcomes, Outcome::requests), stops, steps);
  }

  private static List<Outcome> of(End end, List<Outcome> outcomes) {
    return outcomes.stream().filter(outcome -> outcome.end() == end).toList();
  }

  private static Stopped stopped(List<Outcome> outcomes) {
    Stop first = requireNonNull(outcomes.getFirst().stop());
    return new Stopped(
        first.rule(), first.segment(), outcomes.size(), some(outcomes, Outcome::requests),
        some(outcomes, Outcome::candidateRequests), some(outcomes, Outcome::exposed), some(outcomes, Outcome::millis),
        first.reason());
  }

  private static Spread some(List<Outcome> outcomes, ToLongFunction<Outcome> number) {
    return requireNonNull(spread(outcomes, number));
  }

  private static @Nullable Spread spread(List<Outcome> outcomes, ToLongFunction<Outcome> number) {
    return Spread.of(outcomes.stream().mapToLong(number).toArray());
  }
}
