package dev.sluice.router.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.simulation.Detection.Delays;
import dev.sluice.router.simulation.HealthyRollouts.Mix;
import dev.sluice.router.simulation.HealthyRollouts.Tally;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.Scope;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/// A hundred thousand healthy rollouts, and thousands of bad candidates for every rule: checked, and written into
/// `docs/stop-rules.md` where the build is told to (`./mvnw -Psimulation -pl router verify`). Minutes long.
@Tag("long")
@Tag("simulation")
final class StopRulePageTest {

  private static final long SEED = 101;
  private static final int RUNS = 2_000;
  private static final int RUNS_AFTER_A_MILLION = 200;
  private static final int REQUESTS_MAX = 3_000;

  /// @param rollouts with these rules, this budget and the candidate's rates at these limits or in waves below
  private record Healthy(double alpha, double limit, Mix mix, int rollouts) {}

  private static final List<Healthy> HEALTHY =
      List.of(
          new Healthy(0.05, 0.05, Mix.ALL, 20_000), new Healthy(0.05, 0.05, Mix.LIMITS, 30_000),
          new Healthy(0.001, 0.05, Mix.ALL, 20_000), new Healthy(0.001, 0.01, Mix.LIMITS, 30_000));

  @Test
  void thePageSaysWhatHolds() throws IOException {
    // Smaller in a trial of this test itself; the page says how many there were.
    int part = Integer.getInteger("sluice.simulation.part", 1);
    List<Figures.Bar> falseStops = new ArrayList<>();
    StringBuilder healthy =
        new StringBuilder("| alpha | rules | rollouts | requests | stopped | in % (95 % interval) | held | replayed bit for bit |\n|---|---|---|---|---|---|---|---|\n");
    for (Healthy setting : HEALTHY) {
      Tally tally = tally(setting, part);
      double[] interval = Chance.interval(tally.stopped(), tally.rollouts());
      String rules = setting.mix() == Mix.ALL ? "14 of all kinds" : "4 limits";
      healthy.append(
          row("| %s %% | %s, limits at %s %% | %,d | %,d | %d | %.4f (%.4f to %.4f) | %d | %s |", decimal(setting.alpha() * 100), rules,
              decimal(setting.limit() * 100), tally.rollouts(), tally.requests(), tally.stopped(),
              100.0 * tally.stopped() / tally.rollouts(), 100 * interval[0], 100 * interval[1], tally.held(),
              tally.notIdentical() == 0 ? "all" : "not " + tally.notIdentical()));
      falseStops.add(
          new Figures.Bar(
              rules + ", alpha " + decimal(setting.alpha() * 100) + " %", Math.max(1e-6, interval[0]),
              (double) tally.stopped() / tally.rollouts(), interval[1], setting.alpha()));
    }
    List<Figures.Bar> delays = new ArrayList<>();
    String detection = detection(part, delays);
    List<Figures.Bar> exposures = new ArrayList<>();
    String pollers = pollers(part, exposures);

    String docs = System.getProperty("sluice.docs", "");
    if (!docs.isEmpty()) {
      Figures.write(Path.of(docs), "false-stops", healthy.toString(), "Share of healthy rollouts that were stopped; the bar is alpha", falseStops);
      Figures.write(Path.of(docs), "detection", detection, "Candidate requests, pairs or triples until the stop: median to 95th percentile; the bar is the reference", delays);
      Figures.write(Path.of(docs), "pollers", pollers, "Candidate requests until the rollback, median to 95th percentile", exposures);
    }
  }

  private static Tally tally(Healthy setting, int part) {
    HealthyRollouts rollouts = new HealthyRollouts(setting.alpha, setting.limit, setting.mix, REQUESTS_MAX);
    int count = setting.rollouts / part;
    Tally tally = HealthyRollouts.tally(SEED * 1_000_003, count, rollouts::plan);
    System.out.printf("%s: %s%n", setting, tally);
    int most = Chance.mostOf(count, setting.alpha);
    assertThat(tally.stopped()).as("%s, seeds from %d: %s", setting, SEED * 1_000_003, tally).isLessThanOrEqualTo(most);
    assertThat(tally.held()).as("%s, seeds from %d: %s", setting, SEED * 1_000_003, tally).isLessThanOrEqualTo(most);
    assertThat(tally.notIdentical()).as("%s, seeds from %d", setting, SEED * 1_000_003).isZero();
    return tally;
  }

  private static String detection(int part, List<Figures.Bar> bars) {
    StringBuilder table =
        new StringBuilder(
            "%,d runs each, %,d where a million good requests come first.\n\n".formatted(Math.max(20, RUNS / part), Math.max(20, RUNS_AFTER_A_MILLION / part)));
    table.append("| rule | what is wrong | counted | median | 95th percentile | reference |\n|---|---|---|---|---|---|\n");
    for (DetectionRow row : DetectionRow.all()) {
      int runs = row.goodFirst() > 0 ? RUNS_AFTER_A_MILLION : RUNS;
      Delays delays = row.run(Math.max(20, runs / part), SEED);
      System.out.printf("%s, %s: median %,d, p95 %,d%n", row.rule().name(), row.truth(), delays.median(), delays.p95());
      assertThat(delays.detected()).as("%s, %s, seed %d", row.rule().name(), row.truth(), SEED).isEqualTo(delays.sorted().size());
      if (part == 1 && row.medianMost() > 0) {
        assertThat(delays.median()).as("%s, seed %d", row.truth(), SEED).isLessThanOrEqualTo(row.medianMost());
      }
      if (part == 1 && row.p95Most() > 0) {
        assertThat(delays.p95()).as("%s, seed %d", row.truth(), SEED).isLessThanOrEqualTo(row.p95Most());
      }
      table.append(
          row("| %s | %s | %s | %,d | %,d | %s |", row.rule().name(), row.truth(), row.unit(), delays.median(), delays.p95(),
              row.reference() == 0 ? "" : "%,d".formatted(row.reference())));
      bars.add(new Figures.Bar(row.rule().name() + ": " + row.truth(), delays.median(), delays.median(), delays.p95(), row.reference()));
    }
    return table.toString();
  }

  /// The same bad candidates at 60 and 600 requests a minute.
  private static String pollers(int part, List<Figures.Bar> bars) {
    StringBuilder table =
        new StringBuilder(
            "| candidate fails, limit 1 % | requests a minute | decided by | rolled back within a day | requests until then, median | 95th percentile | failed requests, median |\n|---|---|---|---|---|---|---|\n");
    for (double rate : new double[] {1, 0.5, 0.05}) {
      Delays ours =
          Detection.run(
              new ErrorRate(0.01, Scope.OVERALL), Detection.ALPHA,
              10_000, 0, Detection.failing(rate), Detection.failing(rate), 1_000_000, RUNS / part, SEED);
      String who = "Sluice (error-rate)";
      table.append(row("| %s %% | any | %s | 100 %% | %,d | %,d | %,d |", decimal(rate * 100), who, ours.median(), ours.p95(), Math.round(rate * ours.median())));
      bars.add(new Figures.Bar("%s %% fail: %s".formatted(decimal(rate * 100), who), ours.median(), ours.median(), ours.p95(), 0));
      pollers(table, bars, rate, 600, part);
    }
    for (int perMinute : new int[] {60, 600}) {
      pollers(table, new ArrayList<>(), 0.001, perMinute, part);
    }
    return table.toString();
  }

  private static void pollers(StringBuilder table, List<Figures.Bar> bars, double rate, int perMinute, int part) {
    for (Poller poller : List.of(Poller.ARGO, Poller.FLAGGER_1, Poller.FLAGGER_5, Poller.FLAGGER_10)) {
      int runs = 500 / part;
      List<Long> requests =
          LongStream.range(0, runs)
              .parallel()
              .map(run -> poller.requestsUntilRollback(rate, perMinute, 0.01, 86_400, new SplittableRandom(SEED * 1_000_003 + run)))
              .filter(count -> count >= 0)
              .sorted()
              .boxed()
              .toList();
      if (requests.isEmpty()) {
        table.append(row("| %s %%%s | %d | %s | 0 %% | | | |", decimal(rate * 100), rate < 0.01 ? " (healthy)" : "", perMinute, poller.name()));
        continue;
      }
      Delays delays = new Delays(requests);
      table.append(
          row("| %s %%%s | %d | %s | %.0f %% | %,d | %,d | %,d |", decimal(rate * 100), rate < 0.01 ? " (healthy)" : "", perMinute, poller.name(),
              100.0 * requests.size() / runs, delays.median(), delays.p95(), Math.round(rate * delays.median())));
      bars.add(
          new Figures.Bar("%s %% fail: %s".formatted(decimal(rate * 100), poller.name()), delays.median(), delays.median(), delays.p95(), 0));
    }
  }

  private static String decimal(double value) {
    return BigDecimal.valueOf(value).round(new MathContext(3)).stripTrailingZeros().toPlainString();
  }

  @SuppressWarnings("AnnotateFormatMethod")
  private static String row(String format, Object... values) {
    return String.format(Locale.ROOT, format, values) + "\n";
  }
}
