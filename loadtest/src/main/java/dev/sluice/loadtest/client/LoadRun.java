package dev.sluice.loadtest.client;

import dev.sluice.loadtest.client.Figures.Interval;
import dev.sluice.loadtest.client.Tally.Failures;
import dev.sluice.loadtest.schedule.Arrivals;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.SingleWriterRecorder;
import org.jspecify.annotations.Nullable;

/// One load test on open connections: begun once, looked at while it runs, totalled when it has ended.
public final class LoadRun implements AutoCloseable {
  private final List<Connection> connections = new ArrayList<>();
  private final Histogram latency = Tally.histogram();
  private @Nullable Window window;
  private @Nullable Driver driver;

  private LoadRun() {}

  /// Connects; nothing is sent yet.
  ///
  /// @throws TargetException when nobody answers
  public static LoadRun open(String target, int connections, CallSettings settings) {
    var run = new LoadRun();
    try {
      for (int i = 0; i < connections; i++) {
        run.connections.add(Connection.open(target, i, settings));
      }
      return run;
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
  }

  public void beginOpenLoop(Window window, Arrivals arrivals, int inFlightMax) {
    begin(window, new OpenLoop(connections, window, arrivals, inFlightMax));
  }

  public void beginClosedLoop(Window window, int concurrency) {
    begin(window, new ClosedLoop(connections, window, concurrency));
  }

  private void begin(Window window, Driver driver) {
    this.window = window;
    this.driver = driver;
    driver.begin();
  }

  /// Waits until all calls have ended; false when they have not.
  public boolean awaitEnd(Duration atMost) throws InterruptedException {
    return driver().await(atMost);
  }

  /// Sends no more; calls in flight are left to end.
  public void stop() {
    driver().stop();
  }

  /// Ends the calls in flight, as failures.
  public void cut() {
    connections.forEach(Connection::cut);
  }

  /// A look from outside while the run goes on; from one thread only.
  public Interval interval() {
    Histogram recent = Tally.histogram();
    tallies().forEach(tally -> recent.add(tally.latency.getIntervalHistogram()));
    latency.add(recent);
    return new Interval(
        sum(tally -> tally.sent.sum()), sum(tally -> tally.answered.sum()), sum(tally -> tally.failed.sum()),
        driver().notSent(), driver().callsInFlight(), recent);
  }

  /// The totals; only after the end.
  public Figures figures() throws InterruptedException {
    Driver driver = driver();
    RuntimeException crash = driver.crash();
    if (crash != null) {
      throw crash;
    }
    driver.sendingEnded();
    awaitWrites();
    Interval last = interval();
    var failures = new EnumMap<Status.Code, Failures>(Status.Code.class);
    for (Tally tally : tallies()) {
      tally.failures.forEach((code, some) -> failures.merge(
          code, some, (a, b) -> new Failures(a.count() + b.count(), a.example())));
    }
    long from = window == null ? 0 : window.measureFromNanos();
    long sendingEnd = driver.sendingEndedNanos();
    long answeringEnd = tallies().stream().mapToLong(tally -> tally.lastEndNanos).reduce(sendingEnd, Math::max);
    return new Figures(
        last.sent(), last.answered(), last.failed(), last.notSent(),
        sum(tally -> tally.requestBytes), sum(tally -> tally.responseBytes),
        Math.max(0, sendingEnd - from) / 1e9, Math.max(0, answeringEnd - from) / 1e9,
        latency, total(tally -> tally.service), total(tally -> tally.lateness),
        failures, labels(tally -> tally.variants), labels(tally -> tally.fallbacks));
  }

  @Override
  public void close() {
    if (driver != null) {
      driver.stop(); // whoever sends the next call when one is cut off must not go on
    }
    connections.forEach(Connection::close);
  }

  private Driver driver() {
    if (driver == null) {
      throw new IllegalStateException("the run has not begun");
    }
    return driver;
  }

  /// A task through every connection's thread: what those threads wrote before is visible afterwards.
  private void awaitWrites() throws InterruptedException {
    var passed = new CountDownLatch(connections.size());
    connections.forEach(connection -> connection.execute(passed::countDown));
    passed.await();
  }

  private List<Tally> tallies() {
    return connections.stream().map(Connection::tally).toList();
  }

  private long sum(ToLongFunction<Tally> figure) {
    return tallies().stream().mapToLong(figure).sum();
  }

  private Histogram total(Function<Tally, SingleWriterRecorder> recorder) {
    Histogram total = Tally.histogram();
    tallies().forEach(tally -> total.add(recorder.apply(tally).getIntervalHistogram()));
    return total;
  }

  private Map<String, Long> labels(Function<Tally, Map<String, Long>> labels) {
    var all = new TreeMap<String, Long>();
    tallies().forEach(tally -> labels.apply(tally).forEach((label, count) -> all.merge(label, count, Long::sum)));
    return all;
  }
}
