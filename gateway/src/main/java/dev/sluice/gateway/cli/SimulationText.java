package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.picture.Figures;
import dev.sluice.gateway.simulation.Simulation;
import dev.sluice.gateway.simulation.Simulation.Report;
import dev.sluice.gateway.simulation.Simulation.Spread;
import dev.sluice.gateway.simulation.Simulation.Stopped;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.Step;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/// A simulation's report as people read it.
final class SimulationText {
  private SimulationText() {}

  static void print(Report report, RolloutNote note, PrintWriter out) {
    out.printf(
        "%s: of %,d rollouts %,d stopped (%s), %,d promoted (%s), %,d unfinished; seed %d%n", report.rollout(),
        report.runs(), report.stopped(), share(report.stopped(), report.runs()), report.promoted(),
        share(report.promoted(), report.runs()), report.unfinished(), report.seed());
    if (report.runs() < report.asked()) {
      out.printf(
          "%,d were asked for; after %,d requests there is no more%n", report.asked(),
          Simulation.REQUESTS_MAX);
    }
    if (!report.waitingFor().isEmpty()) {
      out.printf("unfinished for want of: %s%n", report.waitingFor());
    }
    if (!report.stops().isEmpty()) {
      out.println();
      Table table =
          new Table("STOPPED BY", "SEGMENT", "RUNS", "REQUESTS", "P95", "BY CANDIDATE", "P95", "FOR CALLERS", "P95", "TIME", "P95");
      for (Stopped stopped : report.stops()) {
        table.row(
            stopped.rule(), stopped.segment().isEmpty() ? "all traffic" : stopped.segment(),
            share(stopped.runs(), report.runs()), count(stopped.requests().median()), count(stopped.requests().p95()),
            count(stopped.candidateRequests().median()), count(stopped.candidateRequests().p95()),
            count(stopped.exposed().median()), count(stopped.exposed().p95()), time(stopped.millis().median()),
            time(stopped.millis().p95()));
      }
      table.print(out);
      report.stops().forEach(stopped -> out.println("e.g. " + stopped.example()));
    }
    out.println();
    Table steps = new Table("STEP", "CANARY", "SHADOW", "TIME", "P95");
    for (int step = 0; step < report.steps().size(); step++) {
      Spread spent = report.steps().get(step);
      boolean coolDown = step == note.steps().size();
      Step planned = coolDown ? null : note.steps().get(step);
      steps.row(
          coolDown ? "cool-down" : Integer.toString(step + 1),
          planned == null ? "100 %" : Figures.percent(planned.weightBasisPoints()),
          planned == null ? "" : Figures.percent(planned.shadowBasisPoints()), spent(spent, true), spent(spent, false));
    }
    steps.print(out);
  }

  private static String spent(@Nullable Spread spread, boolean median) {
    return spread == null ? "never reached" : time(median ? spread.median() : spread.p95());
  }

  private static String share(int part, int of) {
    return Figures.number(100.0 * part / of) + " %";
  }

  private static String count(long value) {
    return Figures.count(value);
  }

  /// `340ms`, `12s`, `8m`, `5.2h`, `3.1d`.
  static String time(long millis) {
    if (millis == Long.MAX_VALUE) {
      return "too long";
    }
    if (millis < 1_000) {
      return Figures.number((double) millis) + "ms";
    }
    if (millis < 120_000) {
      return Figures.number(millis / 1e3) + "s";
    }
    if (millis < 7_200_000) {
      return Figures.number(millis / 6e4) + "m";
    }
    return millis < 172_800_000 ? Figures.number(millis / 3.6e6) + "h" : Figures.number(millis / 8.64e7) + "d";
  }
}
