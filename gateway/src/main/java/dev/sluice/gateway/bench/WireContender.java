package dev.sluice.gateway.bench;

import dev.sluice.loadtest.client.CallObserver;
import dev.sluice.loadtest.client.CallSettings;
import dev.sluice.loadtest.client.Figures;
import dev.sluice.loadtest.client.LoadRun;
import dev.sluice.loadtest.client.Window;
import dev.sluice.loadtest.schedule.Arrivals;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/// A server that is driven over the wire.
///
/// @param target `host:port`
/// @param usage what its process has used so far
/// @param deadline of each call
/// @param observer sees each call end
record WireContender(
    String name, String target, UsageSource usage, Traffic traffic, long seed, Duration deadline, CallObserver observer)
    implements Contender {
  private static final Duration DEADLINE = Duration.ofSeconds(2);

  private static final int IN_FLIGHT_MAX = 20_000;

  /// An open loop's first request must not be late already.
  private static final long START_IN_NANOS = 10_000_000;

  /// Where a process's usage is asked for.
  @FunctionalInterface
  interface UsageSource {
    Usage now() throws IOException;
  }

  WireContender(String name, String target, UsageSource usage, Traffic traffic, long seed) {
    this(name, target, usage, traffic, seed, DEADLINE, CallObserver.NONE);
  }

  WireContender with(Duration otherDeadline, CallObserver otherObserver) {
    return new WireContender(name, target, usage, traffic, seed, otherDeadline, otherObserver);
  }

  /// Keeps so many calls in flight until it is closed, or for the given time.
  AutoCloseable inBackground(BenchModel model, int inFlight, Duration atMost) {
    LoadRun run = LoadRun.open(target, 1, new CallSettings(traffic.of(model), observer, deadline));
    long now = System.nanoTime();
    run.beginClosedLoop(new Window(now, now, now + atMost.toNanos(), Long.MAX_VALUE), inFlight);
    return () -> {
      run.stop();
      run.awaitEnd(deadline);
      run.close();
    };
  }

  @Override
  public Round round(BenchModel model, Load load, Duration lead, Duration measured)
      throws IOException, InterruptedException {
    try (LoadRun run = LoadRun.open(target, 1, new CallSettings(traffic.of(model), observer, deadline))) {
      long start = System.nanoTime() + START_IN_NANOS;
      long from = start + lead.toNanos();
      long to = from + measured.toNanos();
      Window window = new Window(start, from, to, Long.MAX_VALUE);
      switch (load) {
        case Load.InFlight(int calls) -> run.beginClosedLoop(window, calls);
        case Load.Rate(double perSecond) ->
            run.beginOpenLoop(window, new Arrivals.Poisson(perSecond, seed), IN_FLIGHT_MAX);
      }
      sleepUntil(from);
      long machineBefore = ProcessUsage.machineNanos();
      Usage before = usage.now();
      Usage generatorBefore = ProcessUsage.own();
      sleepUntil(to);
      Usage after = usage.now();
      Usage generatorAfter = ProcessUsage.own();
      long machineAfter = ProcessUsage.machineNanos();
      long cpuNanos = before.cpuNanos() < 0 ? -1 : after.cpuNanos() - before.cpuNanos();
      long generatorNanos = generatorAfter.cpuNanos() - generatorBefore.cpuNanos();
      if (!run.awaitEnd(deadline.plusSeconds(2))) {
        run.cut();
        run.awaitEnd(deadline);
      }
      Figures figures = run.figures();
      return new Round(
          figures.answered(),
          figures.failed() + figures.notSent(),
          figures.sendingSeconds(),
          cpuNanos,
          before.allocatedBytes() < 0 ? -1 : after.allocatedBytes() - before.allocatedBytes(),
          generatorNanos,
          cpuNanos < 0
              ? 0
              : ProcessUsage.othersShare(machineBefore, machineAfter, cpuNanos + generatorNanos, measured.toNanos() / 1e9),
          figures.latency());
    }
  }

  static void sleepUntil(long nanos) throws InterruptedException {
    TimeUnit.NANOSECONDS.sleep(nanos - System.nanoTime());
  }
}
