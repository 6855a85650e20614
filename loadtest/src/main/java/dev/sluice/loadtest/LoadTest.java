package dev.sluice.loadtest;

import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.ProgressListener.Progress;
import dev.sluice.loadtest.client.CallSettings;
import dev.sluice.loadtest.client.Figures.Interval;
import dev.sluice.loadtest.client.LoadRun;
import dev.sluice.loadtest.client.Window;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.loadtest.schedule.Arrivals;
import java.time.Duration;

/// A load test that can be stopped early: one object, one run.
///
/// In an open loop latency counts from the moment a request was *planned* to be sent. A client that waits for a stalled
/// server before it sends the next request leaves out exactly the requests that would have suffered ("coordinated
/// omission"); here they are sent or, where that is impossible, counted, and the generator's own delay is reported too.
public final class LoadTest {
  private static final Duration TICK = Duration.ofSeconds(1);

  /// Between now and the start of an open loop's schedule, so that its first request is not late already.
  private static final Duration LEAD = Duration.ofMillis(20);

  /// Beyond their deadline calls end by themselves; if some do not, they are cut off.
  private static final Duration CUT_AFTER = Duration.ofSeconds(2);

  private final LoadTestPlan plan;
  private final ProgressListener listener;
  private volatile boolean stopped;

  public LoadTest(LoadTestPlan plan, ProgressListener listener) {
    this.plan = plan;
    this.listener = listener;
  }

  /// Runs a plan to its end.
  ///
  /// @throws dev.sluice.loadtest.client.TargetException when nobody answers at the target
  public static LoadReport run(LoadTestPlan plan, ProgressListener listener) throws InterruptedException {
    return new LoadTest(plan, listener).run();
  }

  /// Sends no more; [#run] then reports what was measured so far. From any thread; noticed within a tenth of a second.
  public void stop() {
    stopped = true;
  }

  public LoadReport run() throws InterruptedException {
    var settings = new CallSettings(plan.traffic(), plan.observer(), plan.deadline());
    try (LoadRun run = LoadRun.open(plan.target(), plan.connections(), settings)) {
      long start = System.nanoTime() + (plan.load() instanceof Load.OpenLoop ? LEAD.toNanos() : 0);
      long measureFrom = start + plan.warmUp().toNanos();
      var window = new Window(start, measureFrom, measureFrom + plan.duration().toNanos(), plan.requestsMax());
      switch (plan.load()) {
        case Load.OpenLoop(Arrivals arrivals, int inFlightMax) -> run.beginOpenLoop(window, arrivals, inFlightMax);
        case Load.ClosedLoop(int concurrency) -> run.beginClosedLoop(window, concurrency);
      }
      watch(run, window);
      return LoadReport.of(asked(), run.figures());
    }
  }

  /// Tells of the progress until all calls have ended or should have.
  private void watch(LoadRun run, Window window) throws InterruptedException {
    long lastNanos = window.startNanos();
    long tickNanos = lastNanos + TICK.toNanos();
    long cutNanos = window.endNanos() + plan.deadline().plus(CUT_AFTER).toNanos();
    boolean stopping = false;
    while (!run.awaitEnd(Duration.ofMillis(50))) {
      long now = System.nanoTime();
      if (stopped && !stopping) {
        stopping = true;
        run.stop();
        cutNanos = now + plan.deadline().plus(CUT_AFTER).toNanos();
      }
      if (now - cutNanos > 0) {
        run.cut();
        run.awaitEnd(CUT_AFTER);
        return;
      }
      if (now - tickNanos >= 0) {
        listener.progressed(progress(run.interval(), window, now, now - lastNanos));
        lastNanos = now;
        // From tick to tick, so that the ticks do not drift through the seconds.
        tickNanos += TICK.toNanos();
      }
    }
  }

  private static Progress progress(Interval interval, Window window, long now, long sinceNanos) {
    return new Progress(
        Duration.ofNanos(now - window.startNanos()),
        now - window.measureFromNanos() < 0,
        interval.sent(), interval.answered(), interval.failed(), interval.notSent(), interval.inFlight(),
        interval.latency().getTotalCount() * 1e9 / sinceNanos,
        interval.latency().getTotalCount() == 0 ? 0 : interval.latency().getValueAtPercentile(99) / 1e3);
  }

  private LoadReport.Asked asked() {
    double warmUpSeconds = plan.warmUp().toNanos() / 1e9;
    return switch (plan.load()) {
      case Load.OpenLoop(Arrivals arrivals, int _) -> new LoadReport.Asked(
          plan.target(), plan.model(), "open",
          switch (arrivals) {
            case Arrivals.Constant _ -> "constant";
            case Arrivals.Poisson _ -> "poisson";
          },
          arrivals.perSecond(), null, plan.connections(), warmUpSeconds);
      case Load.ClosedLoop(int concurrency) -> new LoadReport.Asked(
          plan.target(), plan.model(), "closed", null, null, concurrency, plan.connections(), warmUpSeconds);
    };
  }
}
